'use strict';

const fs = require('node:fs');
const http = require('node:http');
const https = require('node:https');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');

const WebSocket = require('../..');

const { once, within } = require('./suite');

const FORMS = [
  'port',
  'server',
  'noServer',
  // Windows has no sockets in files.
  ...(process.platform === 'win32' ? [] : ['unix'])
];
const fixtures = path.join(__dirname, '..', 'fixtures');

/**
 * Reads the self-signed certificate of the tests and its key.
 *
 * @return {Object} The options for `https.createServer()`
 * @public
 */
function certificate() {
  return {
    cert: fs.readFileSync(path.join(fixtures, 'certificate.pem')),
    key: fs.readFileSync(path.join(fixtures, 'key.pem'))
  };
}

/**
 * Makes a path for a Unix socket, in a folder that goes away with the test.
 *
 * @param {TestContext} t The context of the test
 * @return {String} The path
 * @public
 */
function socketPath(t) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'oxws-'));

  t.after(() => fs.rmSync(folder, { recursive: true, force: true }));
  return path.join(folder, 'socket');
}

/**
 * Makes an HTTP/S server listen and closes it, with all of its sockets, when
 * the test ends.
 *
 * @param {TestContext} t The context of the test
 * @param {http.Server} server The server
 * @param {...*} address Where to listen; a free port of the loopback interface
 *     by default
 * @return {Promise<http.Server>} The listening server
 * @public
 */
async function listen(t, server, ...address) {
  const sockets = new Set();

  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  server.listen(...(address.length ? address : [0, '127.0.0.1']));
  await once(server, 'listening');
  return server;
}

/**
 * Waits until connections to a server with a port, which has begun to listen, are
 * accepted by the addon (if they ever are) instead of by the event loop.
 *
 * @return {Promise} Resolved then
 * @public
 */
async function settle() {
  for (let i = 0; i < 5; i++) await new Promise(setImmediate);
}

/**
 * Starts a WebSocket server in one of its forms.
 *
 * @param {TestContext} t The context of the test
 * @param {Object} [options] The options of the server, and:
 * @param {String} [options.form=port] `port`, `server`, `noServer` or `unix`
 * @param {Boolean} [options.secure=false] Whether to use TLS
 * @param {Function} [options.Server] The class of the server
 * @return {Promise<Object>} The server (`wss`), its URL (`url`), the options
 *     for `net.connect()` (`target`) and the HTTP/S server, if any (`server`)
 * @public
 */
async function serve(t, options = {}) {
  const {
    form = 'port',
    secure = false,
    Server = WebSocket.WebSocketServer,
    ...rest
  } = options;
  let server;
  let wss;

  if (form === 'port') {
    wss = new Server({ port: 0, host: '127.0.0.1', ...rest });
    t.after(() => shutDown(wss));
    await once(wss, 'listening');
    await settle();
  } else {
    server = secure ? https.createServer(certificate()) : http.createServer();

    if (form === 'noServer') {
      wss = new Server({ noServer: true, ...rest });
      server.on('upgrade', (req, socket, head) => {
        wss.handleUpgrade(req, socket, head, (ws) => {
          wss.emit('connection', ws, req);
        });
      });
    } else {
      wss = new Server({ server, ...rest });
    }

    t.after(() => shutDown(wss));
    await listen(t, server, ...(form === 'unix' ? [socketPath(t)] : []));
  }

  const address = (server || wss).address();

  if (form === 'unix') {
    return {
      wss,
      server,
      target: { path: address },
      url: `ws+unix:${address}`
    };
  }

  return {
    wss,
    server,
    target: { host: '127.0.0.1', port: address.port },
    url: `${secure ? 'wss' : 'ws'}://127.0.0.1:${address.port}`
  };
}

/**
 * Opens a client, which is terminated when the test ends.
 *
 * @param {TestContext} t The context of the test
 * @param {...*} args The arguments of the `WebSocket` constructor
 * @return {Promise<WebSocket>} The open client
 * @public
 */
async function connect(t, ...args) {
  const ws = client(t, ...args);

  await once(ws, 'open');
  return ws;
}

/**
 * Makes a client, which is terminated when the test ends.
 *
 * @param {TestContext} t The context of the test
 * @param {...*} args The arguments of the `WebSocket` constructor
 * @return {WebSocket} The client
 * @public
 */
function client(t, ...args) {
  const ws = new WebSocket(...args);

  t.after(() => {
    ws.on('error', () => {});
    ws.terminate();
  });
  return ws;
}

/**
 * Starts a server and opens a client of it.
 *
 * @param {TestContext} t The context of the test
 * @param {Object} [options] The options for `serve()`, and:
 * @param {Object} [options.client] The options of the client
 * @return {Promise<Object>} What `serve()` gives, the client (`ws`), the server
 *     side of the connection (`peer`) and the request (`req`)
 * @public
 */
async function pair(t, options = {}) {
  const { client: clientOptions, ...rest } = options;
  const served = await serve(t, rest);
  const connection = once(served.wss, 'connection');
  const ws = client(t, served.url, {
    rejectUnauthorized: false,
    ...clientOptions
  });
  const [[peer, req]] = await Promise.all([connection, once(ws, 'open')]);

  return { ...served, ws, peer, req };
}

/**
 * Waits for a number of messages.
 *
 * @param {WebSocket} ws The receiver of the messages
 * @param {Number} [count=1] How many
 * @return {Promise<Array>} The messages, as strings if they are text
 * @public
 */
function messages(ws, count = 1) {
  const received = [];

  return within(
    new Promise((resolve) => {
      ws.on('message', function onMessage(data, isBinary) {
        received.push(isBinary ? data : data.toString());

        if (received.length === count) {
          ws.removeListener('message', onMessage);
          resolve(received);
        }
      });
    }),
    `${count} message(s)`
  ).catch((err) => {
    err.message += `, got ${received.length}`;
    throw err;
  });
}

/**
 * Waits for the `'close'` event.
 *
 * @param {WebSocket} ws The WebSocket
 * @return {Promise<Object>} The close code and the reason
 * @public
 */
async function closed(ws) {
  const [code, reason] = await within(
    new Promise((resolve) => ws.once('close', (...args) => resolve(args))),
    "the 'close' event"
  );

  return { code, reason: reason.toString() };
}

/**
 * Finds a port of the loopback interface on which nothing listens.
 *
 * @return {Promise<Number>} The port
 * @public
 */
async function unusedPort() {
  const server = net.createServer().listen(0, '127.0.0.1');

  await once(server, 'listening');

  const { port } = server.address();

  server.close();
  await once(server, 'close');
  return port;
}

/**
 * Closes a server and its connections at once.
 *
 * @param {WebSocketServer} wss The server
 */
function shutDown(wss) {
  for (const ws of wss.clients || []) ws.terminate();
  wss.close();
}

module.exports = {
  FORMS,
  certificate,
  client,
  closed,
  connect,
  listen,
  messages,
  pair,
  serve,
  settle,
  socketPath,
  unusedPort
};
