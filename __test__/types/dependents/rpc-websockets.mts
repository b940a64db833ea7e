// rpc-websockets: extends both sides.

import { Client, Server, WebSocket as createWebSocket } from 'rpc-websockets';
import type WebSocket from 'ws';

export function server(): void {
  const rpc = new Server({ host: 'localhost', maxPayload: 1024, port: 8080 });

  rpc.register('echo', (params) => params);
  rpc.on('connection', (ws: WebSocket) => ws.send('hello'));
  rpc.wss.on('connection', (ws) => ws.ping());
}

export function client(): void {
  new Client('ws://localhost:8080', { reconnect: false }).close();
  createWebSocket('ws://localhost:8080', { maxPayload: 1024 }).close();
}
