// @trpc/server: its adapter takes a server and broadcasts to its clients.

import { initTRPC } from '@trpc/server';
import {
  applyWSSHandler,
  type CreateWSSContextFnOptions
} from '@trpc/server/adapters/ws';
import { type WebSocket, WebSocketServer } from 'ws';

function createContext({ req, res }: CreateWSSContextFnOptions): {
  ws: WebSocket;
} {
  if (req.url === undefined) res.terminate();

  return { ws: res };
}

const t = initTRPC.context<typeof createContext>().create();

export function server(): void {
  const handler = applyWSSHandler({
    createContext,
    keepAlive: { enabled: true, pingMs: 30000, pongWaitMs: 5000 },
    router: t.router({
      state: t.procedure.query(({ ctx }) => ctx.ws.readyState)
    }),
    wss: new WebSocketServer({ port: 3001 })
  });

  handler.broadcastReconnectNotification();
}
