'use strict';

const assert = require('node:assert/strict');
const path = require('node:path');
const { Worker } = require('node:worker_threads');
const { it } = require('node:test');

const { Sender } = require('..');

const { connect, serve } = require('./helpers/pair');
const { once, suite, until } = require('./helpers/suite');

const SMALL = 16300;
const LARGE = 17000;

/**
 * Makes a frame of a server.
 *
 * @param {Number} size The length of the payload in bytes
 * @return {Buffer} The frame
 */
function frame(size) {
  return Buffer.concat(
    Sender.frame(Buffer.alloc(size, size & 0xff), { fin: true, opcode: 2 })
  );
}

/**
 * Opens a connection whose client does not read.
 *
 * @param {TestContext} t The context of the test
 * @param {Object} [options] Options of the server
 * @return {Promise<Object>} The server's WebSocket, the client, and the lengths
 *     of the messages that arrive at the client once it reads
 */
async function stuck(t, options) {
  const { wss, url } = await serve(t, options);
  const connection = once(wss, 'connection');
  const client = await connect(t, url);
  const [ws] = await connection;
  const lengths = [];

  client.on('message', (data) => {
    assert.equal(data[0], data.length & 0xff);
    assert.equal(data[data.length - 1], data.length & 0xff);
    lengths.push(data.length);
  });
  client.pause();

  return { client, lengths, ws };
}

/**
 * Counts the messages that the kernel takes of a connection whose client does not
 * read.
 *
 * @param {TestContext} t The context of the test
 * @param {Number} size The length of a message in bytes
 * @return {Promise<Number>} How many
 */
async function capacity(t, size) {
  const { client, ws } = await stuck(t);
  let count = 0;

  while (ws.bufferedAmount === 0) {
    ws.send(Buffer.alloc(size, size & 0xff));
    count++;
    await new Promise(setImmediate);
  }

  client.terminate();
  return count;
}

/**
 * Blocks this thread until another one has read what there is.
 *
 * @param {Int32Array} words The signal of `fixtures/reader.js`
 */
function waitForReader(words) {
  let before = 0;

  Atomics.store(words, 0, 1);

  for (let i = 0; i < 100; i++) {
    Atomics.wait(words, 2, 0, 100);

    const bytes = Atomics.load(words, 1);

    if (bytes > 0 && bytes === before) return;
    before = bytes;
  }

  assert.fail('nobody reads');
}

/**
 * Makes a text that `fixtures/reader.js` finds in its place.
 *
 * @param {Number} number The number of the text
 * @return {String} The text
 */
function numbered(number) {
  return String(number).padStart(16000, '0');
}

/**
 * Opens a connection whose client is in a thread of its own, and reads when it is
 * told to.
 *
 * @param {TestContext} t The context of the test
 * @return {Promise<Object>} The server's WebSocket, the worker, and the words of
 *     its signal
 */
async function readElsewhere(t) {
  const { wss } = await serve(t);
  const signal = new SharedArrayBuffer(12);
  const connection = once(wss, 'connection');
  const worker = new Worker(path.join(__dirname, 'fixtures/reader.js'), {
    workerData: { port: wss.address().port, signal, size: 16004 }
  });

  t.after(() => worker.terminate());

  const [ws] = await connection;

  return { words: new Int32Array(signal), worker, ws };
}

