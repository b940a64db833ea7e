// graphql-ws: a server that it takes over, and a class for its client.

import { buildSchema } from 'graphql';
import { createClient } from 'graphql-ws';
import { type Extra, useServer } from 'graphql-ws/use/ws';
import WebSocket, { WebSocketServer } from 'ws';

export function server(): void {
  const wss = new WebSocketServer({ path: '/graphql', port: 4000 });

  const disposable = useServer(
    {
      onConnect({ extra }) {
        const { request, socket }: Extra = extra;
        const ws: WebSocket = socket;

        return ws.readyState === WebSocket.OPEN && request.url === '/graphql';
      },
      schema: buildSchema('type Query { hello: String }')
    },
    wss,
    10000
  );

  void disposable.dispose();
}

export function client(): void {
  void createClient({
    url: 'ws://localhost:4000/graphql',
    webSocketImpl: WebSocket
  }).dispose();
}
