'use strict';

const assert = require('node:assert/strict');
const http = require('node:http');
const net = require('node:net');
const path = require('node:path');
const util = require('node:util');
const { spawn } = require('node:child_process');
const { it } = require('node:test');

const WebSocket = require('..');
const { stats } = require('../lib/native');

const { closePayload, masked } = require('./helpers/frames');
const { upgradeRequest } = require('./helpers/handshake');
const { settle } = require('./helpers/pair');
const { delay, once, suite, until } = require('./helpers/suite');
const { RawPeer } = require('./helpers/wire');

// Elsewhere Node's HTTP server accepts every connection.
const skip =
  process.platform !== 'linux'
    ? 'the native driver needs Linux'
    : process.env.OXWS_DRIVER === 'stream' && 'the stream driver is forced';

const TEXT = 1;
const CLOSE = 8;

/** How long silent connections are kept from Node at the most. */
const PATIENCE = 1000;

/**
 * Starts a server in the 'port' form, and waits until the native listener
 * accepts its connections.
 *
 * @param {TestContext} t The context of the test
 * @param {Object} [options] Options of the server
 * @return {Promise<Object>} The server and its port
 */
async function serve(t, options) {
  const wss = new WebSocket.Server({ host: '127.0.0.1', port: 0, ...options });

  t.after(() => {
    for (const ws of wss.clients) ws.terminate();
    wss.close();
  });

  await once(wss, 'listening');
  await settle();
  return { wss, port: wss.address().port };
}

/**
 * Accepts a connection.
 *
 * @param {TestContext} t The context of the test
 * @param {Object} server What `serve()` gave
 * @param {Object} [request] Options for `upgradeRequest()`
 * @return {Promise<Object>} The `WebSocket`, the request and the peer
 */
async function accept(t, { wss, port }, request) {
  const connection = once(wss, 'connection');
  const peer = await RawPeer.open(t, { host: '127.0.0.1', port }, request);
  const [ws, req] = await connection;

  return { ws, req, peer };
}

/**
 * Whether a request came with a connection that the native listener accepted.
 *
 * @param {http.IncomingMessage} req The request
 * @return {Boolean} `true` if it did
 */
function isNative(req) {
  return Object.getOwnPropertyDescriptor(req, 'socket').get !== undefined;
}

/**
 * Counts the connections of a server.
 *
 * @param {WebSocketServer} wss The server
 * @return {Promise<Number>} Their number
 */
function connections(wss) {
  return util.promisify(wss._server.getConnections).call(wss._server);
}

/**
 * Describes a request: its own properties, except the socket, and how that is
 * found.
 *
 * @param {http.IncomingMessage} req The request
 * @return {Object} The properties
 */
function describe(req) {
  const entries = Reflect.ownKeys(req)
    .map(String)
    .filter((key) => key !== 'Symbol(kOrigin)')
    .sort()
    .map((key) => [key, req[key]])
    .filter(([, value]) => value === null || typeof value !== 'object');

  return {
    ...Object.fromEntries(entries),
    keys: Object.keys(req).sort(),
    headers: req.headers,
    distinct: req.headersDistinct,
    raw: req.rawHeaders,
    trailers: req.trailers,
    ended: req._readableState.ended
  };
}

