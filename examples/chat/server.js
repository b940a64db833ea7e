'use strict';

// A chat room: what one page sends is shown by every page.
//
//   node examples/chat/server.js [port]
//
// The port may also come from the environment variable PORT. Open the address
// that is printed in two windows.

const fs = require('fs');
const http = require('http');
const path = require('path');

const WebSocket = require('../..');

// A page that does not keep up is left out until it has caught up.
const MAX_BUFFERED = 1024 * 1024;

const FILES = {
  '/': ['index.html', 'text/html; charset=utf-8'],
  '/chat.js': ['chat.js', 'text/javascript; charset=utf-8']
};

const server = http.createServer((request, response) => {
  const { pathname } = new URL(request.url, 'http://localhost');

  if (!Object.hasOwn(FILES, pathname)) {
    response.writeHead(404, { 'Content-Type': 'text/plain' });
    response.end('Not found\n');
    return;
  }

  const [name, type] = FILES[pathname];

  response.writeHead(200, { 'Content-Type': type });
  fs.createReadStream(path.join(__dirname, 'public', name)).pipe(response);
});

const wss = new WebSocket.Server({ maxPayload: 4096, path: '/chat', server });

wss.on('connection', (ws) => {
  ws.on('error', (err) => console.log(`A page failed: ${err.message}`));
  ws.on('message', (data) => {
    for (const client of wss.clients) {
      if (
        client.readyState === WebSocket.OPEN &&
        client.bufferedAmount < MAX_BUFFERED
      ) {
        client.send(data, { binary: false });
      }
    }
  });
});

server.listen(
  Number(process.argv[2] ?? process.env.PORT ?? 8080),
  '127.0.0.1',
  () => {
    console.log(`Chat on http://127.0.0.1:${server.address().port}/`);
  }
);
