// engine.io: can be given the class of the server, and wraps connections.

import { Server, type ServerOptions } from 'engine.io';
import { WebSocketServer } from 'ws';

export function server(): void {
  const options: ServerOptions = {
    perMessageDeflate: { threshold: 1024 },
    transports: ['websocket'],
    wsEngine: WebSocketServer
  };

  new Server(options).close();
}
