'use strict';

const assert = require('node:assert/strict');
const { it } = require('node:test');
const { PassThrough } = require('node:stream');

const WebSocket = require('..');
const { stats } = require('../lib/native');

const { Child } = require('./helpers/child');
const { duplexPair } = require('./helpers/duplex');
const { closed, messages, pair } = require('./helpers/pair');
const { delay, once, suite } = require('./helpers/suite');

const { Sender } = WebSocket;

// Elsewhere the stream driver serves every connection.
const skip =
  process.platform !== 'linux'
    ? 'the native driver needs Linux'
    : process.env.OXWS_DRIVER === 'stream' && 'the stream driver is forced';

/**
 * Runs a function and finds out which drivers served the connections that it
 * made.
 *
 * @param {Function} fn The function
 * @return {Promise<Object>} How many more there are of each kind
 */
async function count(fn) {
  const before = { ...stats };

  await fn();
  return {
    native: stats.native - before.native,
    stream: stats.stream - before.stream,
    spilled: stats.spilled - before.spilled
  };
}

/**
 * Has a message echoed in both directions.
 *
 * @param {Object} connection What `pair()` gave
 */
async function converse({ ws, peer }) {
  for (const [from, to] of [
    [ws, peer],
    [peer, ws]
  ]) {
    for (const data of ['text', Buffer.alloc(100000, 1)]) {
      const received = messages(to);

      from.send(data);
      assert.deepEqual(await received, [data]);
    }
  }
}

const NATIVE = { native: 2, stream: 0, spilled: 0 };
const STREAM = { native: 0, stream: 2, spilled: 0 };

