'use strict';

// A server that sends every message back.
//
//   node examples/echo-server.js [port]
//
// examples/client.js is a client for it.

const { WebSocketServer } = require('..');

const server = new WebSocketServer({
  host: '127.0.0.1',
  port: Number(process.argv[2] ?? 8080)
});

server.on('listening', () => {
  const { address, port } = server.address();

  console.log(`Listening on ws://${address}:${port}`);
});

server.on('connection', (ws, request) => {
  const peer = `${request.socket.remoteAddress}:${request.socket.remotePort}`;

  console.log(`${peer} connected`);

  ws.on('error', (err) => console.log(`${peer} failed: ${err.message}`));
  ws.on('message', (data, isBinary) => ws.send(data, { binary: isBinary }));
  ws.on('close', (code) => console.log(`${peer} closed with ${code}`));
});
