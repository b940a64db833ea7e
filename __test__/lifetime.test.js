'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { Worker } = require('node:worker_threads');
const { it } = require('node:test');

const WebSocket = require('..');

const { Child } = require('./helpers/child');
const { masked } = require('./helpers/frames');
const { closed, connect, listen, messages, serve } = require('./helpers/pair');
const { delay, once, suite, until } = require('./helpers/suite');
const { RawPeer } = require('./helpers/wire');

const MIB = 1 << 20;

/**
 * Starts a server that echoes.
 *
 * @param {TestContext} t The context of the test
 * @param {Object} [options] The options for `serve()`
 * @return {Promise<Object>} What `serve()` gives
 */
async function echo(t, options) {
  const served = await serve(t, options);

  served.wss.on('connection', (ws) => {
    ws.on('message', (data, binary) => ws.send(data, { binary }));
  });
  return served;
}

/**
 * Counts the open file descriptors of the process.
 *
 * @return {Number} How many there are; 0 where that can't be known
 */
function descriptors() {
  return fs.existsSync('/proc/self/fd')
    ? fs.readdirSync('/proc/self/fd').length
    : 0;
}

const skipWindows = process.platform === 'win32' && 'there is no SIGSTOP';

/**
 * Checks that a connection is alive by having a message echoed.
 *
 * @param {WebSocket} ws The client of an echo server
 * @param {String} [text] The message
 */
async function assertEcho(ws, text = 'alive?') {
  const received = messages(ws);

  ws.send(text);
  assert.deepEqual(await received, [text]);
}

/**
 * Opens a connection whose peer never reads, and fills it up.
 *
 * @param {TestContext} t The context of the test
 * @param {Object} served What `serve()` gave
 * @param {Function} [onSent] The callback for `send()`
 * @return {Promise<Object>} The peer, the WebSocket and what it has sent
 */
async function stuckPair(t, { wss, target }, onSent) {
  const connection = once(wss, 'connection');
  const peer = await RawPeer.open(t, target);
  const [ws] = await connection;
  let count = 0;

  peer.socket.pause();
  await until(() => {
    ws.send(Buffer.alloc(MIB), onSent && onSent.bind(null, count));
    count++;
    return ws.bufferedAmount > 2 * MIB;
  }, 'the peer does not take any more');

  // What the kernel can still take is to be taken now.
  await delay(50);
  return { peer, ws, count };
}

/**
 * Finds out how a bare socket tells that the last of its writes has failed when
 * it is destroyed, which depends on the version of Node.js.
 *
 * @param {TestContext} t The context of the test
 * @return {Promise<Error>} The error
 */
async function errorOfDestroyedSocket(t) {
  const server = await listen(
    t,
    net.createServer((peer) => peer.on('error', () => {}).pause())
  );
  const socket = net.connect(server.address());

  socket.on('error', () => {});
  await once(socket, 'connect');
  for (let i = 0; i < 31; i++) socket.write(Buffer.alloc(MIB));

  return new Promise((resolve) => {
    socket.write(Buffer.alloc(MIB), resolve);
    setTimeout(() => socket.destroy(), 50);
  });
}

/**
 * Starts a worker thread with a server and clients.
 *
 * @param {TestContext} t The context of the test
 * @param {Object} workerData See fixtures/worker.js
 * @return {Promise<Object>} The worker and what it says when it is ready
 */
async function startWorker(t, workerData) {
  const worker = new Worker(path.join(__dirname, 'fixtures', 'worker.js'), {
    workerData
  });

  t.after(() => worker.terminate());

  const [ready] = await once(worker, 'message');

  return { worker, ...ready };
}