suite('drivers', () => {
  it('counts connections by their driver', () => {
    assert.deepEqual(Object.keys(stats).sort(), [
      'native',
      'spilled',
      'stream'
    ]);
  });

  for (const form of ['port', 'server', 'noServer', 'unix']) {
    it(
      `serves both sides natively in the '${form}' form`,
      { skip },
      async (t) => {
        assert.deepEqual(
          await count(async () => converse(await pair(t, { form }))),
          NATIVE
        );
      }
    );
  }

  it('serves compressed connections natively', { skip }, async (t) => {
    assert.deepEqual(
      await count(async () =>
        converse(await pair(t, { perMessageDeflate: true }))
      ),
      NATIVE
    );
  });

  it('serves TLS connections with the stream driver', async (t) => {
    assert.deepEqual(
      await count(async () =>
        converse(await pair(t, { form: 'server', secure: true }))
      ),
      STREAM
    );
  });

  it('writes frames in the pieces that a replaced write() expects', async (t) => {
    const { ws: peer, peer: ws } = await pair(t, {
      form: 'server',
      secure: true
    });
    const socket = ws._socket;
    const pieces = [];

    socket.write = function (chunk, ...args) {
      pieces.push(chunk.length);
      return Object.getPrototypeOf(this).write.call(this, chunk, ...args);
    };

    const received = messages(peer);

    ws.send('abc');
    assert.deepEqual(await received, ['abc']);
    assert.deepEqual(pieces, [2, 3]);
  });

  it('sends what is in a payload when its turn to be written comes', async (t) => {
    const { ws: peer, peer: ws } = await pair(t, {
      form: 'server',
      secure: true
    });
    const data = [Buffer.from('first'), Buffer.from('queue')];
    const received = messages(peer, 2);

    //
    // The socket takes the first at once. The second waits in its queue.
    //
    for (const payload of data) {
      ws.send(payload);
      payload.fill('x');
    }

    assert.deepEqual(await received, [
      Buffer.from('first'),
      Buffer.from('xxxxx')
    ]);
  });

  it('calls back in the tick that was queued for each frame', async (t) => {
    const { peer: ws } = await pair(t, { form: 'server', secure: true });
    const calls = [];
    const done = new Promise((resolve) => {
      const callback = (err) => {
        calls.push(err ? err.message : 'sent');
        if (calls.length === 4) resolve();
      };

      for (let i = 0; i < 2; i++) {
        ws.send('data', callback);
        process.nextTick(() => calls.push('tick'));
      }
    });

    await done;
    assert.deepEqual(calls, ['tick', 'tick', 'sent', 'sent']);
  });

  it('serves other streams with the stream driver', async () => {
    assert.deepEqual(
      await count(async () => {
        const [left, right] = duplexPair();
        const peer = new WebSocket(null, undefined, {});
        const ws = new WebSocket(null, undefined, {});

        ws._isServer = false;
        peer.setSocket(left, Buffer.alloc(0), {});
        ws.setSocket(right, Buffer.alloc(0), {});
        await converse({ ws, peer });

        const end = closed(ws);

        ws.terminate();
        peer.terminate();
        await end;
      }),
      STREAM
    );
  });

  it(
    'stays native whatever is asked of the socket as an owner',
    { skip },
    async (t) => {
      assert.deepEqual(
        await count(async () => {
          const connection = await pair(t);

          for (const { _socket: socket } of [connection.ws, connection.peer]) {
            socket.setNoDelay(false);
            socket.setKeepAlive(true, 1000);
            socket.setTimeout(60000);
            socket.unref();
            socket.ref();
            socket.address();
            assert.ok(socket.remoteAddress);
            assert.ok(socket.bytesRead >= 0);
            assert.ok(socket.bytesWritten >= 0);
            assert.equal(socket.writableLength, 0);
            assert.equal(socket.isPaused(), false);
            socket.pause();
            socket.resume();
            socket.cork();
            socket.uncork();
            for (const event of ['drain', 'close', 'error', 'end', 'timeout']) {
              socket.on(event, () => {});
            }
          }

          await converse(connection);

          const { ws, peer } = connection;
          const received = messages(ws, 3);
          const list = Sender.frame(Buffer.from('sendFrame'), {
            fin: true,
            opcode: 1,
            readOnly: true
          });

          peer._sender.sendFrame(list);
          for (const part of list) peer._socket.write(part);
          peer.send('send');
          assert.deepEqual(await received, ['sendFrame', 'sendFrame', 'send']);

          ws.pause();
          peer.send('paused');
          await delay(20);

          const rest = messages(ws);

          ws.resume();
          assert.deepEqual(await rest, ['paused']);
          await converse(connection);
        }),
        NATIVE
      );
    }
  );

  for (const [name, use] of [
    ["on('data')", (socket) => socket.on('data', () => {})],
    ["once('data')", (socket) => socket.once('data', () => {})],
    ["on('readable')", (socket) => socket.on('readable', () => socket.read())],
    ['pipe()', (socket) => socket.pipe(new PassThrough().resume())],
    ['unshift()', (socket) => socket.unshift(Buffer.alloc(0))],
    ['push()', (socket) => socket.push(Buffer.alloc(0))]
  ]) {
    it(`changes only that connection over on ${name}`, { skip }, async (t) => {
      assert.deepEqual(
        await count(async () => {
          const connection = await pair(t);
          const other = await pair(t);

          await converse(connection);
          use(connection.peer._socket);
          await converse(connection);
          await converse(other);
          use(connection.peer._socket);
        }),
        { native: 4, stream: 0, spilled: 1 }
      );
    });
  }

  it('serves a socket that is already used as a stream without fuss', async (t) => {
    assert.deepEqual(
      await count(async () => {
        let bytes = 0;
        const connection = await pair(t, {
          verifyClient: ({ req }) => {
            req.socket.on('data', (chunk) => {
              bytes += chunk.length;
            });
            return true;
          }
        });

        await converse(connection);
        assert.ok(bytes > 100000);
      }),
      skip ? STREAM : { native: 1, stream: 1, spilled: 0 }
    );
  });

  it('serves everything with the stream driver if it is told to', async (t) => {
    const child = Child.fixture(t, 'drivers.js', [], {
      OXWS_DRIVER: 'stream'
    });

    assert.deepEqual(await child.next(), {
      stats: { native: 0, stream: 2, spilled: 0 },
      messages: ['text', 'bytes', 'compressible '.repeat(1000)]
    });
    assert.deepEqual(await child.ended(), { code: 0, signal: null });
  });

  it(
    'serves with the native driver in a process of its own',
    { skip },
    async (t) => {
      const child = Child.fixture(t, 'drivers.js', [], { OXWS_DRIVER: '' });

      assert.deepEqual((await child.next()).stats, NATIVE);
      assert.deepEqual(await child.ended(), { code: 0, signal: null });
    }
  );

  it('closes in the same way with either driver', async (t) => {
    for (const form of ['port', 'server']) {
      for (const spill of [false, true]) {
        const { ws, peer } = await pair(t, { form });
        const order = [];

        if (spill) peer._socket.on('data', () => {});
        peer._socket.on('end', () => order.push('end'));
        peer.on('close', (code) => order.push(`close ${code}`));

        const end = closed(ws);

        ws.close(4000);
        assert.equal((await end).code, 4000);
        if (peer.readyState !== WebSocket.CLOSED) await once(peer, 'close');
        assert.deepEqual(order, ['end', 'close 4000']);
      }
    }
  });
});