suite('full socket', () => {
  for (const [title, send] of [
    ['messages', (ws, text) => ws.send(Buffer.from(text))],
    ['texts', (ws, text) => ws.send(text)],
    [
      'frames of the sender',
      (ws, text) => {
        const options = { fin: true, opcode: 1 };

        ws._sender.sendFrame(Sender.frame(Buffer.from(text), options));
      }
    ]
  ]) {
    it(`keeps ${title} in order if the kernel has room again in the same tick`, async (t) => {
      const { words, ws, worker } = await readElsewhere(t);

      //
      // What its accessors tell is what is left after all that was sent has been
      // handed to the kernel.
      //
      const { _writableState: state } = ws._socket;
      let count = 0;
      let received = 0;
      let error;

      worker.on('message', (message) => {
        if (message.error) error = message.error;
        else received = message.count;
      });

      const sendNext = () => send(ws, numbered(count++));

      while (state.length === 0 && count < 5000) sendNext();

      assert.ok(state.length > 0, 'the socket is to be full');
      waitForReader(words);
      for (let i = 0; i < 10; i++) sendNext();
      await until(() => error || received === count, 'all has arrived');
      assert.equal(error, undefined);
    });
  }

  it('calls back in order if a socket that has room again is made a stream', async (t) => {
    const { words, ws } = await readElsewhere(t);
    const { _writableState: state } = ws._socket;
    const order = [];
    let count = 0;

    const sendNext = () => {
      const number = count++;

      ws.send(numbered(number), (err) => order.push(err || number));
    };

    while (state.length === 0 && count < 5000) sendNext();

    assert.ok(state.length > 0, 'the socket is to be full');
    sendNext();
    sendNext();
    assert.ok(
      ws._socket.writableLength > 0,
      'two more are to wait in the stream'
    );
    waitForReader(words);
    ws._socket.on('data', () => {});
    assert.ok(order.length < count, 'nothing is to be called back at once');
    await until(() => order.length === count, 'all has been called back');
    assert.deepEqual(
      order,
      Array.from({ length: count }, (_, number) => number)
    );
  });

  for (const [title, write] of [
    ['sendFrame()', (ws, bytes) => ws._sender.sendFrame([bytes])],
    ['write() of the socket', (ws, bytes) => ws._socket.write(bytes)]
  ]) {
    it(`keeps frames whole and in order (${title})`, async (t) => {
      const { client, lengths, ws } = await stuck(t);
      let rounds = 0;

      while (ws.bufferedAmount === 0 && rounds < 5000) {
        ws._sender.sendFrame([frame(SMALL)]);
        write(ws, frame(LARGE));
        rounds++;
        await new Promise(setImmediate);
      }

      assert.ok(ws.bufferedAmount > 0, 'the socket is to be full');
      client.resume();
      await until(() => lengths.length === 2 * rounds, 'all has arrived');
      assert.deepEqual(
        lengths,
        Array.from({ length: 2 * rounds }, (_, i) => (i % 2 ? LARGE : SMALL))
      );
    });
  }

  for (const [title, act] of [
    ['made a stream', (socket) => socket.on('data', () => {})],
    ['ended', (socket) => socket.end()],
    [
      'corked',
      (socket) => {
        socket.cork();
        socket.write(frame(LARGE));
        process.nextTick(() => socket.uncork());
      }
    ]
  ]) {
    it(`keeps what was sent in the tick in which it is ${title}`, async (t) => {
      const size = 16000;
      const room = await capacity(t, size);
      const { client, lengths, ws } = await stuck(t);
      let sent = 0;
      let callbacks = 0;

      const send = () => {
        sent++;
        ws.send(Buffer.alloc(size, size & 0xff), (err) => {
          assert.ifError(err);
          callbacks++;
        });
      };

      while (sent < room - 20) {
        send();
        await new Promise(setImmediate);
      }

      //
      // The kernel has no room for all of these.
      //
      for (let i = 0; i < 40; i++) send();
      act(ws._socket);

      client.resume();
      await until(() => callbacks === sent, 'all is called back');
      await until(() => lengths.length >= sent, 'all has arrived');
      assert.deepEqual(lengths.slice(0, sent), Array(sent).fill(size));
    });
  }

  for (const role of ['server', 'client']) {
    it(`keeps long messages whole and in order (${role})`, async (t) => {
      const { client, ws } = await stuck(t);
      const [from, to] = role === 'server' ? [ws, client] : [client, ws];
      const kinds = [
        'plain'.repeat(1200),
        'naïve '.repeat(20000),
        'naïve '.repeat(20000),
        'short',
        'naïve '.repeat(20000),
        Buffer.alloc(20001, 'buffer'),
        'short',
        '\u{1f600} and \ud800'.repeat(50000),
        new Uint8Array(300001).fill(7)
      ].map((data) => ({ data, text: Buffer.from(data).toString('latin1') }));
      const received = [];
      const expected = [];
      let callbacks = 0;

      to.removeAllListeners('message');
      to.on('message', (data) => received.push(data.toString('latin1')));
      to.pause();
      client.resume();
      if (role === 'server') client.pause();

      for (let beyond = 0; beyond < 10;) {
        const { data, text } = kinds[expected.length % kinds.length];

        expected.push(text);
        from.send(data, () => callbacks++);
        if (from.bufferedAmount > 0) beyond++;
        else await new Promise(setImmediate);
      }

      //
      // What others send must not get into what waits.
      //
      const other = await stuck(t);

      for (const sender of [other.ws, other.client]) {
        for (const text of ['z', 'Z']) sender.send(text.repeat(300000));
      }

      to.resume();
      await until(() => received.length === expected.length, 'all has arrived');
      assert.ok(received.every((text, i) => text === expected[i]));
      await until(() => callbacks === expected.length, 'all is called back');
    });
  }

  for (const form of ['port', 'server']) {
    it(`counts a frame in full until all of it is sent (${form})`, async (t) => {
      for (const size of [17000, 19000, 23000, 50000, 70001]) {
        const { client, ws } = await stuck(t, { form });

        client.removeAllListeners('message');

        while (ws.bufferedAmount === 0) {
          ws.send(Buffer.alloc(size));
          await new Promise(setImmediate);
        }

        //
        // As with a stream of Node.js, however much of it the kernel has taken.
        //
        assert.equal(ws.bufferedAmount, size + (size < 65536 ? 4 : 10));

        const socket = ws._socket;

        if (socket.writableHighWaterMark <= size) {
          const drained = once(socket, 'drain');

          assert.equal(socket.writableNeedDrain, true);
          client.resume();
          await drained;
        } else {
          client.resume();
          await until(() => ws.bufferedAmount === 0);
        }

        assert.equal(socket.writableLength, 0);
        assert.equal(socket.writableNeedDrain, false);
      }
    });
  }

  it('counts as full until ticks have run after a large reply', async (t) => {
    const { client, ws } = await stuck(t, { form: 'server' });
    const socket = ws._socket;
    const data = Buffer.alloc(socket.writableHighWaterMark);

    client.removeAllListeners('message');
    client.resume();

    for (const listens of [false, true]) {
      const seen = [];

      ws.once('message', () => {
        ws.send(data);
        seen.push(socket.writableNeedDrain);
        if (listens) socket.once('drain', () => seen.push('drain'));
        else process.nextTick(() => seen.push(socket.writableNeedDrain));
      });
      client.send('ask');
      await once(ws, 'message');
      await new Promise(setImmediate);
      assert.deepEqual(seen, [true, listens ? 'drain' : false]);
      assert.equal(socket.writableNeedDrain, false);
    }
  });

  it('emits drain after a long text that the kernel takes at once', async (t) => {
    const { client, ws } = await stuck(t);

    client.resume();
    client.removeAllListeners('message');

    const socket = ws._socket;
    const text = 'x'.repeat(socket.writableHighWaterMark);
    const drained = once(socket, 'drain');

    ws.send(text);
    assert.equal(socket.writableNeedDrain, true);
    await drained;
    assert.equal(socket.writableNeedDrain, false);
  });

  it('sends all of a queue of many buffers', async (t) => {
    const { client, lengths, ws } = await stuck(t);

    for (let i = 0; i < 500; i++) {
      ws._sender.sendFrame([frame(SMALL)]);
      ws._sender.sendFrame(
        Sender.frame(Buffer.alloc(LARGE, LARGE & 0xff), {
          fin: true,
          opcode: 2
        })
      );
    }

    await new Promise(setImmediate);
    assert.ok(ws.bufferedAmount > 0, 'the socket is to be full');
    client.resume();
    await until(() => lengths.length === 1000, 'all has arrived');
  });
});