suite('lifetime', () => {
  it('notices that a peer was killed', async (t) => {
    const { wss, url } = await echo(t);
    const other = await connect(t, url);
    const before = descriptors();
    const codes = [];

    for (let round = 0; round < 2; round++) {
      const child = Child.fixture(t, 'clients.js', [url, '50']);

      assert.equal(await child.next(), 'open');
      await until(() => wss.clients.size === 51, 'all connections are there');
      for (const ws of wss.clients) {
        ws.on('error', (err) => codes.push(err.message));
        ws.on('close', (code) => codes.push(code));
      }

      process.kill(child.pid, 'SIGKILL');
      assert.deepEqual(await child.ended(), { code: null, signal: 'SIGKILL' });
      await until(() => wss.clients.size === 1, 'they have closed');
    }

    assert.deepEqual(codes, Array(100).fill(1006));
    await assertEcho(other);
    await until(
      () => descriptors() <= before + 1,
      `no more than ${before} descriptors are open`
    );
  });

  it(
    'can terminate a half-open connection',
    { skip: skipWindows },
    async (t) => {
      const { wss, url } = await echo(t);
      const other = await connect(t, url);
      const child = Child.fixture(t, 'clients.js', [url, '3']);

      assert.equal(await child.next(), 'open');
      await until(() => wss.clients.size === 4, 'all connections are there');
      process.kill(child.pid, 'SIGSTOP');

      const pongs = new Set();
      const codes = [];

      for (const ws of wss.clients) {
        ws.on('pong', () => pongs.add(ws));
        ws.on('close', (code) => codes.push(code));
        ws.ping();
      }

      // The usual heartbeat: who does not answer in time is terminated.
      await until(() => pongs.size === 1, 'the peer that runs has answered');
      await delay(100);
      assert.equal(pongs.size, 1);

      for (const ws of wss.clients) if (!pongs.has(ws)) ws.terminate();

      await until(() => wss.clients.size === 1, 'the others have closed');
      assert.deepEqual(codes, [1006, 1006, 1006]);
      await assertEcho(other);
    }
  );

  it('counts exactly what a peer that never reads has to get', async (t) => {
    const served = await echo(t);
    const { ws } = await stuckPair(t, served);
    const stuck = ws.bufferedAmount;
    const header = { 0: 2, 125: 2, 126: 4, 65535: 4, 65536: 10, [MIB]: 10 };
    let expected = stuck;

    for (const [size, length] of Object.entries(header)) {
      ws.send(Buffer.alloc(Number(size)));
      expected += Number(size) + length;
      assert.equal(ws.bufferedAmount, expected, `after ${size} bytes`);
    }

    await delay(50);
    assert.equal(ws.bufferedAmount, expected);
    await assertEcho(await connect(t, served.url));
  });

  it('sends everything when the peer reads at last', async (t) => {
    const served = await serve(t);
    const results = [];
    const { peer, ws, count } = await stuckPair(t, served, (i, err) => {
      results.push([i, err ?? null]);
    });

    assert.ok(results.length < count);
    peer.socket.resume();
    for (let i = 0; i < count; i++) {
      assert.equal((await peer.frame()).payload.length, MIB);
    }

    await until(() => results.length === count, 'all callbacks were called');
    assert.deepEqual(
      results,
      Array.from({ length: count }, (_, i) => [i, null])
    );
    assert.equal(ws.bufferedAmount, 0);
  });

  it('calls back with errors when a stuck connection terminates', async (t) => {
    const served = await serve(t);
    const results = [];
    const { ws, count } = await stuckPair(t, served, (i, err) => {
      results.push([i, err ?? null]);
    });
    const written = results.length;
    const end = closed(ws);

    ws.terminate();
    assert.deepEqual(await end, { code: 1006, reason: '' });
    await until(() => results.length >= count, 'all callbacks were called');
    await delay(20);
    assert.deepEqual(
      results.map(([i]) => i),
      Array.from({ length: count }, (_, i) => i),
      'each callback is to be called once, in order'
    );
    assert.ok(written < count - 1);

    const [, last] = results[count - 1];

    assert.ok(last instanceof Error, 'the last send() can not have succeeded');

    const expected = await errorOfDestroyedSocket(t);

    assert.equal(last.code, expected.code);
    assert.equal(last.message, expected.message);
  });

  it('can close a stuck connection after closeTimeout', async (t) => {
    const served = await serve(t, { closeTimeout: 100 });
    const { ws } = await stuckPair(t, served);
    const end = closed(ws);

    ws.close(1000);
    assert.deepEqual(await end, { code: 1006, reason: '' });
  });

  it('does not keep the memory of stuck connections', async (t) => {
    const served = await serve(t);
    const before = descriptors();
    let settled;

    for (let round = 0; round < 24; round++) {
      const { peer, ws } = await stuckPair(t, served);
      const end = closed(ws);

      for (let i = 0; i < 8; i++) ws.send(Buffer.alloc(MIB));
      ws.terminate();
      await end;
      peer.socket.destroy();
      if (round === 8) settled = process.memoryUsage().rss;
    }

    const growth = process.memoryUsage().rss - settled;

    // Fifteen more connections had 120 MiB waiting when they ended.
    assert.ok(growth < 60 * MIB, `it grew by ${Math.round(growth / MIB)} MiB`);
    await until(
      () => descriptors() <= before + 1,
      `no more than ${before} descriptors are open`
    );
  });

  it('does not buffer what a paused connection does not take', async (t) => {
    const { wss, target } = await serve(t);
    const connection = once(wss, 'connection');
    const peer = await RawPeer.open(t, target);
    const [ws] = await connection;

    ws.pause();

    const before = process.memoryUsage().rss;
    const chunk = masked(2, Buffer.alloc(8 * MIB));

    // The same chunk is written over and over, so that it takes no memory on
    // this side of the connection.
    for (let i = 0; i < 32; i++) peer.write(chunk);
    await delay(200);

    const growth = process.memoryUsage().rss - before;

    assert.ok(peer.socket.writableLength > 128 * MIB);
    assert.ok(growth < 64 * MIB, `it grew by ${Math.round(growth / MIB)} MiB`);
  });

  it('does not allocate what a header merely claims', async (t) => {
    const { wss, target } = await serve(t, { maxPayload: 0 });
    const before = process.memoryUsage();
    const peers = [];

    for (let i = 0; i < 20; i++) {
      const peer = await RawPeer.open(t, target);

      peer.write(
        Buffer.concat([
          masked(2, '', { length: 512 * MIB }),
          Buffer.alloc(1000)
        ])
      );
      peers.push(peer);
    }

    await until(() => wss.clients.size === 20, 'all connections are there');
    await delay(100);

    const after = process.memoryUsage();

    assert.ok(after.rss - before.rss < 200 * MIB);
    assert.ok(after.arrayBuffers - before.arrayBuffers < 50 * MIB);
    for (const ws of wss.clients) assert.equal(ws.readyState, WebSocket.OPEN);
  });

  it('ends the process when nothing is open', async (t) => {
    const child = Child.fixture(t, 'lifetime.js', ['load']);

    assert.equal(await child.next(), 'function');
    assert.deepEqual(await child.ended(), { code: 0, signal: null });
  });

  for (const scenario of ['client', 'client-ref']) {
    it(`keeps the process alive by an open connection (${scenario})`, async (t) => {
      const { wss, url } = await serve(t);
      const child = Child.fixture(t, 'lifetime.js', [scenario, url]);

      assert.equal(await child.next(), 'open');
      await delay(300);
      assert.equal(child.exit, null, 'the process ended');
      for (const ws of wss.clients) ws.close();
      assert.deepEqual(await child.ended(), { code: 0, signal: null });
      assert.equal(child.stderr, '');
    });
  }

  it('keeps the process alive by an open server', async (t) => {
    const child = Child.fixture(t, 'lifetime.js', ['server']);
    const port = await child.next();

    await delay(300);
    assert.equal(child.exit, null, 'the process ended');

    const ws = await connect(t, `ws://127.0.0.1:${port}`);
    const end = closed(ws);

    ws.send('close');
    assert.equal((await end).code, 1005);
    assert.deepEqual(await child.ended(), { code: 0, signal: null });
  });

  it('keeps the process alive by a connection of a closed server', async (t) => {
    const child = Child.fixture(t, 'lifetime.js', ['connection']);
    const ws = await connect(t, `ws://127.0.0.1:${await child.next()}`);

    await delay(200);
    assert.equal(child.exit, null, 'the process ended');
    await assertEcho(ws);
    ws.close(1000);
    assert.equal(await child.next(), 1000);
    assert.deepEqual(await child.ended(), { code: 0, signal: null });
  });

  it("lets the process end after the socket's unref()", async (t) => {
    const { wss, url } = await serve(t);
    const connection = once(wss, 'connection');
    const child = Child.fixture(t, 'lifetime.js', ['client-unref', url]);
    const [ws] = await connection;
    const end = closed(ws);

    assert.equal(await child.next(), 'open');
    assert.deepEqual(await child.ended(), { code: 0, signal: null });
    assert.equal((await end).code, 1006);
    assert.equal(child.stderr, '');
  });

  it('serves a connection that was unref()ed as long as the process lives', async (t) => {
    const { url } = await echo(t);
    const child = Child.fixture(t, 'lifetime.js', ['client-unref-echo', url]);

    assert.equal(await child.next(), 'echo');
    assert.deepEqual(await child.ended(), { code: 0, signal: null });
  });

  it('lets the process end when server and connections are unref()ed', async (t) => {
    const child = Child.fixture(t, 'lifetime.js', ['server-unref']);
    const ws = await connect(t, `ws://127.0.0.1:${await child.next()}`);
    const end = closed(ws);

    assert.equal(await child.next(), 'connected');
    assert.deepEqual(await child.ended(), { code: 0, signal: null });
    assert.equal((await end).code, 1006);
  });

  for (const event of [
    'open',
    'upgrade',
    'message',
    'onmessage',
    'ping',
    'pong',
    'close',
    'callback',
    'promise'
  ]) {
    it(`dies of an exception in a handler (${event})`, async (t) => {
      const { wss, url } = await serve(t);

      wss.on('connection', (ws) => {
        ws.send('x');
        ws.ping();
      });

      const child = Child.fixture(t, 'lifetime.js', ['throw', url, event]);

      assert.deepEqual(await child.ended(), { code: 1, signal: null });
      assert.match(child.stderr, /\bthrow new Error\('boom'\);\n/);
      assert.match(child.stderr, /\nError: boom\n {4}at .*lifetime\.js:\d+/);
    });
  }

  it('goes on with other connections after an exception', async (t) => {
    const child = Child.fixture(t, 'lifetime.js', ['uncaught']);
    const url = `ws://127.0.0.1:${await child.next()}`;
    const a = await connect(t, `${url}/a`);
    const b = await connect(t, `${url}/b`);

    a.send('throw');
    assert.deepEqual(await child.next(), ['a', 'throw']);
    assert.deepEqual(await child.next(), [
      'exception',
      'boom',
      'uncaughtException'
    ]);
    b.send('one');
    assert.deepEqual(await child.next(), ['b', 'one']);
    b.close(1000);
    assert.deepEqual(await child.next(), ['b', 'close', 1000]);
    await connect(t, `${url}/c`).then((ws) => ws.send('hello'));
    assert.deepEqual(await child.next(), ['c', 'hello']);
  });

  it('goes on with the same connection after an exception', async (t) => {
    const child = Child.fixture(t, 'lifetime.js', ['uncaught']);
    const url = `ws://127.0.0.1:${await child.next()}`;
    const ws = await connect(t, `${url}/a`);
    const exception = ['exception', 'boom', 'uncaughtException'];

    ws.send('throw');
    assert.deepEqual(await child.next(), ['a', 'throw']);
    assert.deepEqual(await child.next(), exception);
    ws.send('after');
    assert.deepEqual(await child.next(), ['a', 'after']);

    // Several in one turn: the exception takes nothing with it.
    ws._socket.cork();
    ws.send('one');
    ws.send('throw');
    ws.ping('throw');
    ws.send('two');
    ws._socket.uncork();

    const lines = [];

    for (let i = 0; i < 6; i++) lines.push(await child.next());
    assert.deepEqual(
      lines.filter(([name]) => name === 'a'),
      [
        ['a', 'one'],
        ['a', 'throw'],
        ['a', 'ping'],
        ['a', 'two']
      ]
    );
    assert.deepEqual(
      lines.filter(([name]) => name === 'exception'),
      [exception, exception]
    );
    ws.close(1000);
    assert.deepEqual(await child.next(), ['a', 'close', 1000]);
  });

  it('delivers what was sent before process.exit()', async (t) => {
    const { wss, url } = await serve(t);
    const connection = once(wss, 'connection');
    const child = Child.fixture(t, 'lifetime.js', ['send-exit', url]);
    const [ws] = await connection;
    const end = closed(ws);
    const received = await messages(ws, 100);

    assert.deepEqual(
      received,
      Array.from({ length: 100 }, (_, i) => `message ${i}`)
    );
    assert.equal((await end).code, 1006);
    assert.deepEqual(await child.ended(), { code: 7, signal: null });
    assert.equal(child.stderr, '');
  });

  it('delivers what was sent before the process died', async (t) => {
    const { wss, url } = await serve(t);
    const connection = once(wss, 'connection');
    const child = Child.fixture(t, 'lifetime.js', ['send-throw', url]);
    const [ws] = await connection;

    assert.deepEqual(await messages(ws), ['last words']);
    assert.deepEqual(await child.ended(), { code: 1, signal: null });
  });

  it('exits cleanly amid traffic', async (t) => {
    for (let i = 0; i < 3; i++) {
      const child = Child.fixture(t, 'lifetime.js', ['busy-exit']);

      assert.deepEqual(await child.ended(), { code: 3, signal: null });
      assert.equal(child.stderr, '');
    }
  });

  it('works in several threads at once', async (t) => {
    const { wss, url } = await echo(t, { perMessageDeflate: true });
    const own = await connect(t, url);
    const workers = await Promise.all(
      ['a', 'b', 'c'].map((name) =>
        startWorker(t, { name, url, connections: 10, messages: 20 })
      )
    );

    for (const { answers } of workers) assert.equal(answers, 2 * 10 * 20);
    await assertEcho(own);
    assert.equal(wss.clients.size, 1 + 3 * 10);

    // The main thread is a client of the workers, too.
    const clients = await Promise.all(
      workers.map(({ port }) => connect(t, `ws://127.0.0.1:${port}`))
    );

    for (const ws of clients) await assertEcho(ws, 'main');

    const exits = workers.map(({ worker }) => once(worker, 'exit'));

    for (const { worker } of workers) worker.postMessage('close');
    await until(() => wss.clients.size === 1, 'their clients have closed');
    await assertEcho(own);

    // A server goes on until its last connection has ended.
    for (const ws of clients) {
      await assertEcho(ws, 'still there');
      ws.close();
    }

    assert.deepEqual(await Promise.all(exits), [[0], [0], [0]]);
    await assertEcho(own);
  });

  it('ends a thread by itself when all is closed', async (t) => {
    const { url } = await echo(t);
    const { worker } = await startWorker(t, {
      name: 'a',
      url,
      connections: 3,
      messages: 3
    });
    const exit = once(worker, 'exit');

    worker.postMessage('close');
    assert.deepEqual(await exit, [0]);
  });

  it('takes only its own connections when a thread is terminated', async (t) => {
    const { wss, url } = await echo(t);
    const own = await connect(t, url);
    const [doomed, other] = await Promise.all(
      ['doomed', 'other'].map((name) =>
        startWorker(t, { name, url, connections: 5, messages: 5 })
      )
    );
    const toDoomed = await connect(t, `ws://127.0.0.1:${doomed.port}`);
    const toOther = await connect(t, `ws://127.0.0.1:${other.port}`);
    const end = closed(toDoomed);
    const before = wss.clients.size;

    assert.equal(before, 11);
    assert.equal(await doomed.worker.terminate(), 1);
    assert.equal((await end).code, 1006);
    await until(() => wss.clients.size === 6, 'its clients have closed');
    await assertEcho(own);
    await assertEcho(toOther);

    const exit = once(other.worker, 'exit');

    toOther.close();
    other.worker.postMessage('close');
    assert.deepEqual(await exit, [0]);
    await until(() => wss.clients.size === 1, 'only our client is left');
  });

  it('can terminate threads amid traffic', async (t) => {
    const { wss, url } = await echo(t);
    const own = await connect(t, url);
    const before = descriptors();

    for (let i = 0; i < 3; i++) {
      const { worker } = await startWorker(t, {
        name: `${i}`,
        url,
        connections: 4,
        messages: 1
      });
      const flooding = once(worker, 'message');

      worker.postMessage('flood');
      await flooding;
      await delay(10 * i);
      await worker.terminate();
      await until(() => wss.clients.size === 1, 'its clients have closed');
      await assertEcho(own);
    }

    await until(
      () => descriptors() <= before,
      `no more than ${before} descriptors are open`
    );
  });

  it('lets an exception end the thread in which it was thrown', async (t) => {
    const { wss, url } = await echo(t);
    const own = await connect(t, url);
    const { worker } = await startWorker(t, {
      name: 'a',
      url,
      connections: 2,
      messages: 1
    });
    const error = once(worker, 'error');

    worker.postMessage('throw');
    assert.equal((await error)[0].message, 'boom');
    await until(() => wss.clients.size === 1, 'its clients have closed');
    await assertEcho(own);
  });
});
