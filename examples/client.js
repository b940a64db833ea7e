'use strict';

// A client that sends each line it is given and prints what comes back.
//
//   node examples/client.js [url]
//
// The default URL is that of examples/echo-server.js. End the input (Ctrl+D)
// to close the connection.

const readline = require('readline');

const WebSocket = require('..');

const ws = new WebSocket(process.argv[2] ?? 'ws://127.0.0.1:8080');

ws.on('open', () => {
  const lines = readline.createInterface({ input: process.stdin });

  lines.on('line', (line) => ws.send(line));
  lines.on('close', () => ws.close(1000));
  ws.on('close', () => lines.close());
});

ws.on('message', (data, isBinary) => {
  console.log(isBinary ? data : data.toString());
});

ws.on('error', (err) => {
  console.error(err.message);
  process.exitCode = 1;
});

ws.on('close', (code, reason) => {
  console.log(`Closed with ${code} ${reason}`.trim());
});
