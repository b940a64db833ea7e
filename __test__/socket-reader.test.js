'use strict';

const assert = require('node:assert/strict');
const http = require('node:http');
const net = require('node:net');
const path = require('node:path');
const tls = require('node:tls');
const { it } = require('node:test');

const WebSocket = require('..');

const { Child } = require('./helpers/child');
const { duplexPair } = require('./helpers/duplex');
const { closePayload, frame, masked } = require('./helpers/frames');
const { acceptUpgrade, upgradeRequest } = require('./helpers/handshake');
const { certificate, messages, pair, serve } = require('./helpers/pair');
const { once, suite, until } = require('./helpers/suite');

const SECURE = { form: 'server', secure: true };
const SIZES = [0, 1, 125, 126, 384, 385, 1024, 5000, 16384, 65536, 300000];

/**
 * Makes a message that can be told from others.
 *
 * @param {Number} size Its length in bytes
 * @param {Number} seed What it is made of
 * @return {Buffer} The message
 */
function message(size, seed) {
  return Buffer.from(
    Uint8Array.from({ length: size }, (_, i) => (i * 7 + seed) & 0x7f)
  );
}

/**
 * Opens a bare connection to a server with TLS.
 *
 * @param {TestContext} t The context of the test
 * @param {Object} [options] Options of the server
 * @return {Promise<Object>} The bare socket, and the server's WebSocket
 */
async function rawPair(t, options) {
  const { wss, target } = await serve(t, { ...SECURE, ...options });
  const connection = once(wss, 'connection');
  const socket = tls.connect({ ...target, rejectUnauthorized: false });

  t.after(() => socket.destroy());
  socket.on('error', () => {});
  socket.write(upgradeRequest());
  await once(socket, 'data');
  return { socket, ws: (await connection)[0] };
}

/**
 * Serves connections over TLS with a message that comes after the handshake.
 *
 * @param {TestContext} t The context of the test
 * @return {Promise<String>} The URL of the server
 */
async function urlOf(t) {
  const { url, wss } = await serve(t, SECURE);

  wss.on('connection', (ws) => setTimeout(() => ws.send('hello'), 50));
  return url;
}

