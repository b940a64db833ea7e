'use strict';

/*
 * A server under test: node server.js <implementation> <mode> <work> [path]
 *
 *   mode  port, server, noServer, https, unix
 *   work  echo, deflate (the same with permessage-deflate), ingest (one answer
 *         per 100 messages), broadcast
 *   path  the socket of mode unix, the folder with the certificate of https
 *
 * It prints a line of JSON when it listens, and ends when its input ends.
 */

const fs = require('fs');
const http = require('http');
const https = require('https');
const path = require('path');

const { load } = require('./implementations.js');

const EVERY = 100;
const HOST = '127.0.0.1';
const LARGEST = 16 * 1024 * 1024;

const [implementation, mode, work, location] = process.argv.slice(2);

/**
 * Tells the benchmark where the server listens.
 *
 * @param {Number} [port] The port, if it is one
 */
function announce(port) {
  console.log(JSON.stringify({ port }));
}

/**
 * Makes a server of node:http, with or without TLS.
 *
 * @return {http.Server} The server, not listening yet
 */
function createHttpServer() {
  if (mode !== 'https') return http.createServer();

  return https.createServer({
    cert: fs.readFileSync(path.join(location, 'cert.pem')),
    key: fs.readFileSync(path.join(location, 'key.pem'))
  });
}

/**
 * Makes a `WebSocketServer` in the mode asked for, and announces it.
 *
 * @param {Function} WebSocketServer The class, of ws or oxws
 * @return {WebSocketServer} The server
 */
function createWebSocketServer(WebSocketServer) {
  if (mode === 'port') {
    const wss = new WebSocketServer({
      host: HOST,
      perMessageDeflate: work === 'deflate',
      port: 0
    });

    wss.on('listening', () => announce(wss.address().port));
    return wss;
  }

  const server = createHttpServer();
  const wss = new WebSocketServer(
    mode === 'noServer' ? { noServer: true } : { server }
  );

  if (mode === 'noServer') {
    server.on('upgrade', (request, socket, head) => {
      wss.handleUpgrade(request, socket, head, (ws) => {
        wss.emit('connection', ws, request);
      });
    });
  }

  if (mode === 'unix') server.listen(location, () => announce());
  else server.listen(0, HOST, () => announce(server.address().port));
  return wss;
}

/**
 * Serves with the API of ws.
 *
 * @param {Object} api What ws or oxws exports
 */
function serve({ WebSocketServer }) {
  const wss = createWebSocketServer(WebSocketServer);

  const echo = (ws) => {
    ws.on('message', (data, isBinary) => ws.send(data, { binary: isBinary }));
  };

  const listeners = {
    echo,
    deflate: echo,
    ingest(ws) {
      let count = 0;

      ws.on('message', () => {
        if (++count % EVERY === 0) ws.send('ok');
      });
    },
    broadcast(ws) {
      ws.on('message', (data) => {
        for (const client of wss.clients) client.send(data);
      });
    }
  };

  wss.on('connection', (ws) => {
    // The load generator drops its connections when a run is over.
    ws.on('error', () => {});
    listeners[work](ws);
  });
}

/**
 * Serves with uWebSockets.js.
 *
 * @param {Object} uws What the package exports
 */
function serveUws(uws) {
  const app = uws.App();

  const behaviors = {
    echo: {
      message: (ws, data, isBinary) => void ws.send(data, isBinary)
    },
    deflate: {
      // What ws does when it is not told otherwise: both sides keep a context.
      compression: uws.DEDICATED_COMPRESSOR_256KB | uws.DEDICATED_DECOMPRESSOR,
      message: (ws, data, isBinary) => void ws.send(data, isBinary, true)
    },
    ingest: {
      open: (ws) => {
        ws.count = 0;
      },
      message: (ws) => {
        if (++ws.count % EVERY === 0) ws.send('ok');
      }
    },
    broadcast: {
      open: (ws) => void ws.subscribe('all'),
      message: (ws, data) => void app.publish('all', data, true)
    }
  };

  app.ws('/*', {
    compression: uws.DISABLED,
    idleTimeout: 0,
    maxBackpressure: LARGEST,
    maxPayloadLength: LARGEST,
    sendPingsAutomatically: false,
    ...behaviors[work]
  });

  /**
   * Announces the server, or fails.
   *
   * @param {Object} token The listening socket, if it does listen
   */
  const listening = (token) => {
    if (!token) throw new Error('uWebSockets.js does not listen');
    announce(mode === 'unix' ? undefined : uws.us_socket_local_port(token));
  };

  if (mode === 'unix') app.listen_unix(listening, location);
  else app.listen(HOST, 0, listening);
}

process.stdin.resume();
process.stdin.on('end', () => process.exit());

if (implementation === 'uws') serveUws(load('uws'));
else serve(load(implementation));
