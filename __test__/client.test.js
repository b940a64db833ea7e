'use strict';

const assert = require('node:assert/strict');
const http = require('node:http');
const https = require('node:https');
const net = require('node:net');
const tls = require('node:tls');
const { it } = require('node:test');

const WebSocket = require('..');

const { frame } = require('./helpers/frames');
const { acceptUpgrade } = require('./helpers/handshake');
const {
  certificate,
  client,
  closed,
  connect,
  listen,
  messages,
  pair,
  serve,
  unusedPort
} = require('./helpers/pair');
const { delay, once, suite } = require('./helpers/suite');
const { rawServer } = require('./helpers/wire');

/**
 * Starts an HTTP server that answers every request, upgrade or not, in the same
 * way.
 *
 * @param {TestContext} t The context of the test
 * @param {Function} onRequest Answers a request
 * @return {Promise<String>} The URL of the server
 */
async function webServer(t, onRequest) {
  const server = await listen(t, http.createServer(onRequest));

  server.on('upgrade', (req, socket) => {
    const res = new http.ServerResponse(req);

    res.assignSocket(socket);
    res.on('finish', () => socket.end());
    onRequest(req, res);
  });
  return `ws://127.0.0.1:${server.address().port}`;
}

/**
 * Waits for the failure of a client.
 *
 * @param {WebSocket} ws The client
 * @return {Promise<Error>} The error, after which the client has closed
 */
async function failure(ws) {
  const end = closed(ws);
  const [err] = await once(ws, 'error');

  assert.deepEqual(await end, { code: 1006, reason: '' });
  assert.equal(ws.readyState, WebSocket.CLOSED);
  return err;
}