suite('socket reader', () => {
  for (const perMessageDeflate of [false, true]) {
    it(`receives messages over TLS, compression ${perMessageDeflate}`, async (t) => {
      const { ws, peer } = await pair(t, { ...SECURE, perMessageDeflate });

      for (const [from, to] of [
        [ws, peer],
        [peer, ws]
      ]) {
        const received = [];

        to.on('message', (data) => received.push(data));

        for (const size of SIZES) {
          from.send(message(size, size));
          await until(() => received.length > 0);
          assert.deepEqual(received, [message(size, size)]);

          //
          // What was not copied would have the memory of a chunk.
          //
          if (size === 125 && !perMessageDeflate) {
            assert.ok(received[0].buffer.byteLength >= Buffer.poolSize);
          }

          received.length = 0;
        }
      }
    });
  }

  it('does not touch messages that have been delivered', async (t) => {
    const { ws, peer } = await pair(t, SECURE);

    for (const [from, to] of [
      [ws, peer],
      [peer, ws]
    ]) {
      const sent = [];
      const received = [];

      to.on('message', (data) => received.push(data));

      for (let i = 0; i < 300; i++) {
        sent.push(message(SIZES[i % 10] + (i % 17), i));
        from.send(sent[i]);
        if (i % 7 === 0) await until(() => received.length > i - 50);
      }

      await until(() => received.length === sent.length);
      assert.deepEqual(received, sent);
    }
  });

  it('decodes whatever the chunks are', async (t) => {
    const { socket, ws } = await rawPair(t);
    const received = messages(ws, 400);
    const expected = [];
    const frames = [];

    for (let i = 0; i < 400; i++) {
      const data = message(i < 390 ? i % 150 : i * 100, i).toString();

      expected.push(data);
      if (i % 5 === 0) {
        const half = data.length >> 1;

        frames.push(
          masked(1, data.slice(0, half), { fin: false }),
          masked(9, 'ping'),
          masked(0, data.slice(half))
        );
      } else {
        frames.push(masked(1, data));
      }
    }

    let bytes = Buffer.concat(frames);

    for (let i = 0; bytes.length > 0; i++) {
      const size = i % 11 === 0 ? 20000 : (i * 37) % 400;

      socket.write(bytes.subarray(0, size));
      bytes = bytes.subarray(size);
      if (i % 3 === 0) await new Promise(setImmediate);
    }

    assert.deepEqual(await received, expected);
  });

  it('reports what is wrong', async (t) => {
    for (const [bytes, code] of [
      [masked(1, Buffer.from([0xff])), 'WS_ERR_INVALID_UTF8'],
      [frame(1, 'not masked'), 'WS_ERR_EXPECTED_MASK'],
      [masked(3, 'reserved'), 'WS_ERR_INVALID_OPCODE'],
      [masked(1, 'x'.repeat(101)), 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH']
    ]) {
      const { socket, ws } = await rawPair(t, { maxPayload: 100 });

      socket.write(masked(1, 'good'));
      assert.deepEqual(await messages(ws), ['good']);
      socket.write(bytes);
      assert.equal((await once(ws, 'error'))[0].code, code);
    }
  });

  it('closes after a close frame', async (t) => {
    const { socket, ws } = await rawPair(t);
    const closed = once(ws, 'close');

    socket.end(masked(8, closePayload(1001, 'bye')));
    assert.deepEqual(await closed, [1001, Buffer.from('bye')]);
  });

  it('closes after a close frame that comes while a listener runs', async (t) => {
    const { socket, ws } = await rawPair(t);
    const closed = once(ws, 'close');

    ws.on('message', () => {
      ws._socket.emit('data', masked(8, closePayload(1001, 'bye')));
    });
    socket.write(masked(1, 'a'));
    assert.deepEqual(await closed, [1001, Buffer.from('bye')]);
  });

  it('gives chunks to those who listen, and goes on', async (t) => {
    const { ws, peer } = await pair(t, SECURE);
    const chunks = [];

    peer.send('before');
    assert.deepEqual(await messages(ws), ['before']);

    const listener = (chunk) => chunks.push(chunk);

    ws._socket.on('data', listener);
    peer.send('seen');
    assert.deepEqual(await messages(ws), ['seen']);
    assert.deepEqual(Buffer.concat(chunks), frame(1, 'seen'));
    assert.equal(chunks[0].buffer.byteLength, chunks[0].length);

    ws._socket.off('data', listener);
    peer.send('after');
    assert.deepEqual(await messages(ws), ['after']);
    assert.equal(chunks.length, 1);
  });

  it('reads ahead while the connection is paused', async (t) => {
    const { ws, peer } = await pair(t, SECURE);
    const received = messages(ws, 2);

    ws.pause();
    peer.send('one');
    peer.send('two');
    await until(() => ws._socket.readableLength === 10);
    ws.resume();
    assert.deepEqual(await received, ['one', 'two']);

    const third = messages(ws);

    peer.send('three');
    assert.deepEqual(await third, ['three']);
  });

  it('goes on after an exception of a listener', async (t) => {
    const { socket, ws } = await rawPair(t);
    const received = [];
    const errors = [];
    const onError = (err) => errors.push(err.message);
    const others = process.listeners('uncaughtException');

    process.removeAllListeners('uncaughtException');
    process.on('uncaughtException', onError);
    t.after(() => {
      process.off('uncaughtException', onError);
      for (const other of others) process.on('uncaughtException', other);
    });

    ws.on('message', (data) => {
      received.push(`${data}`);
      if (received.length < 4) throw new Error(`after ${data}`);
    });
    socket.write(masked(1, 'a'));
    await until(() => errors.length === 1);
    socket.write(masked(1, 'b'.repeat(1000)));
    await until(() => errors.length === 2);
    socket.write(Buffer.concat([masked(1, 'c'), masked(1, 'd')]));
    await until(() => received.length === 4);
    assert.deepEqual(errors, [
      'after a',
      `after ${'b'.repeat(1000)}`,
      'after c'
    ]);
  });

  it('serves TLS over streams whose chunks come in listeners', async (t) => {
    const [left, right] = duplexPair();
    const server = http.createServer();
    const wss = new WebSocket.Server({ server });
    const secure = new tls.TLSSocket(left, {
      isServer: true,
      ...certificate()
    });

    t.after(() => {
      secure.destroy();
      right.destroy();
    });
    wss.on('connection', (ws) => {
      ws.on('message', (data) => {
        ws.send(`${data}!`);
        ws.send(`${data}?`);
      });
    });
    server.emit('connection', secure);

    const ws = new WebSocket('ws://localhost', {
      createConnection: () =>
        tls.connect({ socket: right, rejectUnauthorized: false })
    });
    const received = [];

    ws.on('message', (data) => {
      received.push(`${data}`);
      if (received.length < 40) ws.send(`${received.length}`);
      assert.equal(`${data}`, received[received.length - 1]);
    });
    await once(ws, 'open');
    ws.send('0');
    await until(() => received.length >= 40);
    assert.deepEqual(received.slice(0, 6), [
      '0!',
      '0?',
      '1!',
      '1?',
      '2!',
      '2?'
    ]);
    ws.terminate();
  });

  it('has chunks seen by an emit() that was replaced before', async (t) => {
    const child = new Child(t, process.execPath, [
      '-e',
      `const EventEmitter = require('events');
       const { emit } = EventEmitter.prototype;
       let isSeen = false;

       EventEmitter.prototype.emit = function (...args) {
         if (args[0] === 'data' && this.encrypted && !this.isServer) {
           isSeen = true;
         }
         return emit.apply(this, args);
       };

       const WebSocket = require(${JSON.stringify(path.join(__dirname, '..'))});
       const ws = new WebSocket(process.argv[1], { rejectUnauthorized: false });

       ws.on('message', (data) => {
         console.log(data.toString(), isSeen);
         ws.terminate();
       });
       ws._req.on('upgrade', () => (isSeen = false));`,
      await urlOf(t)
    ]);

    await child.ended();
    assert.equal(child.stderr, '');
    assert.deepEqual(child.lines, ['hello true']);
  });

  it('leaves sockets alone that have the handle of another one', async (t) => {
    //
    // As libraries do that intercept connections.
    //
    const createConnection = ({ port }) => {
      const real = net.connect(port, '127.0.0.1');
      const socket = new net.Socket();

      socket.connecting = true;
      socket._read = () => {};
      real.on('connect', () => {
        socket._handle = real._handle;
        socket.connecting = false;
        socket.emit('connect');
      });
      real.on('data', (chunk) => socket.push(chunk));
      real.on('end', () => socket.push(null));
      t.after(() => real.destroy());
      return socket;
    };
    const { wss } = await serve(t);

    wss.on('connection', (ws) => ws.on('message', (data) => ws.send(data)));

    const ws = new WebSocket(`ws://127.0.0.1:${wss.address().port}`, {
      createConnection
    });
    const messages = [];

    ws.on('message', (data) => messages.push(data.toString()));
    await once(ws, 'open');
    for (const text of ['one', 'two']) ws.send(text);
    await until(() => messages.length === 2);
    assert.deepEqual(messages, ['one', 'two']);
    ws.terminate();
  });

  it('leaves sockets alone that read to memory of their own', async (t) => {
    const server = net.createServer((socket) => {
      socket.once('data', (head) => {
        socket.write(acceptUpgrade(head.toString()));
        socket.write(frame(1, 'theirs'));
      });
    });
    const chunks = [];

    t.after(() => server.close());
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');

    const socket = net.connect({
      port: server.address().port,
      host: '127.0.0.1',
      onread: {
        buffer: Buffer.alloc(1000),
        callback(length, buffer) {
          chunks.push(Buffer.from(buffer.subarray(0, length)));
        }
      }
    });

    t.after(() => socket.destroy());
    socket.write(upgradeRequest());
    await until(() => Buffer.concat(chunks).includes('theirs'));

    const ws = new WebSocket(null, undefined, {});

    ws._isServer = false;
    ws.setSocket(socket, Buffer.alloc(0), { maxPayload: 0 });
    assert.equal(socket._handle.onread.name, 'onStreamRead');
    ws.terminate();
  });
});
