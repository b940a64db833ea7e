'use strict';

const assert = require('node:assert/strict');
const http = require('node:http');
const net = require('node:net');
const { it } = require('node:test');

const WebSocket = require('..');

const { masked } = require('./helpers/frames');
const { upgradeRequest } = require('./helpers/handshake');
const {
  FORMS,
  client,
  closed,
  connect,
  listen,
  messages,
  pair,
  serve
} = require('./helpers/pair');
const { delay, once, suite, until } = require('./helpers/suite');
const { RawPeer } = require('./helpers/wire');

const { WebSocketServer } = WebSocket;

/**
 * Calls a function later, in a turn of the event loop of its own.
 *
 * @param {Number} ms How much later
 * @param {Function} fn The function
 */
function later(ms, fn) {
  setTimeout(fn, ms);
}

suite('server', () => {
  it('throws if not exactly one of its three forms is asked for', () => {
    const server = http.createServer();

    for (const options of [
      undefined,
      {},
      { port: 0, server },
      { port: 0, noServer: true },
      { server, noServer: true },
      { port: 0, server, noServer: true }
    ]) {
      assert.throws(() => new WebSocketServer(options), {
        name: 'TypeError',
        message:
          'One and only one of the "port", "server", or "noServer" options ' +
          'must be specified'
      });
    }
  });

  it('shows its options with their defaults', () => {
    const wss = new WebSocketServer({ noServer: true });

    assert.deepEqual(wss.options, {
      allowSynchronousEvents: true,
      autoPong: true,
      maxBufferedChunks: 262144,
      maxFragments: 16384,
      maxPayload: 104857600,
      maxPendingAutoPongs: 60,
      skipUTF8Validation: false,
      perMessageDeflate: false,
      handleProtocols: null,
      clientTracking: true,
      closeTimeout: 30000,
      verifyClient: null,
      noServer: true,
      backlog: null,
      server: null,
      host: null,
      path: null,
      port: null,
      WebSocket
    });
    assert.deepEqual(
      new WebSocketServer({ noServer: true, perMessageDeflate: true }).options
        .perMessageDeflate,
      {}
    );
  });

  for (const form of FORMS) {
    for (const perMessageDeflate of [false, true]) {
      it(`echoes in its '${form}' form${
        perMessageDeflate ? ', compressed' : ''
      }`, async (t) => {
        const { wss, ws, peer } = await pair(t, { form, perMessageDeflate });

        peer.on('message', (data, binary) => peer.send(data, { binary }));

        const received = messages(ws, 3);

        ws.send('grüße');
        ws.send(Buffer.from([0, 1, 254, 255]));
        ws.send('a'.repeat(100000));

        assert.deepEqual(await received, [
          'grüße',
          Buffer.from([0, 1, 254, 255]),
          'a'.repeat(100000)
        ]);
        assert.equal(
          ws.extensions,
          perMessageDeflate ? 'permessage-deflate' : ''
        );
        assert.equal(peer.extensions, ws.extensions);
        assert.deepEqual([...wss.clients], [peer]);

        const ends = [closed(ws), closed(peer)];

        ws.close(1000, 'done');
        assert.deepEqual(await Promise.all(ends), [
          { code: 1000, reason: 'done' },
          { code: 1000, reason: 'done' }
        ]);
        assert.equal(wss.clients.size, 0);
      });
    }
  }

  it("emits 'connection' with the WebSocket and the request", async (t) => {
    const { wss, url } = await serve(t);
    const connection = once(wss, 'connection');
    let self;

    wss.once('connection', function onConnection() {
      self = this;
    });
    client(t, `${url}/path?query`, { headers: { 'x-test': 'yes' } });

    const [ws, req] = await connection;

    assert.equal(self, wss);
    assert.ok(ws instanceof WebSocket);
    assert.equal(ws.readyState, WebSocket.OPEN);
    assert.equal(ws.url, undefined);
    assert.ok(req instanceof http.IncomingMessage);
    assert.equal(req.url, '/path?query');
    assert.equal(req.headers['x-test'], 'yes');
    assert.equal(req.socket, ws._socket);
  });

  it("calls back and emits 'listening' when it listens", async (t) => {
    const events = [];

    await new Promise((resolve) => {
      const wss = new WebSocketServer({ port: 0 }, () => {
        events.push('callback');
        resolve();
      });

      t.after(() => wss.close());
      wss.on('listening', () => events.push('event'));
    });
    await delay(0);
    assert.deepEqual(events.sort(), ['callback', 'event']);
  });

  it("gives its address in 'port' and 'server' form", async (t) => {
    const { wss } = await serve(t);
    const unix = await serve(t, { form: 'unix' });

    assert.deepEqual(wss.address(), {
      address: '127.0.0.1',
      family: 'IPv4',
      port: wss.address().port
    });
    assert.equal(unix.wss.address(), unix.target.path);
    assert.throws(() => new WebSocketServer({ noServer: true }).address(), {
      name: 'Error',
      message: 'The server is operating in "noServer" mode'
    });

    wss.close();
    assert.equal(wss.address(), null);
  });

  it('listens on the host it is given', async (t) => {
    const wss = new WebSocketServer({ port: 0, host: '::1' });

    t.after(() => wss.close());

    try {
      await once(wss, 'listening');
    } catch (err) {
      if (err.code === 'EADDRNOTAVAIL') {
        t.skip('this machine has no IPv6');
        return;
      }

      throw err;
    }

    const ws = await connect(t, `ws://[::1]:${wss.address().port}`);

    assert.equal(ws._socket.remoteAddress, '::1');
  });

  it("emits 'error' when it can't listen", async (t) => {
    const { wss } = await serve(t);
    const second = new WebSocketServer({
      host: '127.0.0.1',
      port: wss.address().port
    });
    const [err] = await once(second, 'error');

    assert.equal(err.code, 'EADDRINUSE');
    assert.equal(err.syscall, 'listen');
  });

  it("passes on the events 'listening' and 'error' of its server", async (t) => {
    const server = http.createServer();
    const wss = new WebSocketServer({ server });
    const seen = [];

    t.after(() => wss.close());
    wss.on('listening', () => seen.push('listening'));
    wss.on('error', (err) => seen.push(err.message));
    await listen(t, server);
    server.emit('error', new Error('oops'));
    assert.deepEqual(seen, ['listening', 'oops']);
  });

  it('answers an ordinary request with 426 in its own HTTP server', async (t) => {
    const { target } = await serve(t);
    const peer = RawPeer.connect(t, target);

    peer.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');

    const response = await peer.response();

    assert.equal(response.status, 426);
    assert.equal(response.headers['content-type'], 'text/plain');
    assert.equal(response.body, 'Upgrade Required');
  });

  it('leaves ordinary requests to the server it was given', async (t) => {
    const { server, target, url } = await serve(t, { form: 'server' });

    server.on('request', (req, res) => res.end('a page'));

    const peer = RawPeer.connect(t, target);

    peer.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
    assert.equal((await peer.response()).body, 'a page');
    await connect(t, url);
  });

  it('accepts version 8 of the protocol', async (t) => {
    const { wss, url } = await serve(t);

    wss.options.verifyClient = ({ origin }) => origin === 'http://old';
    await connect(t, url, { protocolVersion: 8, origin: 'http://old' });
  });

  it('accepts the Upgrade and Connection headers in any case', async (t) => {
    const { target } = await serve(t);

    await RawPeer.open(t, target, {
      headers: { Upgrade: 'WebSocket', Connection: 'keep-alive, upgrade' }
    });
  });

  it('accepts only the path it is given, whatever the query', async (t) => {
    const { wss, url } = await serve(t, { path: '/chat' });

    await connect(t, `${url}/chat`);
    await connect(t, `${url}/chat?room=1`);

    for (const path of ['', '/', '/chat/', '/Chat', '/chat2']) {
      const [err] = await once(client(t, url + path), 'error');

      assert.equal(err.message, 'Unexpected server response: 400', path);
    }

    wss.options.path = '/talk';
    await connect(t, `${url}/talk`);
  });

  it('asks shouldHandle(), also when an instance replaces it', async (t) => {
    const { wss, url } = await serve(t, { path: '/chat' });
    const seen = [];

    assert.equal(wss.shouldHandle({ url: '/chat?x' }), true);
    assert.equal(wss.shouldHandle({ url: '/other' }), false);

    wss.shouldHandle = (req) => {
      seen.push(req.url);
      return req.url === '/other';
    };
    await connect(t, `${url}/other`);
    await once(client(t, `${url}/chat`), 'error');
    assert.deepEqual(seen, ['/other', '/chat']);
  });

  it('lets verifyClient accept and refuse at once', async (t) => {
    const seen = [];
    const { url } = await serve(t, {
      verifyClient: (info) => {
        seen.push(info);
        return info.origin === 'http://good';
      }
    });

    await connect(t, url, { origin: 'http://good' });

    const ws = client(t, url, { origin: 'http://bad' });
    const [, res] = await once(ws, 'unexpected-response');

    assert.equal(res.statusCode, 401);
    assert.equal(res.headers.connection, 'close');
    assert.equal(res.headers['content-type'], 'text/html');
    assert.equal((await once(res, 'data')).toString(), 'Unauthorized');
    assert.deepEqual(
      seen.map(({ origin, secure, req }) => [
        origin,
        secure,
        req instanceof http.IncomingMessage
      ]),
      [
        ['http://good', false, true],
        ['http://bad', false, true]
      ]
    );
  });

  it('tells verifyClient that a connection is secure', async (t) => {
    const seen = [];
    const { url } = await serve(t, {
      form: 'server',
      secure: true,
      verifyClient: ({ secure }) => seen.push(secure)
    });

    await connect(t, url, { rejectUnauthorized: false });
    assert.deepEqual(seen, [true]);
  });

  it('lets verifyClient accept and refuse later', async (t) => {
    const { url } = await serve(t, {
      verifyClient: ({ req }, cb) => {
        const answers = {
          '/yes': [true],
          '/no': [false],
          '/code': [false, 404],
          '/all': [false, 429, 'Slow down', { 'Retry-After': 7 }]
        };

        later(20, () => cb(...answers[req.url]));
      }
    });
    const refusal = async (path) => {
      const [, res] = await once(client(t, url + path), 'unexpected-response');

      return [
        res.statusCode,
        (await once(res, 'data')).toString(),
        res.headers['retry-after']
      ];
    };

    await connect(t, `${url}/yes`);
    assert.deepEqual(await refusal('/no'), [401, 'Unauthorized', undefined]);
    assert.deepEqual(await refusal('/code'), [404, 'Not Found', undefined]);
    assert.deepEqual(await refusal('/all'), [429, 'Slow down', '7']);
  });

  it('survives a client that goes away during verifyClient', async (t) => {
    const { wss, url, target } = await serve(t, {
      verifyClient: ({ req }, cb) => {
        if (req.url === '/late') wss.emit('verify', cb);
        else cb(true);
      }
    });
    const verification = once(wss, 'verify');
    const peer = RawPeer.connect(t, target);

    wss.on('connection', (ws, req) => assert.equal(req.url, '/'));
    peer.write(upgradeRequest({ path: '/late' }));

    const [cb] = await verification;

    peer.socket.destroy();
    await delay(50);
    cb(true);
    await connect(t, url);
    await until(() => wss.clients.size === 1, 'one client is left');
  });

  it('takes the first subprotocol that the client offers', async (t) => {
    const { ws, peer } = await pair(t, {
      client: { protocols: ['first', 'second'] }
    });

    assert.equal(ws.protocol, 'first');
    assert.equal(peer.protocol, 'first');
  });

  it('lets handleProtocols choose, also when it is set late', async (t) => {
    const { wss, url } = await serve(t);
    const calls = [];

    wss.options.handleProtocols = (protocols, req) => {
      calls.push([protocols, req.url]);
      return req.url === '/none' ? false : [...protocols].at(-1);
    };

    const ws = await connect(t, url, ['first', 'second']);

    assert.equal(ws.protocol, 'second');

    const [err] = await once(client(t, `${url}/none`, ['first']), 'error');

    assert.equal(err.message, 'Server sent no subprotocol');
    assert.deepEqual(calls, [
      [new Set(['first', 'second']), '/'],
      [new Set(['first']), '/none']
    ]);

    // It is not asked when there is nothing to choose from.
    await connect(t, url);
    assert.equal(calls.length, 2);
  });

  it("lets a 'headers' listener change the response", async (t) => {
    const { wss, url } = await serve(t);

    wss.on('headers', (headers, req) => {
      assert.equal(headers[0], 'HTTP/1.1 101 Switching Protocols');
      assert.equal(headers[1], 'Upgrade: websocket');
      assert.equal(headers[2], 'Connection: Upgrade');
      assert.match(headers[3], /^Sec-WebSocket-Accept: [+/\w]{27}=$/);
      headers.push(`X-Path: ${req.url}`, 'Set-Cookie: a=b');
    });

    const ws = client(t, `${url}/here`);
    const [res] = await once(ws, 'upgrade');

    assert.equal(res.headers['x-path'], '/here');
    assert.deepEqual(res.headers['set-cookie'], ['a=b']);
  });

  it("gives a bad handshake to a 'wsClientError' listener", async (t) => {
    const { wss, target } = await serve(t);
    const seen = [];

    wss.on('wsClientError', (err, socket, req) => {
      seen.push([err.constructor, err.message, req.url]);
      assert.ok(socket instanceof net.Socket);
      socket.end('HTTP/1.1 418 Teapot\r\nConnection: close\r\n\r\n');
    });

    const peer = RawPeer.connect(t, target);

    peer.write(
      upgradeRequest({
        path: '/bad',
        headers: { 'Sec-WebSocket-Version': undefined }
      })
    );
    assert.equal((await peer.response()).status, 418);
    assert.deepEqual(seen, [
      [Error, 'Missing or invalid Sec-WebSocket-Version header', '/bad']
    ]);
  });

  it('uses the WebSocket class it is given', async (t) => {
    class Special extends WebSocket {
      /**
       * Tells the class apart.
       *
       * @return {String} A word
       */
      speciality() {
        return 'special';
      }
    }

    const { peer, ws } = await pair(t, { WebSocket: Special });

    assert.ok(peer instanceof Special);
    assert.equal(peer.speciality(), 'special');

    const received = messages(peer);

    ws.send('hello');
    assert.deepEqual(await received, ['hello']);
  });

  it('bears a class that declares what a WebSocket has', async (t) => {
    class Declared extends WebSocket {
      _receiver;
      _sender;
      _socket;
    }

    for (const form of ['port', 'server']) {
      const { peer, ws } = await pair(t, { form, WebSocket: Declared });
      const received = messages(ws);

      assert.ok(peer._socket.remotePort > 0);
      assert.equal(peer._sender._socket, peer._socket);
      assert.ok(peer._receiver);
      peer.send('hello');
      assert.deepEqual(await received, ['hello']);
    }
  });

  it('can be extended, and calls the methods of the subclass', async (t) => {
    const calls = [];

    class Server extends WebSocketServer {
      /**
       * Notes the call.
       *
       * @param {...*} args The arguments
       * @return {*} What the parent gives
       */
      handleUpgrade(...args) {
        calls.push('handleUpgrade');
        return super.handleUpgrade(...args);
      }

      /**
       * Notes the call.
       *
       * @param {...*} args The arguments
       * @return {*} What the parent gives
       */
      completeUpgrade(...args) {
        calls.push(`completeUpgrade ${args.length}`);
        return super.completeUpgrade(...args);
      }
    }

    const { url } = await serve(t, { Server });

    await connect(t, url);
    assert.deepEqual(calls, ['handleUpgrade', 'completeUpgrade 7']);
  });

  it('lets a patched completeUpgrade() see every connection', async (t) => {
    const { wss, url } = await serve(t);
    const original = wss.completeUpgrade;
    const seen = [];

    wss.completeUpgrade = function completeUpgrade(
      extensions,
      key,
      protocols,
      req,
      ...rest
    ) {
      seen.push([Object.keys(extensions), key.length, protocols, req.url]);
      return original.call(this, extensions, key, protocols, req, ...rest);
    };

    await connect(t, `${url}/seen`, 'sub');
    assert.deepEqual(seen, [[[], 24, new Set(['sub']), '/seen']]);
  });

  it('calls the callback of handleUpgrade() before that returns', async (t) => {
    const wss = new WebSocketServer({ noServer: true });
    const server = await listen(t, http.createServer());
    const order = [];

    server.on('upgrade', (req, socket, head) => {
      wss.handleUpgrade(req, socket, head, (ws, request) => {
        assert.equal(ws.readyState, WebSocket.OPEN);
        assert.equal(ws._socket, socket);
        assert.equal(request, req);
        order.push('callback');
      });
      order.push('returned');
    });

    const ws = await connect(t, `ws://127.0.0.1:${server.address().port}`);

    assert.deepEqual(order, ['callback', 'returned']);
    for (const peer of wss.clients) peer.terminate();
    await closed(ws);
  });

  it('delivers what was sent before a late handleUpgrade()', async (t) => {
    const wss = new WebSocketServer({ noServer: true });
    const server = await listen(t, http.createServer());
    const upgrade = once(server, 'upgrade');
    const peer = RawPeer.connect(t, server.address());
    const received = [];

    t.after(() => wss.clients.forEach((ws) => ws.terminate()));

    // One write: the request, a whole frame, and the beginning of a second.
    const second = masked(1, 'second');

    peer.write(
      Buffer.concat([
        Buffer.from(upgradeRequest()),
        masked(1, 'first'),
        second.subarray(0, 5)
      ])
    );

    const [req, socket, head] = await upgrade;

    assert.ok(head.length > 0, 'the frames were to come with the request');

    // These bytes are buffered by the socket, which nobody reads.
    peer.write(Buffer.concat([second.subarray(5), masked(2, 'third')]));
    await delay(30);
    peer.write(masked(9, 'ping'));
    await delay(30);

    wss.handleUpgrade(req, socket, head, (ws) => {
      ws.on('message', (data, isBinary) => {
        received.push([data.toString(), isBinary]);
      });
    });
    peer.write(masked(1, 'last'));
    assert.equal((await peer.response()).status, 101);

    const pong = await peer.frame();

    assert.equal(pong.opcode, 10);
    assert.equal(pong.payload.toString(), 'ping');
    await until(() => received.length === 4, 'four messages came');
    assert.deepEqual(received, [
      ['first', false],
      ['second', false],
      ['third', true],
      ['last', false]
    ]);
  });

  it('handles many late upgrades at once', async (t) => {
    const wss = new WebSocketServer({ noServer: true });
    const server = await listen(t, http.createServer());

    t.after(() => wss.clients.forEach((ws) => ws.terminate()));
    server.on('upgrade', (req, socket, head) => {
      later(Number(req.url.slice(1)), () => {
        wss.handleUpgrade(req, socket, head, (ws) => {
          ws.on('message', (data) => ws.send(`${req.url} ${data}`));
        });
      });
    });

    const answers = await Promise.all(
      Array.from({ length: 20 }, async (_, i) => {
        const peer = RawPeer.connect(t, server.address());

        peer.write(
          Buffer.concat([
            Buffer.from(upgradeRequest({ path: `/${i * 3}` })),
            masked(1, `message ${i}`)
          ])
        );
        await peer.response();
        return (await peer.frame()).payload.toString();
      })
    );

    assert.deepEqual(
      answers,
      Array.from({ length: 20 }, (_, i) => `/${i * 3} message ${i}`)
    );
  });

  it('destroys a socket that has ended before a late handleUpgrade()', async (t) => {
    const wss = new WebSocketServer({ noServer: true });
    const server = await listen(t, http.createServer());
    const upgrade = once(server, 'upgrade');
    const peer = RawPeer.connect(t, server.address());

    peer.write(upgradeRequest());

    const [req, socket, head] = await upgrade;

    socket.resume();
    peer.socket.end();
    await once(socket, 'end');
    wss.handleUpgrade(req, socket, head, () => {
      assert.fail('the connection was accepted');
    });
    assert.equal(socket.destroyed, true);
    await peer.end();
    assert.equal(wss.clients.size, 0);
  });

  it('throws if handleUpgrade() is called twice with one socket', async (t) => {
    const wss = new WebSocketServer({ noServer: true });
    const server = await listen(t, http.createServer());
    let error;

    t.after(() => wss.clients.forEach((ws) => ws.terminate()));
    server.on('upgrade', (req, socket, head) => {
      wss.handleUpgrade(req, socket, head, () => {});

      try {
        wss.handleUpgrade(req, socket, head, () => {});
      } catch (err) {
        error = err;
      }
    });

    await connect(t, `ws://127.0.0.1:${server.address().port}`);
    assert.equal(
      error.message,
      'server.handleUpgrade() was called more than once with the same ' +
        'socket, possibly due to a misconfiguration'
    );
  });

  it('serves several paths of one HTTP server', async (t) => {
    const server = await listen(t, http.createServer());
    const servers = {
      '/a': new WebSocketServer({ noServer: true }),
      '/b': new WebSocketServer({ noServer: true, perMessageDeflate: true })
    };

    server.on('upgrade', (req, socket, head) => {
      const wss = servers[req.url];

      if (!wss) {
        socket.destroy();
        return;
      }

      wss.handleUpgrade(req, socket, head, (ws) => ws.send(req.url));
    });
    t.after(() => {
      for (const wss of Object.values(servers)) {
        wss.clients.forEach((ws) => ws.terminate());
      }
    });

    const url = `ws://127.0.0.1:${server.address().port}`;

    for (const path of Object.keys(servers)) {
      assert.deepEqual(await messages(client(t, url + path)), [path]);
    }

    const [err] = await once(client(t, `${url}/c`), 'error');

    assert.equal(err.code, 'ECONNRESET');
  });

  it('tracks its clients unless it is told not to', async (t) => {
    const { wss, url } = await serve(t);
    const sockets = await Promise.all([connect(t, url), connect(t, url)]);

    assert.equal(wss.clients.size, 2);
    sockets[0].terminate();
    await until(() => wss.clients.size === 1, 'a client has gone');

    const untracked = await serve(t, { form: 'server', clientTracking: false });

    assert.equal(untracked.wss.clients, undefined);

    const connection = once(untracked.wss, 'connection');

    await connect(t, untracked.url);
    (await connection)[0].terminate();
    await new Promise((resolve) => untracked.wss.close(resolve));
  });

  it('closes: no new connections, the old ones may go on', async (t) => {
    const { wss, url, ws, peer } = await pair(t);
    let emitted = false;
    const callback = new Promise((resolve) => wss.close(resolve));

    wss.on('close', () => {
      emitted = true;
    });

    const [err] = await once(client(t, url), 'error');

    assert.equal(err.code, 'ECONNREFUSED');
    assert.equal(emitted, false);

    const received = messages(ws);

    peer.send('still here');
    assert.deepEqual(await received, ['still here']);
    assert.equal(emitted, false);

    ws.close();
    assert.equal(await callback, undefined);
    assert.equal(emitted, true);
  });

  it('closes without closing the server it was given', async (t) => {
    const { wss, server, url, ws } = await pair(t, { form: 'server' });
    const end = once(wss, 'close');

    server.on('upgrade', (req, socket) => socket.destroy());
    wss.close();
    ws.close();
    await end;
    assert.equal(server.listening, true);
    assert.equal(server.listenerCount('upgrade'), 1);

    const [err] = await once(client(t, url), 'error');

    assert.equal(err.code, 'ECONNRESET');
  });

  it('refuses an upgrade with 503 while it is closing', async (t) => {
    const { wss, url, peer } = await pair(t, { form: 'noServer' });

    wss.close();

    const [err] = await once(client(t, url), 'error');

    assert.equal(err.message, 'Unexpected server response: 503');
    peer.terminate();
    await once(wss, 'close');
  });

  it('calls back with an error when it is closed again', async () => {
    const wss = new WebSocketServer({ noServer: true });
    const order = [];

    wss.close(() => order.push('first'));
    wss.close(() => order.push('second'));
    await once(wss, 'close');
    assert.deepEqual(order, ['first', 'second']);

    const err = await new Promise((resolve) => wss.close(resolve));

    assert.equal(err.message, 'The server is not running');
  });

  it('can be closed by way of its HTTP server', async (t) => {
    const { wss } = await serve(t);

    assert.ok(wss._server instanceof http.Server);
    wss._server.close();
    await once(wss._server, 'close');
    assert.equal(wss._server.listening, false);
  });

  it('destroys a peer that does not answer its close frame', async (t) => {
    const { wss, target } = await serve(t, { closeTimeout: 100 });
    const connection = once(wss, 'connection');
    const peer = await RawPeer.open(t, target);
    const [ws] = await connection;
    const started = Date.now();

    ws.close(1001, 'bye');
    assert.deepEqual(await peer.closeFrame(), { code: 1001, reason: 'bye' });
    assert.deepEqual(await closed(ws), { code: 1006, reason: '' });

    const took = Date.now() - started;

    assert.ok(took >= 90 && took < 2000, `it took ${took} ms`);
    await peer.end();
  });

  it('answers pings unless autoPong is off', async (t) => {
    const { wss, target } = await serve(t);
    const peer = await RawPeer.open(t, target);

    peer.write(masked(9, 'one'));
    assert.equal((await peer.frame()).payload.toString(), 'one');

    wss.options.autoPong = false;

    const connection = once(wss, 'connection');
    const mute = await RawPeer.open(t, target);
    const [ws] = await connection;
    const ping = once(ws, 'ping');

    mute.write(masked(9, 'two'));
    assert.equal((await ping)[0].toString(), 'two');
    ws.send('no pong before this');
    assert.equal((await mute.frame()).opcode, 1);
  });

  it('terminates a peer with too many pings it does not read pongs of', async (t) => {
    const { wss, target } = await serve(t, { maxPendingAutoPongs: 5 });
    const connection = once(wss, 'connection');
    const peer = await RawPeer.open(t, target);
    const [ws] = await connection;
    const end = closed(ws);

    // Fill the way back, so that pongs have to wait.
    peer.socket.pause();
    await until(() => {
      ws.send(Buffer.alloc(1 << 20));
      return ws.bufferedAmount > 4 << 20;
    }, 'the way to the peer is full');

    peer.write(Buffer.concat(Array.from({ length: 5 }, () => masked(9, ''))));
    await delay(50);
    assert.equal(ws.readyState, WebSocket.OPEN);
    peer.write(masked(9, ''));
    assert.deepEqual(await end, { code: 1006, reason: '' });
  });

  it('delivers one message per tick if allowSynchronousEvents is false', async (t) => {
    const runs = {};

    for (const allowSynchronousEvents of [true, false]) {
      const { wss, target } = await serve(t, { allowSynchronousEvents });
      const connection = once(wss, 'connection');
      const peer = await RawPeer.open(t, target);
      const [ws] = await connection;
      const order = [];

      ws.on('message', (data) => {
        order.push(data.toString());
        setImmediate(() => order.push('immediate'));
      });
      peer.write(
        Buffer.concat([masked(1, 'a'), masked(1, 'b'), masked(1, 'c')])
      );
      await until(() => order.length === 6, 'three messages came');
      runs[allowSynchronousEvents] = order.join(' ');
    }

    assert.equal(runs.true, 'a b c immediate immediate immediate');
    assert.match(runs.false, /^a immediate b immediate c/);
  });

  it('runs ticks and microtasks between messages of two connections', async (t) => {
    const { wss, target } = await serve(t);
    const order = [];

    wss.on('connection', (ws) => {
      ws.on('message', (data) => {
        order.push(`message ${data}`);
        process.nextTick(() => order.push(`tick ${data}`));
        Promise.resolve().then(() => order.push(`microtask ${data}`));
      });
    });

    const first = await RawPeer.open(t, target);
    const second = await RawPeer.open(t, target);

    first.write(masked(1, '1'));
    second.write(masked(1, '2'));

    // Let both messages wait in the kernel for the same turn.
    const end = Date.now() + 50;

    while (Date.now() < end);
    await delay(50);
    assert.equal(order.length, 6);

    const [a, b] = order[0] === 'message 1' ? ['1', '2'] : ['2', '1'];

    assert.deepEqual(order, [
      `message ${a}`,
      `tick ${a}`,
      `microtask ${a}`,
      `message ${b}`,
      `tick ${b}`,
      `microtask ${b}`
    ]);
  });

  it('sends one message to many clients', async (t) => {
    const { wss, url } = await serve(t);
    const clients = await Promise.all(
      Array.from({ length: 50 }, () => connect(t, url))
    );
    const received = Promise.all(clients.map((ws) => messages(ws, 20)));

    for (let i = 0; i < 20; i++) {
      for (const ws of wss.clients) ws.send(`message ${i}`);
    }

    const expected = Array.from({ length: 20 }, (_, i) => `message ${i}`);

    for (const list of await received) assert.deepEqual(list, expected);
  });

  it('serves TLS connections', async (t) => {
    const { ws, peer } = await pair(t, {
      form: 'server',
      secure: true,
      perMessageDeflate: true
    });

    peer.on('message', (data, binary) => peer.send(data, { binary }));

    const received = messages(ws, 2);

    ws.send('secure');
    ws.send(Buffer.alloc(300000, 7));
    assert.deepEqual(await received, ['secure', Buffer.alloc(300000, 7)]);
    assert.equal(peer._socket.encrypted, true);
  });
});
