// ... and in a CommonJS module. What is added there to the class is known to
// those who take it by its name only.

import WebSocket = require('ws');
import { IncomingMessage } from 'http';

declare module 'ws' {
  interface WebSocket {
    userId: string;
  }

  interface Server<T, U> {
    started?: [T, U];
  }

  export interface ServerOptions {
    banner?: string;
  }
}

export function merged(ws: WebSocket.WebSocket): void {
  ws.userId = '1';
  const wss = new WebSocket.Server({ banner: 'hello', noServer: true });
  wss.started = [WebSocket, IncomingMessage];
}