suite('listener', () => {
  it('echoes without making a socket', { skip }, async (t) => {
    const server = await serve(t);
    const before = stats.native;
    const { ws, peer } = await accept(t, server);

    ws.on('message', (data) => ws.send(`${data}!`));
    peer.write(masked(TEXT, 'hello'));
    assert.equal((await peer.frame()).payload.toString(), 'hello!');
    assert.equal(stats.native, before + 1);
    assert.equal(await connections(server.wss), 1);

    const closed = once(ws, 'close');

    peer.write(masked(CLOSE, closePayload(4000, 'bye')));
    assert.deepEqual(await peer.closeFrame(), { code: 4000, reason: 'bye' });
    await peer.end();
    peer.socket.end();

    const [code, reason] = await closed;

    assert.deepEqual([code, reason.toString()], [4000, 'bye']);
    assert.equal(server.wss.clients.size, 0);
    assert.equal(await connections(server.wss), 0);
    assert.equal(ws._socket.destroyed, true);
  });

  it("gives the request that Node's server would have given", async (t) => {
    const request = {
      path: '/chat?room=1',
      headers: {
        Cookie: 'a=1',
        cookie: 'b=2',
        'X-Empty': '',
        'x-twice': 'one',
        'X-Twice': 'two',
        'User-Agent': 'test'
      }
    };
    const { req } = await accept(t, await serve(t), request);

    const other = http.createServer();
    const wss = new WebSocket.Server({ server: other });

    t.after(() => {
      for (const ws of wss.clients) ws.terminate();
      other.close();
    });
    other.listen(0, '127.0.0.1');
    await once(other, 'listening');

    const theirs = await accept(
      t,
      { wss, port: other.address().port },
      request
    );

    assert.ok(req instanceof http.IncomingMessage);
    assert.deepEqual(describe(req), describe(theirs.req));
    assert.match(util.inspect(req), /url: '\/chat\?room=1'/);
  });

  it('gives a request that can be treated like any other', async (t) => {
    const { ws, req } = await accept(t, await serve(t));
    const secrets = new WeakMap([[req, 'secret']]);
    const ended = once(req, 'end');
    let chunks = 0;

    class Request extends http.IncomingMessage {
      get secret() {
        return secrets.get(this);
      }
    }

    req.on('end', function onEnd() {
      assert.equal(this, req);
    });
    // eslint-disable-next-line no-unused-vars
    for await (const chunk of req) chunks++;
    await ended;
    assert.equal(chunks, 0);

    // What Express does.
    Object.setPrototypeOf(req, Request.prototype);
    assert.equal(req.secret, 'secret');
    assert.equal(req.socket, ws._socket);

    const derived = Object.create(req);

    derived.url = '/other';
    assert.equal(req.url, '/');
    assert.equal(derived.socket, ws._socket);
    assert.equal({ ...req }.client, ws._socket);

    const other = new net.Socket();

    derived.socket = other;
    assert.equal(req.socket, ws._socket);
    req.socket = other;
    assert.equal(req.socket, other);
  });

  it('accepts for a server that was made while data came in', async (t) => {
    const { port } = await serve(t);
    const peer = RawPeer.connect(t, { host: '127.0.0.1', port });

    peer.write(upgradeRequest());
    await once(peer.socket, 'data');

    const { req } = await accept(t, await serve(t));

    assert.equal(isNative(req), skip === false);
  });

  it('makes the socket when somebody looks at it', async (t) => {
    const { ws, req, peer } = await accept(t, await serve(t));
    const { _socket: socket } = ws;

    assert.equal(req.socket, socket);
    assert.ok(socket instanceof net.Socket);
    assert.equal(socket.remotePort, peer.socket.localPort);
    assert.equal(socket.localPort, peer.socket.remotePort);
    assert.equal(socket.bytesRead, upgradeRequest().length);
    assert.equal(socket.bytesWritten, 129);

    peer.write(masked(TEXT, 'hello'));
    assert.equal(String(await once(ws, 'message')), 'hello,false');
    socket.write(Buffer.from([0x81, 0x01, 0x78]));
    ws.send('y');
    assert.equal((await peer.frame()).payload.toString(), 'x');
    assert.equal((await peer.frame()).payload.toString(), 'y');

    const closed = once(ws, 'close');

    socket.destroy();
    assert.equal((await closed)[0], 1006);
    assert.equal(ws._socket, socket);
  });

  it('ends a socket that was made during the closing handshake', async (t) => {
    const server = await serve(t);
    const { ws, peer } = await accept(t, server);
    const events = [];

    ws.on('close', (code) => events.push(`close ${code}`));
    peer.write(masked(CLOSE, closePayload(4000)));
    await peer.end();
    ws._socket.on('close', () => events.push('socket close'));
    peer.socket.end();
    await until(() => events.length === 2, 'both are closed');
    assert.deepEqual(events, ['close 4000', 'socket close']);
    assert.equal(await connections(server.wss), 0);
  });

  it('makes a stream of a socket in the middle of a frame', async (t) => {
    const { ws, peer } = await accept(t, await serve(t));
    const frame = masked(TEXT, 'hello');
    const message = once(ws, 'message');
    const chunks = [];

    peer.write(frame.subarray(0, 8));
    await delay(20);
    ws._socket.on('data', (chunk) => chunks.push(chunk));
    peer.write(frame.subarray(8));
    assert.equal(String((await message)[0]), 'hello');
    assert.deepEqual(Buffer.concat(chunks), frame.subarray(8));
  });

  it("leaves to Node's server what is no plain upgrade", async (t) => {
    const { wss, port } = await serve(t);
    const bad = [
      ['GET / HTTP/1.1\r\nHost: a\r\n\r\n', 426],
      [upgradeRequest({ method: 'POST' }), 405],
      [upgradeRequest({ headers: { 'Sec-WebSocket-Key': 'x' } }), 400],
      [upgradeRequest({ headers: { 'Sec-WebSocket-Version': '12' } }), 400],
      [upgradeRequest({ headers: { 'Sec-WebSocket-Protocol': 'a,,b' } }), 400],
      ['nonsense\r\n\r\n', 400]
    ];

    for (const [bytes, status] of bad) {
      const peer = RawPeer.connect(t, { host: '127.0.0.1', port });

      peer.write(bytes);
      assert.equal((await peer.response()).status, status, bytes);
      peer.socket.destroy();
    }

    await until(
      () => wss._server._connections === 0,
      'the connections are closed'
    );
  });

  it('delivers a head that comes in pieces, and what follows it', async (t) => {
    const { wss, port } = await serve(t);
    const bytes = Buffer.concat([
      Buffer.from(upgradeRequest({ path: '/pieces' })),
      masked(TEXT, 'follows')
    ]);

    for (const cut of [1, 30, bytes.length - 20, bytes.length]) {
      const peer = RawPeer.connect(t, { host: '127.0.0.1', port });
      const message = new Promise((resolve) => {
        wss.once('connection', (ws, { url }) => {
          ws.on('message', (data) => resolve(`${url} ${data}`));
        });
      });

      peer.write(bytes.subarray(0, cut));
      await delay(20);
      peer.write(bytes.subarray(cut));
      assert.equal(await message, '/pieces follows');
    }
  });

  it('hands silent connections to Node after a while', async (t) => {
    const { wss, port } = await serve(t);
    const peer = RawPeer.connect(t, { host: '127.0.0.1', port });

    await until(
      () => wss._server._connections === 1,
      'Node has the connection',
      PATIENCE
    );

    const connection = once(wss, 'connection');

    peer.write(upgradeRequest());
    assert.equal((await peer.response()).status, 101);
    await connection;
  });

  it('hands over everything when the server is closed', async (t) => {
    const { wss, port } = await serve(t);
    const { ws } = await accept(t, { wss, port });
    const silent = RawPeer.connect(t, { host: '127.0.0.1', port });

    await once(silent.socket, 'connect');
    await delay(20);

    const server = wss._server;
    let isClosed = false;

    wss.close(() => {
      isClosed = true;
    });

    //
    // Newer versions of Node hang up on a client that has sent nothing.
    //
    await until(
      () => server._connections === 2 || silent.closed,
      'Node has the connection'
    );

    //
    // Nobody listens any more, although connections are open.
    //
    const refused = net.connect({ host: '127.0.0.1', port });

    assert.equal(
      (await once(refused, 'error').catch((e) => [e]))[0].code,
      'ECONNREFUSED'
    );

    silent.socket.destroy();
    await delay(20);
    assert.equal(isClosed, false);
    ws.terminate();
    await until(() => isClosed, 'the server is closed');
  });

  it('shows its sockets to those who ask the HTTP server', async (t) => {
    const { wss, port } = await serve(t);
    const sockets = [];

    wss._server.on('connection', (socket) => sockets.push(socket));

    const { ws } = await accept(t, { wss, port });

    assert.equal(sockets.length, 1);
    assert.equal(ws._socket, sockets[0]);
    await accept(t, { wss, port });
    assert.equal(sockets.length, 2);
  });

  it('heeds options and methods that are set while it listens', async (t) => {
    const { wss, port } = await serve(t);
    const statusOf = async (request) => {
      const peer = RawPeer.connect(t, { host: '127.0.0.1', port });

      peer.write(upgradeRequest(request));
      return (await peer.response()).status;
    };

    assert.equal(await statusOf(), 101);
    wss.options.path = '/here';
    assert.equal(await statusOf(), 400);
    assert.equal(await statusOf({ path: '/here?there' }), 101);
    wss.options.path = null;
    wss.options.verifyClient = ({ req }) => req.url === '/let-in';
    assert.equal(await statusOf(), 401);
    assert.equal(await statusOf({ path: '/let-in' }), 101);
    wss.options.verifyClient = null;
    wss.shouldHandle = () => false;
    assert.equal(await statusOf(), 400);
    delete wss.shouldHandle;
    wss.on('headers', (headers) => headers.push('X-Own: 1'));

    const peer = RawPeer.connect(t, { host: '127.0.0.1', port });

    peer.write(upgradeRequest());
    assert.equal((await peer.response()).headers['x-own'], '1');
  });

  it('has methods called that see everything', async (t) => {
    class Server extends WebSocket.Server {
      emit(event, ...args) {
        Server.events.push(event);
        return super.emit(event, ...args);
      }
    }

    Server.events = [];

    const wss = new Server({ host: '127.0.0.1', port: 0 });

    t.after(() => wss.close());
    await once(wss, 'listening');
    await settle();

    const { ws } = await accept(t, { wss, port: wss.address().port });

    assert.deepEqual(Server.events, ['listening', 'headers', 'connection']);
    ws.terminate();
  });

  it("has net.Socket's write() called if it was replaced", async (t) => {
    const server = await serve(t);
    const early = await accept(t, server);
    const { write } = net.Socket.prototype;
    const written = [];

    net.Socket.prototype.write = function (chunk, ...args) {
      if (this.server === server.wss._server) written.push(String(chunk));
      return write.call(this, chunk, ...args);
    };

    try {
      early.ws.send('a');
      assert.equal((await early.peer.frame()).payload.toString(), 'a');
      assert.equal(written.join(''), '\ufffd\x01a');
      await accept(t, server);
      assert.match(written.at(-1), /^HTTP\/1.1 101 /);
    } finally {
      net.Socket.prototype.write = write;
    }
  });

  it('negotiates subprotocols and extensions', async (t) => {
    const server = await serve(t, { perMessageDeflate: true });
    const { ws, peer } = await accept(t, server, {
      headers: {
        'Sec-WebSocket-Protocol': 'first, second',
        'Sec-WebSocket-Extensions':
          'permessage-deflate; client_max_window_bits=10'
      }
    });

    assert.equal(ws.protocol, 'first');
    assert.equal(ws.extensions, 'permessage-deflate');
    assert.equal(peer.headers['sec-websocket-protocol'], 'first');
    assert.equal(
      peer.headers['sec-websocket-extensions'],
      'permessage-deflate; client_max_window_bits=10'
    );

    server.wss.options.handleProtocols = (protocols, req) =>
      req.url === '/second' && [...protocols][1];

    const second = await accept(t, server, {
      path: '/second',
      headers: { 'Sec-WebSocket-Protocol': 'first, second' }
    });

    assert.equal(second.ws.protocol, 'second');
  });

  it('survives an exception in the class of the program', async (t) => {
    class Picky extends WebSocket {
      constructor(...args) {
        super(...args);
        if (Picky.throws) throw new Error('picky');
      }
    }

    const server = await serve(t, { WebSocket: Picky });
    const { ws } = await accept(t, server);

    assert.ok(ws instanceof Picky);

    Picky.throws = true;

    const thrown = new Promise((resolve) => {
      process.setUncaughtExceptionCaptureCallback(resolve);
    });
    const peer = RawPeer.connect(t, { host: '127.0.0.1', port: server.port });

    peer.write(upgradeRequest());

    try {
      assert.equal((await thrown).message, 'picky');
    } finally {
      process.setUncaughtExceptionCaptureCallback(null);
    }

    Picky.throws = false;
    await accept(t, server);
  });

  it("survives an exception in a listener of 'connection'", async (t) => {
    const server = await serve(t);
    const thrown = new Promise((resolve) => {
      process.setUncaughtExceptionCaptureCallback(resolve);
    });

    const accepted = accept(t, server);

    server.wss.once('connection', () => {
      throw new Error('picky');
    });

    const { ws, peer } = await accepted.finally(() => {
      process.setUncaughtExceptionCaptureCallback(null);
    });

    assert.equal((await thrown).message, 'picky');
    ws.send('still here');
    assert.equal((await peer.frame()).payload.toString(), 'still here');
    assert.equal(await connections(server.wss), 1);
  });

  it('serves whom it can when descriptors are used up', { skip }, async (t) => {
    const fixture = path.join(__dirname, 'fixtures', 'echo.js');
    const child = spawn(
      'sh',
      ['-c', 'ulimit -n 60; exec "$@"', 'sh'].concat([
        process.execPath,
        fixture
      ])
    );

    t.after(() => child.kill());

    const [line] = await once(child.stdout, 'data');
    const target = { host: '127.0.0.1', port: Number(line) };
    const peers = Array.from({ length: 80 }, () => RawPeer.connect(t, target));

    await Promise.all(
      peers.map(({ socket }) => once(socket, 'connect').catch(() => {}))
    );
    for (const peer of peers) peer.write(upgradeRequest());

    //
    // Some are answered, the others are hung up on.
    //
    await until(
      () => peers.every((peer) => peer.unread > 0 || peer.closed),
      'all have an answer'
    );

    const served = peers.filter((peer) => peer.unread > 0);

    assert.ok(served.length > 10 && served.length < 60);

    for (const peer of served) {
      assert.equal((await peer.response()).status, 101);
      peer.write(masked(TEXT, 'hello'));
      assert.equal((await peer.frame()).payload.toString(), 'hello');
    }

    for (const peer of peers) peer.socket.destroy();
    await delay(50);

    const peer = await RawPeer.open(t, target);

    peer.write(masked(TEXT, 'again'));
    assert.equal((await peer.frame()).payload.toString(), 'again');
  });
});
