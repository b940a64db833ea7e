'use strict';

const assert = require('node:assert/strict');
const http = require('node:http');
const http2 = require('node:http2');
const net = require('node:net');
const tls = require('node:tls');
const { it } = require('node:test');
const { Duplex, PassThrough, Writable } = require('node:stream');

const WebSocket = require('..');

const { duplexPair } = require('./helpers/duplex');
const { frame, masked } = require('./helpers/frames');
const { acceptUpgrade, upgradeRequest } = require('./helpers/handshake');
const {
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

const { PerMessageDeflate, Sender } = WebSocket;

const EMPTY = Buffer.alloc(0);

/**
 * Opens a connection between a server and a bare socket.
 *
 * @param {TestContext} t The context of the test
 * @param {Object} [options] The options for `serve()`
 * @return {Promise<Object>} The bare peer, the WebSocket and its socket
 */
async function rawPair(t, options) {
  const { wss, target } = await serve(t, options);
  const connection = once(wss, 'connection');
  const peer = await RawPeer.open(t, target);
  const [ws] = await connection;

  return { peer, ws, socket: ws._socket };
}

/**
 * Makes the bytes of a frame with a masking key of zeros. Others are unmasked
 * in place, so that who looks at a chunk late may see another.
 *
 * @param {Number} opcode The opcode
 * @param {(Buffer|String)} [payload] The payload
 * @param {Object} [options] Other fields of the frame
 * @return {Buffer} The frame
 */
function unchanged(opcode, payload, options) {
  return masked(opcode, payload, { mask: Buffer.alloc(4), ...options });
}

/**
 * Gathers the messages of a WebSocket as strings.
 *
 * @param {WebSocket} ws The WebSocket
 * @return {String[]} The messages, now and to come
 */
function gather(ws) {
  const list = [];

  ws.on('message', (data) => list.push(data.toString()));
  return list;
}

/**
 * Gathers the bytes that the `'data'` events of a stream give.
 *
 * @param {Readable} stream The stream
 * @return {Function} Gives the bytes gathered so far
 */
function tap(stream) {
  const chunks = [];

  stream.on('data', (chunk) => chunks.push(chunk));
  return () => Buffer.concat(chunks);
}

/**
 * Waits until the socket has read some more bytes.
 *
 * @param {net.Socket} socket The socket
 * @param {Function} write Makes the peer send bytes and returns their number
 */
async function arrive(socket, write) {
  const before = socket.bytesRead;
  const length = write();

  await until(
    () => socket.bytesRead >= before + length,
    `${length} bytes have been read`
  );
}

/**
 * The ways to stop being a mere owner of the socket, after each of which the
 * WebSocket must go on as if nothing had happened. Each gives a function for
 * the bytes seen, if it sees any.
 */
const TAKEOVERS = [
  ["on('data')", (socket) => tap(socket)],
  [
    "prependListener('data')",
    (socket) => {
      const chunks = [];

      socket.prependListener('data', (chunk) => chunks.push(chunk));
      return () => Buffer.concat(chunks);
    }
  ],
  [
    'pipe()',
    (socket) => {
      const stream = new PassThrough();

      socket.pipe(stream);
      return tap(stream);
    }
  ],
  [
    "on('readable') and read()",
    (socket) => {
      const chunks = [];

      socket.on('readable', () => {
        let chunk;

        while ((chunk = socket.read()) !== null) chunks.push(chunk);
      });
      return () => Buffer.concat(chunks);
    }
  ],
  [
    'unshift() of nothing',
    (socket) => {
      socket.unshift(EMPTY);
      return null;
    }
  ],
  [
    'read(0)',
    (socket) => {
      socket.read(0);
      return null;
    }
  ]
];

suite('socket', () => {
  it("is the object of the 'upgrade' event", async (t) => {
    const wss = new WebSocket.Server({ noServer: true });
    const server = await listen(t, http.createServer());
    const upgrade = new Promise((resolve) => {
      server.on('upgrade', (req, socket, head) => {
        wss.handleUpgrade(req, socket, head, (ws) => resolve([ws, socket]));
      });
    });
    const ws = client(t, `ws://127.0.0.1:${server.address().port}`);
    const [res] = await once(ws, 'upgrade');
    const [peer, socket] = await upgrade;

    assert.equal(peer._socket, socket);
    if (ws.readyState !== WebSocket.OPEN) await once(ws, 'open');
    assert.equal(ws._socket, res.socket);
  });

  for (const form of ['port', 'server', 'unix']) {
    it(`is a net.Socket by every test in the '${form}' form`, async (t) => {
      const { ws, peer, req } = await pair(t, { form });

      assert.equal(req.socket, peer._socket);

      for (const { _socket: socket } of [ws, peer]) {
        assert.ok(socket instanceof net.Socket);
        assert.ok(socket instanceof Duplex);
        assert.equal(socket.constructor, net.Socket);
        assert.equal(socket.readyState, 'open');
        assert.equal(socket.connecting, false);
        assert.equal(socket.pending, false);
        assert.equal(socket.destroyed, false);
        assert.equal(socket.readable, true);
        assert.equal(socket.writable, true);
        assert.equal(socket.writableLength, 0);
        assert.equal(socket.writableEnded, false);
        assert.ok(socket._handle.fd > 0, `fd is ${socket._handle.fd}`);
      }

      assert.notEqual(ws._socket._handle.fd, peer._socket._handle.fd);
    });
  }

  it('knows its addresses', async (t) => {
    const { wss, ws, peer } = await pair(t);
    const { port } = wss.address();

    assert.equal(ws._socket.remoteAddress, '127.0.0.1');
    assert.equal(ws._socket.remotePort, port);
    assert.equal(ws._socket.remoteFamily, 'IPv4');
    assert.equal(peer._socket.localAddress, '127.0.0.1');
    assert.equal(peer._socket.localPort, port);
    assert.equal(peer._socket.remotePort, ws._socket.localPort);
    assert.deepEqual(peer._socket.address(), {
      address: '127.0.0.1',
      family: 'IPv4',
      port
    });
  });

  it("is still there, with its address, in 'close' handlers", async (t) => {
    const { ws, peer } = await pair(t);

    assert.equal(peer._socket.remoteAddress, '127.0.0.1');

    const seen = new Promise((resolve) => {
      peer.on('close', () => {
        const { destroyed, remoteAddress } = peer._socket;

        resolve({ destroyed, remoteAddress });
      });
    });

    ws.close();
    assert.deepEqual(await seen, {
      destroyed: true,
      remoteAddress: '127.0.0.1'
    });
  });

  it('takes its options and returns itself', async (t) => {
    const { ws, peer } = await pair(t);

    for (const { _socket: socket } of [ws, peer]) {
      assert.equal(socket.setNoDelay(false), socket);
      assert.equal(socket.setNoDelay(true), socket);
      assert.equal(socket.setKeepAlive(true, 1000), socket);
      assert.equal(socket.setTimeout(0), socket);
      assert.equal(socket.unref(), socket);
      assert.equal(socket.ref(), socket);
      assert.equal(socket.pause(), socket);
      assert.equal(socket.resume(), socket);
    }

    const received = messages(peer);

    ws.send('after all that');
    assert.deepEqual(await received, ['after all that']);
  });

  it('counts the bytes that it has read', async (t) => {
    const { peer, ws, socket } = await rawPair(t);
    const list = gather(ws);

    for (const size of [0, 1, 125, 126, 70000]) {
      const bytes = masked(2, Buffer.alloc(size, 'x'));
      const before = socket.bytesRead;
      const count = list.length;

      peer.write(bytes);
      await until(() => list.length > count, 'the message came');
      assert.equal(socket.bytesRead - before, bytes.length);
    }
  });

  it('counts the bytes that it has written', async (t) => {
    const { peer, ws, socket } = await rawPair(t);

    for (const [size, header] of [
      [0, 2],
      [1, 2],
      [125, 2],
      [126, 4],
      [70000, 10]
    ]) {
      const before = socket.bytesWritten;

      await new Promise((resolve) => ws.send(Buffer.alloc(size), resolve));
      assert.equal(socket.bytesWritten - before, size + header);
      await peer.frame();
    }

    const before = socket.bytesWritten;

    await new Promise((resolve) => {
      socket.write(frame(1, 'ü'), resolve);
    });
    assert.equal(socket.bytesWritten - before, 4);
  });

  it('counts the bytes that wait to be written, too', async (t) => {
    const { peer, ws, socket } = await rawPair(t);
    const before = socket.bytesWritten;
    let sent = 0;

    peer.socket.pause();

    for (let i = 0; i < 16; i++) {
      ws.send(Buffer.alloc(1 << 20));
      sent += 10 + (1 << 20);
    }

    assert.equal(socket.bytesWritten - before, sent);
    await delay(30);
    assert.ok(ws.bufferedAmount > 0);
    ws.send('x');
    sent += 3;
    assert.equal(socket.bytesWritten - before, sent);
    peer.socket.resume();
    await until(() => ws.bufferedAmount === 0, 'all is written');
    assert.equal(socket.bytesWritten - before, sent);
  });

  it("emits 'timeout' when idle, and then only", async (t) => {
    const { peer, ws, socket } = await rawPair(t);
    const started = Date.now();
    let timeouts = 0;

    assert.equal(socket.timeout || 0, 0);
    socket.setTimeout(300, () => timeouts++);
    assert.equal(socket.timeout, 300);

    // Traffic of one direction alone keeps the connection from being idle.
    for (const step of [
      () => peer.write(masked(1, 'in')),
      () => ws.send('out'),
      () => socket.write(frame(1, 'raw'))
    ]) {
      for (let i = 0; i < 5; i++) {
        step();
        await delay(75);
      }
    }

    const elapsed = Date.now() - started;

    assert.equal(timeouts, 0, `'timeout' within ${elapsed} ms of traffic`);
    await until(() => timeouts === 1, "'timeout' was emitted");
    assert.equal(ws.readyState, WebSocket.OPEN);
    socket.setTimeout(0);
    await delay(350);
    assert.equal(timeouts, 1);
  });

  it('writes in order with send()', async (t) => {
    const { peer, ws, socket } = await rawPair(t);
    const sizes = [1, 10, 200, 5000, 70000, 300000];
    let sent = 0;

    for (let round = 0; round < 20; round++) {
      for (const size of sizes) {
        const data = Buffer.alloc(size, `${sent} `);

        if (sent++ % 2) ws.send(data);
        else
          for (const part of Sender.frame(data, { fin: true, opcode: 2 }))
            socket.write(part);
      }
    }

    for (let i = 0; i < sent; i++) {
      const { payload } = await peer.frame();
      const size = sizes[i % sizes.length];

      assert.ok(
        payload.equals(Buffer.alloc(size, `${i} `)),
        `frame ${i} is another: ${payload.subarray(0, 20)}`
      );
    }
  });

  it('writes strings, and calls back in order', async (t) => {
    const { peer, ws, socket } = await rawPair(t);
    const order = [];

    await new Promise((resolve) => {
      ws.send('a', () => order.push('a'));
      socket.write('\x81\x01b', 'latin1', () => order.push('b'));
      ws.send('c', () => order.push('c'));
      socket.write(Buffer.from('\x81\x01d', 'latin1'), () => {
        order.push('d');
        resolve();
      });
    });
    assert.deepEqual(order, ['a', 'b', 'c', 'd']);

    for (const text of order) {
      assert.equal((await peer.frame()).payload.toString(), text);
    }
  });

  it('holds back what is written while corked', async (t) => {
    const { peer, ws, socket } = await rawPair(t);

    socket.cork();
    socket.cork();
    ws.send('one');
    socket.write(frame(1, 'two'));
    ws.send('three');
    assert.equal(socket.writableCorked, 2);
    assert.equal(socket.writableLength, 5 + 5 + 7);
    assert.equal(ws.bufferedAmount, 5 + 5 + 7);
    await delay(40);
    socket.uncork();
    await delay(10);
    assert.equal(peer.unread, 0);
    socket.uncork();
    assert.equal(socket.writableCorked, 0);

    for (const text of ['one', 'two', 'three']) {
      assert.equal((await peer.frame()).payload.toString(), text);
    }

    assert.equal(socket.writableLength, 0);
  });

  it("emits 'drain' when there is room again", async (t) => {
    const { peer, ws, socket } = await rawPair(t);
    const big = Buffer.alloc(16 << 20);
    let drains = 0;

    socket.on('drain', () => drains++);
    assert.equal(socket.write(frame(1, 'small')), true);
    await peer.frame();
    peer.socket.pause();
    ws.send(big);
    assert.equal(socket.writableNeedDrain, true);
    assert.equal(socket.write(frame(1, 'more')), false);
    assert.ok(socket.writableLength >= socket.writableHighWaterMark);
    await delay(50);
    assert.equal(drains, 0, 'nothing has been read, but there is room');
    assert.equal(socket.writableLength, ws.bufferedAmount);
    peer.socket.resume();
    assert.equal((await peer.frame()).payload.length, big.length);
    assert.equal((await peer.frame()).payload.toString(), 'more');
    await until(() => drains > 0, "'drain' was emitted");
    assert.equal(drains, 1);
    assert.equal(socket.writableNeedDrain, false);
    assert.equal(socket.writableLength, 0);
    assert.equal(ws.bufferedAmount, 0);
  });

  it('pauses and resumes', async (t) => {
    const { peer, ws, socket } = await rawPair(t);
    const list = gather(ws);

    assert.equal(socket.isPaused(), false);
    socket.pause();
    assert.equal(socket.isPaused(), true);
    peer.write(masked(1, 'held'));
    await delay(40);
    assert.deepEqual(list, []);
    ws.send('out');
    assert.equal((await peer.frame()).payload.toString(), 'out');
    socket.resume();
    assert.equal(socket.isPaused(), false);
    await until(() => list.length === 1, 'the message came');

    // As some do in every handler.
    ws.on('message', () => {
      socket.pause();
      setTimeout(() => socket.resume(), 1);
    });
    for (let i = 0; i < 20; i++) peer.write(masked(1, `${i}`));
    await until(() => list.length === 21, 'all messages came');
    assert.deepEqual(list.slice(1), [...Array(20).keys()].map(String));
  });

  it('closes while it is paused if the peer resets the connection', async (t) => {
    const { peer, ws } = await rawPair(t);
    const done = closed(ws);

    ws.on('error', () => {});
    ws.pause();
    await delay(20);
    peer.socket.resetAndDestroy();
    assert.equal((await done).code, 1006);
  });

  it('makes the peer wait while it is paused', async (t) => {
    const { peer, ws, socket } = await rawPair(t);
    const bytes = masked(2, Buffer.alloc(1 << 20, 'x'));
    const count = 64;
    const list = [];

    ws.on('message', (data) => list.push(data.length));
    socket.pause();
    for (let i = 0; i < count; i++) peer.write(bytes);
    await delay(100);

    const stuck = peer.socket.writableLength;

    assert.ok(
      stuck > (count / 2) * bytes.length,
      `only ${stuck} of ${count * bytes.length} bytes had to wait`
    );
    assert.deepEqual(list, []);
    socket.resume();
    await until(() => list.length === count, 'all messages came');
    assert.ok(list.every((length) => length === 1 << 20));
  });

  it('can be destroyed', async (t) => {
    const { ws, peer } = await pair(t);
    const ends = [closed(ws), closed(peer)];
    const order = [];

    peer._socket.on('close', (hadError) => order.push(['socket', hadError]));
    peer.on('close', () => order.push(['ws', peer._socket.destroyed]));
    assert.equal(peer._socket.destroy(), peer._socket);
    assert.equal(peer._socket.destroyed, true);
    assert.equal(peer._socket.writable, false);
    assert.deepEqual(await Promise.all(ends), [
      { code: 1006, reason: '' },
      { code: 1006, reason: '' }
    ]);
    assert.deepEqual(order.sort(), [
      ['socket', false],
      ['ws', true]
    ]);
  });

  it('can be destroyed with an error, which the WebSocket swallows', async (t) => {
    const { peer } = await pair(t);
    const end = closed(peer);
    let seen;

    peer.on('error', () => assert.fail("'error' was emitted"));
    peer._socket.on('error', (err) => {
      seen = err;
    });
    peer._socket.destroy(new Error('oops'));
    assert.deepEqual(await end, { code: 1006, reason: '' });
    assert.equal(seen.message, 'oops');
  });

  it('can be ended after what was sent', async (t) => {
    const { peer, ws, socket } = await rawPair(t);

    ws.send(Buffer.alloc(1 << 20));
    socket.end(frame(1, 'last'));
    assert.equal(socket.writableEnded, true);
    assert.equal((await peer.frame()).payload.length, 1 << 20);
    assert.equal((await peer.frame()).payload.toString(), 'last');
    await peer.end();
    await until(() => ws.readyState === WebSocket.CLOSED, 'it has closed');
  });

  it("emits 'end' when the peer has ended, and ends, too", async (t) => {
    const { peer, ws, socket } = await rawPair(t);
    const end = new Promise((resolve) => {
      socket.on('end', () => resolve('end'));
    });
    const result = closed(ws);

    peer.socket.end();
    assert.equal(await end, 'end');
    assert.deepEqual(await result, { code: 1006, reason: '' });
    await peer.end();
  });

  for (const [name, take] of TAKEOVERS) {
    it(`can be taken over between messages by ${name}`, async (t) => {
      const { peer, ws, socket } = await rawPair(t);
      const list = gather(ws);

      await arrive(socket, () => {
        const bytes = unchanged(1, 'before');

        peer.write(bytes);
        return bytes.length;
      });
      await until(() => list.length === 1, 'the first message came');

      const seen = take(socket);
      const rest = Buffer.concat([
        unchanged(1, 'after'),
        unchanged(2, Buffer.alloc(100000, 'x'))
      ]);

      peer.write(rest);
      await until(() => list.length === 3, 'the other messages came');
      assert.deepEqual(list, ['before', 'after', 'x'.repeat(100000)]);
      if (seen) assert.ok(seen().equals(rest), 'other bytes were seen');
      ws.send('answer');
      assert.equal((await peer.frame()).payload.toString(), 'answer');
    });

    it(`can be taken over in mid-frame by ${name}`, async (t) => {
      for (const cut of [1, 3, 5, 7, 500]) {
        const { peer, ws, socket } = await rawPair(t);
        const list = gather(ws);
        const bytes = unchanged(1, 'mid-frame '.repeat(100));

        await arrive(socket, () => {
          peer.write(bytes.subarray(0, cut));
          return cut;
        });

        const seen = take(socket);
        const rest = Buffer.concat([bytes.subarray(cut), unchanged(1, 'next')]);

        peer.write(rest);
        await until(() => list.length === 2, `messages cut at ${cut} came`);
        assert.deepEqual(list, ['mid-frame '.repeat(100), 'next']);
        if (seen) assert.ok(seen().equals(rest), `${cut}: other bytes seen`);
      }
    });

    it(`can be taken over in mid-message by ${name}`, async (t) => {
      const { peer, ws, socket } = await rawPair(t);
      const list = gather(ws);
      const first = Buffer.concat([
        unchanged(1, 'one ', { fin: false }),
        unchanged(0, 'two ', { fin: false }),
        unchanged(9, 'ping'),
        unchanged(0, 'three ', { fin: false }).subarray(0, 8)
      ]);

      await arrive(socket, () => {
        peer.write(first);
        return first.length;
      });
      assert.equal((await peer.frame()).payload.toString(), 'ping');

      const seen = take(socket);
      const rest = Buffer.concat([
        unchanged(0, 'three ', { fin: false }).subarray(8),
        unchanged(0, 'four'),
        unchanged(1, 'next')
      ]);

      peer.write(rest);
      await until(() => list.length === 2, 'both messages came');
      assert.deepEqual(list, ['one two three four', 'next']);
      if (seen) assert.ok(seen().equals(rest), 'other bytes were seen');
    });

    it(`can be taken over with unsent data by ${name}`, async (t) => {
      const { peer, ws, socket } = await rawPair(t);
      const callbacks = [];
      const size = 1 << 20;
      const count = 24;
      const send = (i) => {
        ws.send(Buffer.alloc(size, i), (err) => callbacks.push([i, err]));
      };

      peer.socket.pause();
      for (let i = 0; i < count / 2; i++) send(i);
      await delay(20);

      const before = ws.bufferedAmount;

      assert.ok(before > 0, 'everything has been sent already');
      take(socket);
      assert.ok(ws.bufferedAmount > 0 && ws.bufferedAmount <= before);
      for (let i = count / 2; i < count; i++) send(i);
      socket.write(frame(1, 'last'));
      peer.socket.resume();

      for (let i = 0; i < count; i++) {
        const { payload } = await peer.frame();

        assert.ok(
          payload.equals(Buffer.alloc(size, i)),
          `frame ${i} begins with ${payload[0]}, length ${payload.length}`
        );
      }

      assert.equal((await peer.frame()).payload.toString(), 'last');
      await until(
        () => callbacks.length === count,
        'all callbacks were called'
      );
      assert.deepEqual(
        callbacks.map(([i, err]) => [i, err ?? null]),
        Array.from({ length: count }, (_, i) => [i, null])
      );
      assert.equal(ws.bufferedAmount, 0);
    });
  }

  it('can be taken over by a handler amid messages that came together', async (t) => {
    const { peer, ws, socket } = await rawPair(t);
    const list = gather(ws);
    let seen;

    ws.once('message', () => {
      seen = tap(socket);
    });
    peer.write(
      Buffer.concat([unchanged(1, 'a'), unchanged(1, 'b'), unchanged(1, 'c')])
    );
    await until(() => list.length === 3, 'three messages came');

    const last = unchanged(1, 'd');

    peer.write(last);
    await until(() => list.length === 4, 'the last message came');
    assert.deepEqual(list, ['a', 'b', 'c', 'd']);
    assert.ok(seen().subarray(-last.length).equals(last));
  });

  it('can be taken over while compressing with context takeover', async (t) => {
    const { ws, peer } = await pair(t, {
      perMessageDeflate: { threshold: 0 },
      client: { perMessageDeflate: { threshold: 0 } }
    });
    const text = (i) => `the same words again and again, ${i}. `.repeat(50);
    const out = messages(peer, 20);
    const back = messages(ws, 20);

    peer.on('message', (data) => {
      peer.send(data.toString());
      if (data.toString() === text(5)) peer._socket.on('data', () => {});
      if (data.toString() === text(9)) ws._socket.on('data', () => {});
    });
    for (let i = 0; i < 20; i++) {
      ws.send(text(i));
      await new Promise(setImmediate);
    }

    const expected = Array.from({ length: 20 }, (_, i) => text(i));

    assert.deepEqual(await out, expected);
    assert.deepEqual(await back, expected);
  });

  it('can be taken over while it is paused', async (t) => {
    const { peer, ws, socket } = await rawPair(t);
    const list = gather(ws);

    ws.pause();
    peer.write(unchanged(1, 'one'));
    await delay(30);

    const seen = tap(socket);

    peer.write(unchanged(1, 'two'));
    await delay(30);
    assert.deepEqual(list, []);
    ws.resume();
    await until(() => list.length === 2, 'both messages came');
    assert.deepEqual(list, ['one', 'two']);
    assert.ok(
      seen().equals(Buffer.concat([unchanged(1, 'one'), unchanged(1, 'two')]))
    );
  });

  it('can be taken over and closed', async (t) => {
    const { ws, peer } = await pair(t);
    const ends = [closed(ws), closed(peer)];

    ws._socket.on('data', () => {});
    peer._socket.on('data', () => {});
    ws.close(1000, 'bye');
    assert.deepEqual(await Promise.all(ends), [
      { code: 1000, reason: 'bye' },
      { code: 1000, reason: 'bye' }
    ]);
  });

  it('takes bytes that are pushed as if they had been received', async (t) => {
    const { peer, ws, socket } = await rawPair(t);
    const list = gather(ws);

    socket.push(masked(1, 'pushed'));
    await until(() => list.length === 1, 'the pushed message came');
    socket.unshift(masked(1, 'unshifted'));
    await until(() => list.length === 2, 'the unshifted message came');
    socket.emit('data', masked(1, 'emitted'));
    peer.write(masked(1, 'received'));
    await until(() => list.length === 4, 'the received message came');
    assert.deepEqual(list, ['pushed', 'unshifted', 'emitted', 'received']);
  });

  it("goes on when a 'data' listener has been removed again", async (t) => {
    const { peer, ws, socket } = await rawPair(t);
    const list = gather(ws);
    const listener = () => {};

    socket.on('data', listener);
    peer.write(masked(1, 'one'));
    await until(() => list.length === 1, 'a message came');
    socket.removeListener('data', listener);
    socket.once('data', listener);
    peer.write(masked(1, 'two'));
    await until(() => list.length === 2, 'another message came');
    peer.write(masked(1, 'three'));
    await until(() => list.length === 3, 'the last message came');
  });

  it('can be given away without the WebSocket', async (t) => {
    const { peer, ws, socket } = await rawPair(t);
    const list = gather(ws);

    peer.write(masked(1, 'last'));
    await until(() => list.length === 1, 'the message came');
    socket.removeAllListeners('data');

    const seen = tap(socket);

    peer.write('not a frame at all');
    await until(() => seen().length === 18, 'the bytes came');
    assert.equal(seen().toString(), 'not a frame at all');
    assert.equal(ws.readyState, WebSocket.OPEN);
  });

  it('can be piped to a stream that makes it wait', async (t) => {
    const { peer, ws, socket } = await rawPair(t);
    const list = [];
    let bytes = 0;

    ws.on('message', (data) => list.push(data.length));
    socket.pipe(
      new Writable({
        highWaterMark: 1000,
        write(chunk, encoding, callback) {
          bytes += chunk.length;
          setImmediate(callback);
        }
      })
    );

    const message = masked(2, Buffer.alloc(200000));

    for (let i = 0; i < 10; i++) peer.write(message);
    await until(() => list.length === 10, 'all messages came');
    await until(() => bytes === 10 * message.length, 'all bytes were piped');
  });

  it('gets frames made once for many by _sender.sendFrame()', async (t) => {
    const { wss, target } = await serve(t);
    const peers = [];

    for (let i = 0; i < 5; i++) peers.push(await RawPeer.open(t, target));
    await until(() => wss.clients.size === 5, 'all clients are there');

    const small = Sender.frame(Buffer.from('small'), {
      fin: true,
      mask: false,
      opcode: 2,
      readOnly: true,
      rsv1: false
    });
    const big = Sender.frame(Buffer.alloc(100000, 'big'), {
      fin: true,
      mask: false,
      opcode: 2,
      readOnly: true,
      rsv1: false
    });
    const empty = Sender.frame(EMPTY, { fin: true, opcode: 1 });

    assert.equal(small.length, 2);
    assert.equal(empty.length, 1);

    const order = [];

    for (const ws of wss.clients) {
      ws.send('before', () => order.push('before'));
      ws._sender.sendFrame(small, () => order.push('small'));
      ws._sender.sendFrame(big, () => order.push('big'));
      ws._sender.sendFrame(empty);
      ws.send('after', () => order.push('after'));
    }

    for (const peer of peers) {
      const texts = [];

      for (let i = 0; i < 5; i++) {
        texts.push((await peer.frame()).payload.toString());
      }

      assert.deepEqual(texts, [
        'before',
        'small',
        Buffer.alloc(100000, 'big').toString(),
        '',
        'after'
      ]);
    }

    await until(() => order.length === 20, 'all callbacks were called');
    for (const name of ['before', 'small', 'big', 'after']) {
      assert.equal(order.filter((item) => item === name).length, 5);
    }
  });

  it('gets masked frames as one Buffer', async (t) => {
    const { wss, url } = await serve(t);
    const connection = once(wss, 'connection');
    const ws = await connect(t, url);
    const [peer] = await connection;
    const received = messages(peer, 2);
    const data = Buffer.from('playwright');
    const list = Sender.frame(data, {
      fin: true,
      mask: true,
      opcode: 1,
      readOnly: true
    });

    assert.equal(list.length, 1);
    assert.equal(list[0].length, 6 + data.length);
    assert.equal(data.toString(), 'playwright');
    ws._sender.sendFrame(list);
    ws._socket.write(
      Sender.frame(data, {
        fin: true,
        mask: true,
        opcode: 1,
        readOnly: true
      })[0]
    );
    assert.deepEqual(await received, ['playwright', 'playwright']);
  });

  it('can be any Duplex that setSocket() is given', async () => {
    const [left, right] = duplexPair();
    const options = {
      allowSynchronousEvents: true,
      maxPayload: 0,
      skipUTF8Validation: false
    };
    const server = new WebSocket(null, undefined, {});
    const ws = new WebSocket(null, undefined, {});
    const opened = [];

    assert.equal(server._isServer, true);
    ws._isServer = false;
    server.on('open', () => opened.push('server'));
    ws.on('open', () => opened.push('client'));
    server.setSocket(left, EMPTY, options);
    ws.setSocket(right, EMPTY, options);
    assert.deepEqual(opened, ['server', 'client']);
    assert.equal(server._socket, left);
    assert.equal(ws.readyState, WebSocket.OPEN);

    const there = messages(server, 2);
    const back = messages(ws, 2);

    server.on('message', (data, binary) => server.send(data, { binary }));
    ws.send('over a Duplex');
    ws.send(Buffer.alloc(200000, 1));
    assert.deepEqual(await there, ['over a Duplex', Buffer.alloc(200000, 1)]);
    assert.deepEqual(await back, ['over a Duplex', Buffer.alloc(200000, 1)]);

    const ends = [closed(server), closed(ws)];

    ws.close(1000, 'bye');
    assert.deepEqual(await Promise.all(ends), [
      { code: 1000, reason: 'bye' },
      { code: 1000, reason: 'bye' }
    ]);
  });

  it('can be given to setSocket() with extensions and a head', async () => {
    const [left, right] = duplexPair();
    const sides = [];

    for (const isServer of [true, false]) {
      const ws = new WebSocket(null, undefined, { autoPong: true });
      const extension = new PerMessageDeflate({ isServer, threshold: 0 });

      if (isServer) {
        extension.accept([{}]);
      } else {
        extension.offer();
        extension.accept([{}]);
      }

      ws._isServer = isServer;
      ws._extensions = { [PerMessageDeflate.extensionName]: extension };
      sides.push(ws);
    }

    const [server, ws] = sides;
    const received = messages(server, 2);
    const pong = once(ws, 'pong');
    const text = 'compressed '.repeat(100);

    server.setSocket(left, masked(1, 'in the head'), {});
    ws.setSocket(right, EMPTY, {});
    assert.equal(ws.extensions, 'permessage-deflate');
    ws.send(text);
    ws.ping('ping');
    assert.deepEqual(await received, ['in the head', text]);
    assert.equal((await pong)[0].toString(), 'ping');
    assert.ok(right.writableFinished === false);

    const ends = [closed(server), closed(ws)];

    server.close();
    await Promise.all(ends);
  });

  it('can be a net.Socket after a handshake made by hand', async (t) => {
    const server = await listen(t, net.createServer());
    const url = `ws://127.0.0.1:${server.address().port}`;
    const connection = once(server, 'connection');
    const ws = client(t, url, { perMessageDeflate: false });
    const [socket] = await connection;
    const [head] = await once(socket, 'data');
    const peer = new WebSocket(null, undefined, {});
    const received = messages(ws);

    socket.write(acceptUpgrade(head.toString()));
    peer.setSocket(socket, EMPTY, { maxPayload: 0 });
    peer.send('by hand');
    assert.deepEqual(await received, ['by hand']);
    assert.equal(peer._socket, socket);

    const there = messages(peer);

    ws.send('back');
    assert.deepEqual(await there, ['back']);

    const end = closed(peer);

    ws.close(1000);
    assert.equal((await end).code, 1000);
  });

  it('can be a stream of HTTP/2', async (t) => {
    const server = http2.createServer({
      settings: { enableConnectProtocol: true }
    });
    const sockets = new Set();

    server.on('stream', (stream, headers) => {
      assert.equal(headers[':protocol'], 'websocket');
      stream.respond({ ':status': 200 });

      const ws = new WebSocket(null, undefined, {});

      ws.setSocket(stream, EMPTY, { maxPayload: 100000 });
      ws.on('message', (data) => ws.send(`echo ${data}`));
    });
    server.on('connection', (socket) => sockets.add(socket));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');

    const session = http2.connect(`http://127.0.0.1:${server.address().port}`);

    t.after(() => {
      session.destroy();
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    await once(session, 'remoteSettings');

    const stream = session.request({
      ':method': 'CONNECT',
      ':protocol': 'websocket',
      ':path': '/chat'
    });

    await once(stream, 'response');

    const ws = new WebSocket(null, undefined, {});

    ws._isServer = false;
    ws.setSocket(stream, EMPTY, {});

    const received = messages(ws, 2);
    const end = closed(ws);

    ws.send('one');
    ws.send('two'.repeat(10000));
    assert.deepEqual(await received, [
      'echo one',
      `echo ${'two'.repeat(10000)}`
    ]);

    // Node resets the stream when one side has ended, maybe before the answer
    // has come, so the code may be 1006.
    ws.close(1000);
    await end;
  });

  it('is a tls.TLSSocket with all its methods over TLS', async (t) => {
    const { ws, peer } = await pair(t, { form: 'server', secure: true });

    assert.ok(ws._socket instanceof tls.TLSSocket);
    assert.ok(peer._socket instanceof tls.TLSSocket);
    assert.equal(ws._socket.encrypted, true);
    assert.match(ws._socket.getProtocol(), /^TLSv1/);
    assert.equal(ws._socket.getPeerCertificate().subject.CN, 'localhost');
    assert.equal(ws._socket.remoteAddress, '127.0.0.1');

    const seen = tap(ws._socket);
    const received = messages(ws);

    peer.send('tapped');
    assert.deepEqual(await received, ['tapped']);
    assert.equal(seen().subarray(2).toString(), 'tapped');
  });

  it('has one reader if the upgrade is handled late', async (t) => {
    const COUNT = 100;
    const server = http.createServer();
    const wss = new WebSocket.Server({ noServer: true });
    const upgrade = once(server, 'upgrade');

    await listen(t, server);

    const peer = net.connect(server.address().port, '127.0.0.1');

    t.after(() => peer.destroy());
    peer.on('error', () => {});
    peer.write(upgradeRequest());

    for (let i = 0; i < COUNT; i++) {
      peer.write(masked(2, Buffer.alloc(10_000, i)));
    }

    const [request, socket, head] = await upgrade;

    //
    // Then it is full, and Node.js has stopped reading.
    //
    await until(() => socket.readableLength >= socket.readableHighWaterMark);

    const seen = [];

    wss.handleUpgrade(request, socket, head, (ws) => {
      ws.on('message', (data) => seen.push(data[0]));
      t.after(() => ws.terminate());
    });
    assert.equal(socket._handle.reading, false);
    await until(() => seen.length === COUNT, 'all has arrived');
    assert.deepEqual(seen, Array.from(Array(COUNT).keys()));
  });
});