suite('client', () => {
  it('throws a SyntaxError for a URL that it can not use', () => {
    for (const [url, message] of [
      ['foo', 'Invalid URL: foo'],
      [
        'ftp://localhost',
        'The URL\'s protocol must be one of "ws:", "wss:", "http:", ' +
          '"https:", or "ws+unix:"'
      ],
      ['ws+unix:', "The URL's pathname is empty"],
      ['ws://localhost/#part', 'The URL contains a fragment identifier']
    ]) {
      assert.throws(() => new WebSocket(url), { name: 'SyntaxError', message });
    }
  });

  it('throws for subprotocols that are no tokens or duplicated', () => {
    for (const protocols of [null, '', 'a b', 'a,b', ['a', 'a'], ['ä'], [1]]) {
      assert.throws(() => new WebSocket('ws://localhost', protocols), {
        name: 'SyntaxError',
        message: 'An invalid or duplicated subprotocol was specified'
      });
    }
  });

  it('throws a RangeError for an unknown protocol version', () => {
    assert.throws(
      () => new WebSocket('ws://localhost', { protocolVersion: 1000 }),
      {
        name: 'RangeError',
        message:
          'Unsupported protocol version: 1000 (supported versions: 8, 13)'
      }
    );
  });

  it('goes through its ready states', async (t) => {
    const { url } = await serve(t);
    const ws = client(t, url);

    assert.equal(ws.readyState, WebSocket.CONNECTING);
    assert.equal(ws.url, `${url}/`);
    assert.equal(ws.protocol, '');
    assert.equal(ws.extensions, '');
    assert.equal(ws.bufferedAmount, 0);
    assert.equal(ws.binaryType, 'nodebuffer');
    assert.equal(ws.isPaused, false);
    await once(ws, 'open');
    assert.equal(ws.readyState, WebSocket.OPEN);

    const end = closed(ws);

    ws.close();
    assert.equal(ws.readyState, WebSocket.CLOSING);
    assert.deepEqual(await end, { code: 1005, reason: '' });
    assert.equal(ws.readyState, WebSocket.CLOSED);
  });

  it('accepts a URL object', async (t) => {
    const { url } = await serve(t);
    const ws = await connect(t, new URL(`${url}/path?query`));

    assert.equal(ws.url, `${url}/path?query`);
  });

  it("accepts 'http:' and 'https:' URLs", async (t) => {
    const plain = await serve(t);
    const secure = await serve(t, { form: 'server', secure: true });
    const address = new URL(plain.url.replace('ws:', 'http:'));

    assert.equal((await connect(t, address)).url, `${plain.url}/`);
    assert.equal(address.protocol, 'http:');

    const ws = await connect(t, secure.url.replace('wss:', 'https:'), {
      rejectUnauthorized: false
    });

    assert.equal(ws.url, `${secure.url}/`);
    assert.ok(ws._socket instanceof tls.TLSSocket);
  });

  it('connects to a Unix socket, with and without a path', async (t) => {
    const { wss, url } = await serve(t, { form: 'unix' });
    const paths = [];

    wss.on('connection', (ws, req) => paths.push(req.url));
    await connect(t, url);
    await connect(t, `${url}:/chat?room=1`);
    assert.deepEqual(paths, ['/', '/chat?room=1']);
  });

  it('connects with TLS to a host whose certificate it trusts', async (t) => {
    const { url } = await serve(t, { form: 'server', secure: true });
    const { cert: ca } = certificate();
    const ws = await connect(t, url.replace('127.0.0.1', 'localhost'), {
      ca,
      lookup: (host, options, cb) => {
        if (options.all) cb(null, [{ address: '127.0.0.1', family: 4 }]);
        else cb(null, '127.0.0.1', 4);
      }
    });

    assert.equal(ws._socket.authorized, true);
    assert.equal(ws._socket.servername, 'localhost');
    assert.equal(ws._socket.getPeerCertificate().subject.CN, 'localhost');

    // An address is no server name.
    const byAddress = await connect(t, url, { ca });

    assert.equal(byAddress._socket.servername, false);
  });

  it('refuses a self-signed certificate unless told not to', async (t) => {
    const { url } = await serve(t, { form: 'server', secure: true });
    const err = await failure(client(t, url));

    assert.equal(err.code, 'DEPTH_ZERO_SELF_SIGNED_CERT');
    await connect(t, url, { rejectUnauthorized: false });
  });

  it('passes its options on to the HTTP request', async (t) => {
    const { wss, url } = await serve(t);
    const connection = once(wss, 'connection');
    const agent = new http.Agent();
    let used = 0;

    agent.createConnection = (...args) => {
      used++;
      return net.connect(...args);
    };
    client(t, url.replace('ws://', 'ws://user:p%40ss@'), {
      agent,
      headers: { 'X-One': '1', Connection: 'ignored', 'User-Agent': 'test' },
      localAddress: '127.0.0.1',
      origin: 'http://example.test'
    });

    const [, req] = await connection;

    assert.equal(used, 1);
    assert.equal(req.headers['x-one'], '1');
    assert.equal(req.headers['user-agent'], 'test');
    assert.equal(req.headers.connection, 'Upgrade');
    assert.equal(req.headers.upgrade, 'websocket');
    assert.equal(req.headers.origin, 'http://example.test');
    assert.equal(
      req.headers.authorization,
      `Basic ${Buffer.from('user:p@ss').toString('base64')}`
    );
    assert.equal(req.headers['sec-websocket-version'], '13');
    assert.equal(
      req.headers['sec-websocket-extensions'],
      'permessage-deflate; client_max_window_bits'
    );
    assert.match(req.headers['sec-websocket-key'], /^[+/\w]{22}==$/);
  });

  it('does not let options stand in for parts of the URL', async (t) => {
    const { wss, url } = await serve(t);
    const connection = once(wss, 'connection');

    client(t, `${url}/right`, {
      host: 'wrong.invalid',
      hostname: 'wrong.invalid',
      method: 'POST',
      path: '/wrong',
      port: 1,
      protocol: 'https:',
      socketPath: '/wrong'
    });
    assert.equal((await connection)[1].url, '/right');
  });

  it('uses createConnection()', async (t) => {
    const { url, target } = await serve(t);
    let socket;
    const ws = await connect(t, url.replace(/\d+$/, '1'), {
      createConnection: (options) => {
        assert.equal(options.port, '1');
        socket = net.connect(target);
        return socket;
      }
    });

    assert.equal(ws._socket, socket);
  });

  it('leaves the end of the request to finishRequest()', async (t) => {
    const { wss, url } = await serve(t);
    const connection = once(wss, 'connection');
    const ws = client(t, url, {
      finishRequest: (request, websocket) => {
        assert.ok(request instanceof http.ClientRequest);
        assert.ok(websocket instanceof WebSocket);
        assert.equal(request, websocket._req);
        setTimeout(() => {
          request.setHeader('X-Late', 'yes');
          request.end();
        }, 10);
      }
    });
    const [, req] = await connection;

    await once(ws, 'open');
    assert.equal(req.headers['x-late'], 'yes');
    assert.equal(ws._req, null);
  });

  it('uses another header for the origin in version 8', async (t) => {
    const { wss, url } = await serve(t);
    const connection = once(wss, 'connection');

    client(t, url, { protocolVersion: 8, origin: 'http://example.test' });

    const [, req] = await connection;

    assert.equal(req.headers['sec-websocket-version'], '8');
    assert.equal(req.headers['sec-websocket-origin'], 'http://example.test');
    assert.equal(req.headers.origin, undefined);
  });

  it('offers subprotocols given in any of the three ways', async (t) => {
    const { wss, url } = await serve(t);
    const seen = [];

    wss.on('connection', (ws, req) => {
      seen.push(req.headers['sec-websocket-protocol']);
    });

    assert.equal((await connect(t, url, 'a')).protocol, 'a');
    assert.equal((await connect(t, url, ['a', 'b'])).protocol, 'a');
    assert.equal((await connect(t, url, { protocols: 'c' })).protocol, 'c');
    assert.equal(
      (await connect(t, url, undefined, { protocols: ['d', 'e'] })).protocol,
      'd'
    );
    assert.equal(
      (await connect(t, url, 'f', { protocols: 'g' })).protocol,
      'f'
    );
    assert.deepEqual(seen, ['a', 'a,b', 'c', 'd,e', 'f']);
  });

  it("emits 'upgrade' with the response before 'open'", async (t) => {
    const { url } = await serve(t);
    const ws = client(t, url);
    const order = [];

    ws.on('upgrade', (res) => {
      order.push('upgrade');
      assert.ok(res instanceof http.IncomingMessage);
      assert.equal(res.statusCode, 101);
      assert.equal(ws.readyState, WebSocket.CONNECTING);
      assert.equal(ws._socket, null);
      ws.once('open', () => {
        order.push('open');
        assert.equal(ws._socket, res.socket);
      });
    });
    await once(ws, 'open');
    assert.deepEqual(order, ['upgrade', 'open']);
  });

  it("can be closed by an 'upgrade' listener", async (t) => {
    const { url } = await serve(t);
    const ws = client(t, url);

    ws.on('upgrade', () => ws.terminate());
    ws.on('open', () => assert.fail("'open' was emitted"));

    const err = await failure(ws);

    assert.equal(
      err.message,
      'WebSocket was closed before the connection was established'
    );
  });

  it('fails when the response is not a valid upgrade', async (t) => {
    for (const [headers, options, message] of [
      [{ Upgrade: 'foo' }, {}, 'Invalid Upgrade header'],
      [
        { 'Sec-WebSocket-Accept': 'CxYS6+NgJSBG74mdgLvGscRvpns=' },
        {},
        'Invalid Sec-WebSocket-Accept header'
      ],
      [
        { 'Sec-WebSocket-Accept': undefined },
        {},
        'Invalid Sec-WebSocket-Accept header'
      ],
      [
        { 'Sec-WebSocket-Protocol': 'foo' },
        {},
        'Server sent a subprotocol but none was requested'
      ],
      [
        { 'Sec-WebSocket-Protocol': 'foo' },
        { protocols: ['bar'] },
        'Server sent an invalid subprotocol'
      ],
      [{}, { protocols: ['bar'] }, 'Server sent no subprotocol'],
      [
        { 'Sec-WebSocket-Extensions': 'permessage-deflate' },
        { perMessageDeflate: false },
        'Server sent a Sec-WebSocket-Extensions header but no extension was ' +
          'requested'
      ],
      [
        { 'Sec-WebSocket-Extensions': 'permessage-deflate;' },
        {},
        'Invalid Sec-WebSocket-Extensions header'
      ],
      [
        { 'Sec-WebSocket-Extensions': 'foo' },
        {},
        'Server indicated an extension that was not requested'
      ],
      [
        {
          'Sec-WebSocket-Extensions':
            'permessage-deflate; server_max_window_bits=7'
        },
        {},
        'Invalid Sec-WebSocket-Extensions header'
      ]
    ]) {
      const url = await rawServer(t, null, (head) =>
        acceptUpgrade(head, headers)
      );
      const err = await failure(client(t, url, options));

      assert.equal(err.constructor, Error);
      assert.equal(err.message, message, JSON.stringify(headers));
    }
  });

  it('fails when the server does not upgrade', async (t) => {
    const url = await webServer(t, (req, res) => {
      res.writeHead(404);
      res.end('nothing here');
    });
    const err = await failure(client(t, url));

    assert.equal(err.message, 'Unexpected server response: 404');
  });

  it("gives the response to an 'unexpected-response' listener", async (t) => {
    const url = await webServer(t, (req, res) => {
      res.writeHead(403, { 'X-Why': 'because' });
      res.end('no entry');
    });
    const ws = client(t, url);
    const [req, res] = await once(ws, 'unexpected-response');

    assert.ok(req instanceof http.ClientRequest);
    assert.equal(res.statusCode, 403);
    assert.equal(res.headers['x-why'], 'because');
    assert.equal((await once(res, 'data')).toString(), 'no entry');
    assert.equal(ws.readyState, WebSocket.CONNECTING);
  });

  it('fails when nobody listens', async (t) => {
    const port = await unusedPort();
    const err = await failure(client(t, `ws://127.0.0.1:${port}`));

    assert.equal(err.code, 'ECONNREFUSED');
    assert.equal(err.port, port);

    const missing = await failure(client(t, 'ws+unix:/nowhere/at/all'));

    assert.equal(missing.code, 'ENOENT');
  });

  it('fails when the server hangs up during the handshake', async (t) => {
    const server = await listen(
      t,
      net.createServer((socket) => {
        socket.on('error', () => {});
        socket.once('data', () => socket.end());
      })
    );
    const err = await failure(
      client(t, `ws://127.0.0.1:${server.address().port}`)
    );

    assert.equal(err.message, 'socket hang up');
    assert.equal(err.code, 'ECONNRESET');
  });

  it('gives up the handshake after handshakeTimeout', async (t) => {
    const url = await rawServer(t, null, () => null);
    const started = Date.now();
    const err = await failure(client(t, url, { handshakeTimeout: 100 }));

    assert.equal(err.message, 'Opening handshake has timed out');
    assert.ok(Date.now() - started >= 90);
  });

  it('does not apply handshakeTimeout to the open connection', async (t) => {
    const { ws, peer } = await pair(t, { client: { handshakeTimeout: 60 } });

    await delay(120);

    const received = messages(peer);

    ws.send('still there');
    assert.deepEqual(await received, ['still there']);
  });

  it('fails when it is closed or terminated before it is open', async (t) => {
    const { url } = await serve(t);

    for (const method of ['close', 'terminate']) {
      const ws = client(t, url);
      const pending = failure(ws);

      ws[method]();
      assert.equal(ws.readyState, WebSocket.CLOSING);
      assert.equal(
        (await pending).message,
        'WebSocket was closed before the connection was established'
      );
      ws[method]();
    }
  });

  it('does not follow redirects by default', async (t) => {
    const url = await webServer(t, (req, res) => {
      res.writeHead(302, { Location: '/elsewhere' });
      res.end();
    });

    assert.equal(
      (await failure(client(t, url))).message,
      'Unexpected server response: 302'
    );
  });

  it('follows redirects when it is told to', async (t) => {
    const { wss, url: end } = await serve(t);
    const connection = once(wss, 'connection');
    const url = await webServer(t, (req, res) => {
      res.writeHead(302, { Location: req.url === '/' ? '/2' : `${end}/last` });
      res.end();
    });
    const ws = client(t, url, {
      followRedirects: true,
      headers: { Authorization: 'secret', Cookie: 'a=b', 'X-Keep': 'yes' }
    });
    const [, req] = await connection;

    await once(ws, 'open');
    assert.equal(ws.url, `${end}/last`);
    assert.equal(req.url, '/last');
    assert.equal(req.headers['x-keep'], 'yes');

    // Another port is another host, which must not learn these.
    assert.equal(req.headers.authorization, undefined);
    assert.equal(req.headers.cookie, undefined);
  });

  it("keeps all headers if a 'redirect' listener takes care", async (t) => {
    const { wss, url: end } = await serve(t);
    const connection = once(wss, 'connection');
    const url = await webServer(t, (req, res) => {
      res.writeHead(307, { Location: end });
      res.end();
    });
    const ws = client(t, url, {
      followRedirects: true,
      headers: { Cookie: 'a=b' }
    });
    const seen = [];

    ws.on('redirect', (address, request) => {
      seen.push(address);
      assert.ok(request instanceof http.ClientRequest);
      request.setHeader('X-More', '1');
    });

    const [, req] = await connection;

    assert.deepEqual(seen, [`${end}/`]);
    assert.equal(req.headers.cookie, 'a=b');
    assert.equal(req.headers['x-more'], '1');
    await once(ws, 'open');
  });

  it('fails on too many redirects, and on bad ones', async (t) => {
    let requests = 0;
    const url = await webServer(t, (req, res) => {
      requests++;

      const location =
        req.url === '/url'
          ? 'ws://'
          : req.url === '/scheme'
            ? 'ftp://localhost'
            : `${req.url}x`;

      res.writeHead(302, { Location: location });
      res.end();
    });
    const follow = (path, options) =>
      failure(client(t, url + path, { followRedirects: true, ...options }));
    const tooMany = await follow('/', { maxRedirects: 2 });

    assert.equal(tooMany.message, 'Maximum redirects exceeded');
    assert.equal(requests, 3);

    const bad = await follow('/url');

    assert.ok(bad instanceof SyntaxError);
    assert.equal(bad.message, 'Invalid URL: ws://');

    const scheme = await follow('/scheme');

    assert.ok(scheme instanceof SyntaxError);
    assert.match(scheme.message, /^The URL's protocol must be one of/);
  });

  it('throws from send(), ping() and pong() before it is open', async (t) => {
    const { url } = await serve(t);
    const ws = client(t, url);

    for (const method of ['send', 'ping', 'pong']) {
      assert.throws(() => ws[method]('x'), {
        name: 'Error',
        message: 'WebSocket is not open: readyState 0 (CONNECTING)'
      });
    }

    ws.pause();
    assert.equal(ws.isPaused, false);
  });

  it('sends data of every type', async (t) => {
    const { ws, peer } = await pair(t);
    const bytes = new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]);
    const cases = [
      ['text', 'text'],
      ['', ''],
      [42, '42'],
      [0, '0'],
      [Buffer.from(bytes), Buffer.from(bytes)],
      [bytes, Buffer.from(bytes)],
      [bytes.buffer, Buffer.from(bytes)],
      [bytes.subarray(2, 5), Buffer.from([3, 4, 5])],
      [new Uint16Array(bytes.buffer, 2, 2), Buffer.from([3, 4, 5, 6])],
      [new DataView(bytes.buffer, 1, 3), Buffer.from([2, 3, 4])],
      [[65, 66, 67], Buffer.from('ABC')],
      [new Blob(['bl', 'ob']), Buffer.from('blob')],
      [null, Buffer.alloc(0)],
      [undefined, Buffer.alloc(0)],
      [Buffer.alloc(0), Buffer.alloc(0)],
      ['€'.repeat(30000), '€'.repeat(30000)]
    ];
    const received = messages(peer, cases.length);

    for (const [data] of cases) ws.send(data);
    assert.deepEqual(
      await received,
      cases.map(([, expected]) => expected)
    );
    assert.throws(() => ws.send(Symbol('x')), TypeError);
  });

  it('throws for what is no data, and goes on', async (t) => {
    const { ws, peer } = await pair(t);
    const received = messages(peer);

    for (const data of [true, {}, () => {}]) {
      assert.throws(() => ws.send(data), {
        name: 'TypeError',
        code: 'ERR_INVALID_ARG_TYPE'
      });
    }

    ws.send('good');
    assert.deepEqual(await received, ['good']);
  });

  it('sends data of all sizes around the limits of the header', async (t) => {
    const { ws, peer } = await pair(t);
    const sizes = [0, 1, 2, 125, 126, 127, 65535, 65536, 65537, 1 << 20];

    for (const [from, to] of [
      [ws, peer],
      [peer, ws]
    ]) {
      const received = messages(to, sizes.length);
      const sent = sizes.map((size) =>
        Buffer.alloc(size, `${size}-abcdefghijk`)
      );

      for (const data of sent) from.send(data);

      const list = await received;

      for (let i = 0; i < sizes.length; i++) {
        assert.ok(list[i].equals(sent[i]), `${sizes[i]} bytes differ`);
      }
    }
  });

  it('leaves the data it is given unchanged', async (t) => {
    const { ws, peer } = await pair(t);
    const received = messages(peer, 3);
    const small = Buffer.from('small');
    const big = Buffer.alloc(200000, 'big');

    ws.send(small);
    ws.send(big);
    ws.ping(small);
    ws.send(small);
    assert.equal(small.toString(), 'small');
    assert.ok(big.equals(Buffer.alloc(200000, 'big')));
    await received;
  });

  it('gives a received Buffer for keeps', async (t) => {
    const { ws, peer } = await pair(t);
    const kept = [];
    const end = messages(peer, 300);

    peer.on('message', (data) => kept.push(data));
    for (let i = 0; i < 300; i++) ws.send(Buffer.alloc(1 + i * 7, i));
    await end;
    for (let i = 0; i < 300; i++) ws.send(Buffer.alloc(3000, 0xff));
    await messages(peer, 300);
    for (let i = 0; i < 300; i++) {
      assert.ok(
        kept[i].equals(Buffer.alloc(1 + i * 7, i)),
        `message ${i} has changed`
      );
    }
  });

  it('honours the options of send()', async (t) => {
    const seen = [];
    let peer;
    const url = await rawServer(t, (raw) => {
      peer = raw;
    });
    const ws = await connect(t, url, { perMessageDeflate: false });

    ws.send('binary', { binary: true });
    ws.send(Buffer.from('text'), { binary: false });
    ws.send('unmasked', { mask: false });
    ws.send('frag', { fin: false });
    ws.send(Buffer.from('men'), { fin: false });
    ws.send('', { fin: false });
    ws.send('ted', { fin: true, binary: true });
    ws.send('whole', { compress: true });

    for (let i = 0; i < 8; i++) {
      const { fin, rsv, opcode, mask, payload } = await peer.frame();

      seen.push([fin, rsv === 4, opcode, mask !== null, payload.toString()]);
    }

    assert.deepEqual(seen, [
      [true, false, 2, true, 'binary'],
      [true, false, 1, true, 'text'],
      [true, false, 1, false, 'unmasked'],
      [false, false, 1, true, 'frag'],
      [false, false, 0, true, 'men'],
      [false, false, 0, true, ''],
      [true, false, 0, true, 'ted'],
      [true, false, 1, true, 'whole']
    ]);
  });

  it('puts fragments together, whatever comes between them', async (t) => {
    const { ws, peer } = await pair(t);
    const received = messages(peer);
    const ping = once(peer, 'ping');

    ws.send('frag', { fin: false });
    ws.ping('between');
    ws.send('men', { fin: false });
    ws.send('ted', { fin: true });
    assert.deepEqual(await received, ['fragmented']);
    assert.equal((await ping)[0].toString(), 'between');
  });

  it('uses a new masking key for every frame', async (t) => {
    let peer;
    const url = await rawServer(t, (raw) => {
      peer = raw;
    });
    const ws = await connect(t, url, { perMessageDeflate: false });
    const keys = new Set();

    for (let i = 0; i < 50; i++) ws.send(`message ${i}`);
    for (let i = 0; i < 50; i++) {
      const { mask, payload } = await peer.frame();

      assert.equal(payload.toString(), `message ${i}`);
      keys.add(mask.toString('hex'));
    }

    assert.ok(keys.size > 45, `only ${keys.size} different keys in 50`);
  });

  it('takes masking keys from generateMask()', async (t) => {
    let peer;
    const url = await rawServer(t, (raw) => {
      peer = raw;
    });
    let calls = 0;
    const ws = await connect(t, url, {
      perMessageDeflate: false,
      generateMask: (mask) => {
        assert.equal(mask.length, 4);
        mask.fill(calls++);
      }
    });

    ws.send('zero');
    ws.send(Buffer.from('one'));
    ws.ping('two');
    ws.close(1000, 'three');

    for (const [i, text] of ['zero', 'one', 'two'].entries()) {
      const { mask, payload } = await peer.frame();

      assert.deepEqual(mask, Buffer.alloc(4, i));
      assert.equal(payload.toString(), text);
    }

    const { mask, payload } = await peer.frame();

    assert.deepEqual(mask, Buffer.alloc(4, 3));
    assert.equal(payload.subarray(2).toString(), 'three');
    assert.equal(calls, 4);
  });

  it('calls the callbacks of send() in order, without errors', async (t) => {
    const { ws, peer } = await pair(t);
    const order = [];

    await new Promise((resolve) => {
      ws.send('a', (err) => order.push(['a', err]));
      ws.send(Buffer.alloc(1 << 20), (err) => order.push(['b', err]));
      ws.send('c', { fin: true }, (err) => order.push(['c', err]));
      ws.ping('d', false, (err) => order.push(['d', err]));
      ws.pong((err) => order.push(['e', err]));
      ws.send(new Blob(['f']), (err) => {
        order.push(['f', err]);
        resolve();
      });
      assert.deepEqual(order, []);
    });
    assert.deepEqual(
      order.map(([name, err]) => [name, err ?? undefined]),
      ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => [name, undefined])
    );
    assert.equal(peer.readyState, WebSocket.OPEN);
  });

  it('refuses to send when it is closing or closed', async (t) => {
    const { ws } = await pair(t);
    const errors = [];

    ws.close();
    ws.send('after', (err) => errors.push(err.message));
    ws.ping('after', false, (err) => errors.push(err.message));
    ws.send('no callback');
    assert.deepEqual(errors, []);
    await closed(ws);
    ws.send(new Uint8Array(5), (err) => errors.push(err.message));
    ws.pong((err) => errors.push(err.message));
    await delay(0);
    assert.deepEqual(errors, [
      'WebSocket is not open: readyState 2 (CLOSING)',
      'WebSocket is not open: readyState 2 (CLOSING)',
      'WebSocket is not open: readyState 3 (CLOSED)',
      'WebSocket is not open: readyState 3 (CLOSED)'
    ]);
    assert.equal(ws.bufferedAmount, 5 + 5 + 11 + 5);
  });

  it('counts what is sent after a failed handshake, too', async (t) => {
    const ws = client(t, `ws://127.0.0.1:${await unusedPort()}`);

    await failure(ws);
    ws.send('hello');
    assert.equal(ws.bufferedAmount, 5);
    assert.equal(ws._socket, null);
  });

  it('gives binary messages in the type of binaryType', async (t) => {
    const { ws, peer } = await pair(t);
    const sent = Buffer.from('abcdef');
    const receive = async () => {
      const message = once(peer, 'message');

      ws.send(sent.subarray(0, 3), { fin: false });
      ws.send(sent.subarray(3), { fin: true });

      const [data, isBinary] = await message;

      assert.equal(isBinary, true);
      return data;
    };

    peer.binaryType = 'unknown';
    assert.equal(peer.binaryType, 'nodebuffer');

    const buffer = await receive();

    assert.ok(Buffer.isBuffer(buffer));
    assert.deepEqual(buffer, sent);

    peer.binaryType = 'arraybuffer';

    const arrayBuffer = await receive();

    assert.ok(arrayBuffer instanceof ArrayBuffer);
    assert.deepEqual(Buffer.from(arrayBuffer), sent);

    peer.binaryType = 'fragments';

    const fragments = await receive();

    assert.ok(Array.isArray(fragments));
    assert.deepEqual(fragments, [sent.subarray(0, 3), sent.subarray(3)]);

    peer.binaryType = 'blob';

    const blob = await receive();

    assert.ok(blob instanceof Blob);
    assert.equal(await blob.text(), 'abcdef');

    peer.binaryType = 'nodebuffer';
    assert.deepEqual(await receive(), sent);
  });

  it('gives text as a Buffer, whatever binaryType is', async (t) => {
    const { ws, peer } = await pair(t);

    for (const type of ['nodebuffer', 'arraybuffer', 'fragments', 'blob']) {
      const message = once(peer, 'message');

      peer.binaryType = type;
      ws.send('text');

      const [data, isBinary] = await message;

      assert.ok(Buffer.isBuffer(data), type);
      assert.equal(isBinary, false);
      assert.equal(data.toString(), 'text');
    }
  });

  it('gives an ArrayBuffer that holds nothing else', async (t) => {
    const { ws, peer } = await pair(t);
    const received = messages(peer, 3);

    peer.binaryType = 'arraybuffer';
    for (const size of [1, 100, 100000]) ws.send(Buffer.alloc(size));
    assert.deepEqual(
      (await received).map((data) => data.byteLength),
      [1, 100, 100000]
    );
  });

  it('sends and answers pings', async (t) => {
    const { ws, peer } = await pair(t);
    const pings = [];
    const pongs = [];

    peer.on('ping', (data) => pings.push(data.toString()));
    await new Promise((resolve) => {
      ws.on('pong', (data) => {
        pongs.push(data.toString());
        if (pongs.length === 5) resolve();
      });
      ws.ping();
      ws.ping('text');
      ws.ping(Buffer.from('buffer'));
      ws.ping(7);
      ws.ping('a'.repeat(125));
    });

    const expected = ['', 'text', 'buffer', '7', 'a'.repeat(125)];

    assert.deepEqual(pings, expected);
    assert.deepEqual(pongs, expected);

    for (const method of ['ping', 'pong']) {
      assert.throws(() => ws[method](Buffer.alloc(126)), {
        name: 'RangeError',
        message: 'The data size must not be greater than 125 bytes'
      });
    }
  });

  it('closes with a code and a reason of every kind', async (t) => {
    for (const [args, expected] of [
      [[], { code: 1005, reason: '' }],
      [[1000], { code: 1000, reason: '' }],
      [[1001, 'going'], { code: 1001, reason: 'going' }],
      [[1014, Buffer.from('bytes')], { code: 1014, reason: 'bytes' }],
      [[3000, 'ü'.repeat(61)], { code: 3000, reason: 'ü'.repeat(61) }],
      [[4999, ''], { code: 4999, reason: '' }]
    ]) {
      for (const side of ['ws', 'peer']) {
        const sides = await pair(t);
        const ends = [closed(sides.ws), closed(sides.peer)];

        sides[side].close(...args);
        assert.deepEqual(await Promise.all(ends), [expected, expected]);
        assert.equal(sides.ws._closeFrameSent, true);
        assert.equal(sides.ws._closeFrameReceived, true);
        sides[side].close();
        sides[side].terminate();
      }
    }
  });

  it('throws for a bad close code or reason, and stays open', async (t) => {
    const { ws, peer } = await pair(t);

    for (const code of ['1000', 999, 1004, 1005, 1006, 1015, 2999, 5000]) {
      assert.throws(() => ws.close(code), {
        name: 'TypeError',
        message: 'First argument must be a valid error code number'
      });
    }

    assert.throws(() => ws.close(1000, 'a'.repeat(124)), {
      name: 'RangeError',
      message: 'The message must not be greater than 123 bytes'
    });
    assert.equal(ws.readyState, WebSocket.OPEN);

    const received = messages(peer);

    ws.send('open');
    assert.deepEqual(await received, ['open']);
  });

  it('delivers what was sent before close()', async (t) => {
    const { ws, peer } = await pair(t);
    const received = messages(peer, 100);
    const end = closed(peer);

    for (let i = 0; i < 100; i++) ws.send(Buffer.alloc(10000, i));
    ws.close(1000);
    assert.equal((await received).length, 100);
    assert.equal((await end).code, 1000);
  });

  it('can still receive after close(), until the answer comes', async (t) => {
    const { ws, peer } = await pair(t);
    const received = messages(ws, 1);

    peer._socket.pause();
    ws.close(1000);
    peer.send('on the way');
    peer._socket.resume();
    assert.deepEqual(await received, ['on the way']);
    assert.equal((await closed(ws)).code, 1000);
  });

  it('gives up waiting for the close frame after closeTimeout', async (t) => {
    const url = await rawServer(t, () => {});
    const ws = await connect(t, url, { closeTimeout: 80 });

    ws.close(1000);
    assert.notEqual(ws._closeTimer, null);
    assert.deepEqual(await closed(ws), { code: 1006, reason: '' });
  });

  it('terminates without a close frame', async (t) => {
    const { ws, peer } = await pair(t);
    const ends = [closed(ws), closed(peer)];

    ws.terminate();
    assert.equal(ws.readyState, WebSocket.CLOSING);
    assert.deepEqual(await Promise.all(ends), [
      { code: 1006, reason: '' },
      { code: 1006, reason: '' }
    ]);
  });

  it('pauses and resumes', async (t) => {
    const { ws, peer } = await pair(t);
    const seen = [];
    const received = messages(ws, 3);

    ws.on('message', (data) => seen.push(data.toString()));
    ws.pause();
    assert.equal(ws.isPaused, true);
    peer.send('one');
    peer.send('two');
    await delay(50);
    assert.deepEqual(seen, []);
    ws.resume();
    assert.equal(ws.isPaused, false);
    peer.send('three');
    assert.deepEqual(await received, ['one', 'two', 'three']);
  });

  it('stops at once when a handler pauses', async (t) => {
    const { ws, peer } = await pair(t);
    const seen = [];
    const received = messages(ws, 1);

    ws.on('message', (data) => {
      seen.push(data.toString());
      ws.pause();
    });

    // One after the other, so that each comes in a chunk of its own.
    peer.send('one');
    await received;
    peer.send('two');
    await delay(30);
    assert.deepEqual(seen, ['one']);

    const next = messages(ws, 1);

    ws.resume();
    await next;
    assert.deepEqual(seen, ['one', 'two']);
  });

  it('can be closed while it is paused', async (t) => {
    const { ws, peer } = await pair(t);
    const end = closed(ws);

    ws.pause();
    peer.send('unseen');
    await delay(20);
    ws.terminate();
    assert.equal((await end).code, 1006);
    ws.resume();
    ws.pause();
  });

  it('compresses when both sides agree', async (t) => {
    for (const [server, options, expected] of [
      [true, true, 'permessage-deflate'],
      [true, false, ''],
      [false, true, ''],
      [
        { serverNoContextTakeover: true, clientNoContextTakeover: true },
        true,
        'permessage-deflate'
      ],
      [
        { serverMaxWindowBits: 9, clientMaxWindowBits: 10 },
        { clientMaxWindowBits: true },
        'permessage-deflate'
      ]
    ]) {
      const { ws, peer } = await pair(t, {
        perMessageDeflate: server,
        client: { perMessageDeflate: options }
      });
      const text = JSON.stringify({ text: 'compressible '.repeat(1000) });
      const received = messages(peer, 3);
      const before = ws._socket.bytesWritten;

      assert.equal(ws.extensions, expected);
      for (let i = 0; i < 3; i++) ws.send(text);
      assert.deepEqual(await received, [text, text, text]);

      const written = ws._socket.bytesWritten - before;

      assert.equal(
        written < text.length,
        expected !== '',
        `${written} bytes were written`
      );
    }
  });

  it('does not compress below the threshold', async (t) => {
    let peer;
    const url = await rawServer(
      t,
      (raw) => {
        peer = raw;
      },
      (head) =>
        acceptUpgrade(head, {
          'Sec-WebSocket-Extensions':
            'permessage-deflate; client_no_context_takeover'
        })
    );
    const ws = await connect(t, url, { perMessageDeflate: { threshold: 10 } });

    ws.send('a'.repeat(9));
    ws.send('a'.repeat(10));
    ws.send('a'.repeat(100), { compress: false });

    const seen = [];

    for (let i = 0; i < 3; i++) seen.push((await peer.frame()).rsv === 4);
    assert.deepEqual(seen, [false, true, false]);
  });

  it('keeps the order of compressed and other messages', async (t) => {
    const { ws, peer } = await pair(t, {
      perMessageDeflate: { threshold: 0 }
    });
    const sent = Array.from({ length: 60 }, (_, i) =>
      `${i} `.repeat(200 * (i % 3) + 1)
    );
    const received = messages(peer, 60);

    sent.forEach((text, i) => ws.send(text, { compress: i % 2 === 0 }));
    assert.deepEqual(await received, sent);
  });

  it('has the interface of an EventTarget', async (t) => {
    const { wss, url } = await serve(t);
    const seen = [];

    wss.on('connection', (ws) => {
      ws.send('text');
      ws.send(Buffer.from('bytes'));
      ws.close(1001, 'bye');
    });

    const ws = client(t, url);
    const object = {
      handleEvent(event) {
        assert.equal(this, object);
        seen.push(`object ${event.type}`);
      }
    };
    const removed = () => assert.fail('a removed listener was called');

    ws.addEventListener('open', object);
    ws.addEventListener('message', removed);
    ws.removeEventListener('message', removed);
    ws.addEventListener('message', () => seen.push('once'), { once: true });
    ws.onopen = (event) => {
      assert.equal(event.type, 'open');
      assert.equal(event.target, ws);
    };
    ws.onmessage = function onMessage(event) {
      assert.equal(this, ws);
      assert.equal(event.type, 'message');
      assert.equal(event.target, ws);
      seen.push(event.data.toString());
    };
    assert.equal(typeof ws.onmessage, 'function');
    assert.equal(ws.onerror, null);

    const event = await new Promise((resolve) => {
      ws.onclose = resolve;
    });

    assert.equal(event.type, 'close');
    assert.equal(event.code, 1001);
    assert.equal(event.reason, 'bye');
    assert.equal(event.wasClean, true);
    assert.equal(event.target, ws);
    assert.deepEqual(seen, ['object open', 'once', 'text', 'bytes']);
  });

  it("gives an 'error' event with error and message", async (t) => {
    const ws = client(t, `ws://127.0.0.1:${await unusedPort()}`);
    const end = closed(ws);
    const event = await new Promise((resolve) => {
      ws.onerror = resolve;
    });

    assert.equal(event.type, 'error');
    assert.equal(event.target, ws);
    assert.ok(event.error instanceof Error);
    assert.equal(event.message, event.error.message);
    await end;
  });

  it('can be extended', async (t) => {
    const { wss, url } = await serve(t);
    const seen = [];

    class Client extends WebSocket {
      /**
       * Notes the event.
       *
       * @param {String} name The name of the event
       * @param {...*} args The arguments
       * @return {Boolean} Whether there were listeners
       */
      emit(name, ...args) {
        seen.push(name);
        return super.emit(name, ...args);
      }
    }

    wss.on('connection', (ws) => {
      ws.send('hello');
      ws.close();
    });

    const ws = new Client(url);

    await closed(ws);
    assert.deepEqual(
      seen.filter((name) => !/Listener$/.test(name)),
      ['upgrade', 'open', 'message', 'close']
    );
  });

  it('uses an https.Agent', async (t) => {
    const { url } = await serve(t, { form: 'server', secure: true });
    const agent = new https.Agent({ rejectUnauthorized: false });
    const ws = await connect(t, url, { agent });

    assert.ok(ws._socket instanceof tls.TLSSocket);
  });

  it('takes the frames that come with the response', async (t) => {
    const url = await rawServer(t, null, (head) =>
      Buffer.concat([
        Buffer.from(acceptUpgrade(head)),
        frame(1, 'early'),
        frame(9, 'ping')
      ])
    );
    const ws = client(t, url);
    const ping = once(ws, 'ping');
    const order = [];

    ws.on('open', () => order.push('open'));
    ws.on('message', (data) => order.push(data.toString()));
    await ping;
    assert.deepEqual(order, ['open', 'early']);
  });
});
