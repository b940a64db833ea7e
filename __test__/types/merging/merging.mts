// Programs add members to what ws declares, in an ES module ...

import WebSocket, {
  type MessageEvent,
  type Server,
  WebSocketServer,
  type ServerOptions
} from 'ws';
import type { Socket } from 'node:net';

declare module 'ws' {
  interface Server {
    nicknameOf(user: string): string;
  }

  interface WebSocket {
    _socket: Socket;
    isAlive: boolean;
  }

  export interface ClientOptions {
    retries?: number;
  }

  interface MessageEvent {
    sender: string;
  }
}

export function merged(wss: WebSocketServer, server: Server): void {
  wss.on('connection', (ws) => {
    ws.isAlive = true;
    ws._socket.setNoDelay();
    ws.onmessage = (event: MessageEvent) => ws.send(event.sender);
  });
  wss.nicknameOf(server.nicknameOf('me'));
  new WebSocketServer({ noServer: true }).nicknameOf('you');
  new WebSocket('ws://localhost', { retries: 3 }).isAlive = false;
}

export interface OwnOptions extends ServerOptions {
  port: 8080;
}
