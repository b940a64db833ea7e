'use strict';

//
// What the connections and the program around them can do to each other.
//

const assert = require('node:assert/strict');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { execFile } = require('node:child_process');
const { it } = require('node:test');
const { promisify } = require('node:util');

const WebSocket = require('..');
const driver = require('../lib/native-driver');

const { closePayload, deflate, frame, masked } = require('./helpers/frames');
const { acceptUpgrade, upgradeRequest } = require('./helpers/handshake');
const { closed, connect, messages, pair, serve } = require('./helpers/pair');
const { delay, once, suite, until } = require('./helpers/suite');
const { RawPeer, rawServer } = require('./helpers/wire');

const TEXT = 1;
const BINARY = 2;
const CLOSE = 8;
const KIB = 1024;
const MIB = 1024 * KIB;

const ROOT = path.join(__dirname, '..');

const hasEngine =
  process.platform === 'linux' && process.env.OXWS_DRIVER !== 'stream';
const skip = !hasEngine && 'there is no engine';

/**
 * Runs a program in a process of its own.
 *
 * @param {Function} program The program, which gets the path of the package
 * @param {String} [setup=''] What comes before `node` on the command line
 * @param {String} [root] What it gets instead
 * @return {Promise<String>} What it prints
 */
async function run(program, setup = '', root = ROOT) {
  const { stdout } = await promisify(execFile)(
    'sh',
    [
      '-c',
      `${setup} exec "$@"`,
      'sh',
      process.execPath,
      '-e',
      `(${program})(${JSON.stringify(root)})`
    ],
    { cwd: ROOT, timeout: 20000 }
  );

  return stdout.trim();
}

/**
 * Opens connections of bare sockets to a server.
 *
 * @param {TestContext} t The context of the test
 * @param {Object} options The options for `serve()`
 * @param {Number} count How many
 * @param {Object} [request] Options for `upgradeRequest()`
 * @return {Promise<Object>} The server, its peers and their WebSockets
 */
async function open(t, options, count, request) {
  const { wss, target } = await serve(t, options);
  const peers = [];
  const sockets = [];

  for (let i = 0; i < count; i++) {
    const connection = once(wss, 'connection');

    peers.push(await RawPeer.open(t, target, request));
    sockets.push((await connection)[0]);
  }

  return { wss, peers, sockets, target };
}

suite('surroundings', () => {
  it('holds little of what is decompressed at once', async (t) => {
    const { peers, sockets } = await open(
      t,
      { perMessageDeflate: true, maxPayload: MIB },
      10,
      {
        headers: {
          'Sec-WebSocket-Extensions':
            'permessage-deflate; client_no_context_takeover'
        }
      }
    );
    const count = 100;
    const payload = deflate(Buffer.alloc(256 * KIB), { level: 9 });
    const frames = Buffer.concat(
      Array(count).fill(masked(BINARY, payload, { rsv: 4 }))
    );
    let received = 0;
    let most = 0;

    for (const ws of sockets) {
      ws.on('message', () => {
        received++;
        most = Math.max(most, process.memoryUsage().arrayBuffers);
      });
    }

    for (const peer of peers) peer.write(frames);
    await until(() => received === count * peers.length, 'all messages', 20000);

    // All of them have 250 MiB.
    assert.ok(most < 150 * MIB, `${most} bytes`);
  });

  it('decompresses a large message little by little', async (t) => {
    const payload = deflate(Buffer.alloc(32 * MIB), { level: 9 });

    for (const isStream of [false, true]) {
      const { peers, sockets } = await open(t, { perMessageDeflate: true }, 2, {
        headers: { 'Sec-WebSocket-Extensions': 'permessage-deflate' }
      });
      const lengths = [];
      let turns = 0;

      for (const ws of sockets) {
        ws.on('message', (data) => lengths.push(data.length));

        // That changes over to the stream driver.
        if (isStream) ws._socket.on('data', () => {});
      }

      peers[0].write(masked(BINARY, payload, { rsv: 4 }));
      await until(() => sockets[0]._receiver._totalPayloadLength > 0, 'a part');
      peers[1].write(masked(BINARY, deflate('a'), { rsv: 4 }));

      while (lengths.length < 2) {
        await new Promise(setImmediate);
        turns++;
      }

      // The small one did not have to wait for the large one.
      assert.deepEqual(lengths, [1, 32 * MIB]);
      assert.ok(turns > 32, `${turns} turns, stream: ${isStream}`);
    }
  });

  it('keeps the order of what comes with the handshake', async (t) => {
    const count = 20;

    // Of which the first one is decompressed in several goes, and the second one
    // is as much as a batch takes.
    for (const size of [16 * MIB, 3 * MIB]) {
      const payload = deflate(Buffer.alloc(size), { level: 9 });
      const url = await rawServer(
        t,
        async (peer) => {
          for (let i = 0; i < count; i++) {
            await new Promise(setImmediate);
            peer.write(frame(TEXT, `${i}`));
          }
        },
        (head) =>
          Buffer.concat([
            Buffer.from(
              acceptUpgrade(head, {
                'Sec-WebSocket-Extensions': 'permessage-deflate'
              })
            ),
            frame(BINARY, payload, { rsv: 4 })
          ])
      );
      const ws = new WebSocket(url);
      const received = [];

      t.after(() => ws.terminate());
      ws.on('message', (data, isBinary) => {
        received.push(isBinary ? data.length : Number(data));
      });

      await until(() => received.length > count, 'all messages');
      assert.deepEqual(received, [size, ...Array(count).keys()]);
    }
  });

  it('goes on to decompress when the connection is gone or paused', async (t) => {
    const bytes = Buffer.concat([
      masked(BINARY, deflate(Buffer.alloc(32 * MIB), { level: 9 }), { rsv: 4 }),
      masked(BINARY, 'a')
    ]);

    for (const end of ['terminate', 'end', 'pause']) {
      const { peers, sockets } = await open(t, { perMessageDeflate: true }, 1, {
        headers: { 'Sec-WebSocket-Extensions': 'permessage-deflate' }
      });
      const [ws] = sockets;
      const lengths = [];

      ws.on('message', (data) => lengths.push(data.length));
      peers[0].write(bytes);
      await until(() => ws._receiver._totalPayloadLength > 0, 'a part');
      await delay(5);
      assert.equal(lengths.length, 0);

      if (end === 'pause') {
        ws.pause();
        await until(() => lengths.length > 0, 'the large message');
        ws.resume();
        await until(() => lengths.length > 1, 'the other one');
      } else {
        if (end === 'terminate') ws.terminate();
        else peers[0].socket.end();

        await once(ws, 'close');
      }

      assert.deepEqual(lengths, [32 * MIB, 1]);
    }
  });

  it('delivers everything when memory is transferred', async (t) => {
    const { peers, sockets } = await open(t, {}, 4);
    const received = [];

    for (const ws of sockets) {
      ws.on('message', (data) => {
        received.push(data.toString());

        try {
          structuredClone(data, { transfer: [data.buffer] });
        } catch (err) {
          assert.equal(err.name, 'DataCloneError');
        }
      });
    }

    for (let i = 0; i < 3; i++) {
      for (const peer of peers) peer.write(masked(TEXT, `hello ${i}`));
      await until(() => received.length === 4 * (i + 1), 'the messages');
    }

    assert.ok(received.every((text) => text.startsWith('hello')));
  });

  it('keeps little memory alive for a message that is kept', async (t) => {
    const { ws, peer } = await pair(t);
    const kept = [];
    let count = 0;

    peer.on('message', (data) => {
      if (count++ % 400 === 0) kept.push(data);
    });

    for (let i = 0; i < 400; i++) {
      for (let j = 0; j < 50; j++) ws.send(Buffer.alloc(200, j));
      await until(() => count === (i + 1) * 50, 'the messages');
    }

    const buffers = new Set(kept.map((data) => data.buffer));
    const bytes = [...buffers].reduce((sum, it) => sum + it.byteLength, 0);

    assert.equal(kept.length, 50);
    assert.ok(bytes <= 50 * 33 * KIB, `${bytes} bytes`);
  });

  it('does not confuse connections that are gone with others', async (t) => {
    const { target, sockets, wss } = await open(t, { form: 'server' }, 1);
    const old = sockets[0]._socket;
    const gone = closed(sockets[0]);

    sockets[0].terminate();
    await gone;
    await delay(20);

    wss.on('connection', (ws) => ws.on('message', (data) => ws.send(data)));

    const ws = await connect(t, `ws://${target.host}:${target.port}`);

    old.pause();
    old.resume();
    old.pause();
    old.on('data', () => {});
    old.push(Buffer.from('x'));
    old.unshift(Buffer.from('x'));
    old.pipe(new net.Socket());

    for (const text of ['a', 'b']) {
      const answer = messages(ws);

      ws.send(text);
      assert.equal((await answer)[0].toString(), text);
    }
  });

  it('notices that the peer of a paused connection is gone', async (t) => {
    const { ws, peer } = await pair(t);
    const gone = closed(peer);

    peer.pause();
    await delay(20);
    ws._socket.destroy();
    assert.equal((await gone).code, 1006);
  });

  it('delivers what a paused connection has received to its end', async (t) => {
    const {
      peers: [peer],
      sockets: [ws]
    } = await open(t, {}, 1);
    const received = messages(ws);
    const gone = closed(ws);

    ws.pause();
    peer.write(masked(TEXT, 'late'));
    peer.write(masked(CLOSE, closePayload(4001, 'bye')));
    await delay(50);
    ws.terminate();

    assert.deepEqual(await received, ['late']);
    assert.equal((await gone).code, 4001);
  });

  it("emits 'drain' after a large message that was taken at once", async (t) => {
    const { peer } = await pair(t);
    const socket = peer._socket;

    peer.send(Buffer.alloc(64 * KIB));
    assert.equal(socket.writableNeedDrain, true);
    await once(socket, 'drain');
    assert.equal(socket.writableNeedDrain, false);
  });

  it('stops when nobody listens to the socket any more', async (t) => {
    const {
      peers: [peer],
      sockets: [ws]
    } = await open(t, {}, 1);
    const received = [];

    ws.on('message', (data) => received.push(data.toString()));
    ws._socket.removeAllListeners('data');
    peer.write(masked(TEXT, 'unheard'));
    await delay(50);
    assert.deepEqual(received, []);
  });

  it('obeys limits that are set on the receiver later', async (t) => {
    for (const perMessageDeflate of [false, true]) {
      const { wss, url } = await serve(t, { perMessageDeflate });

      wss.on('connection', (ws) => {
        ws.on('error', () => {});
        ws._receiver._maxPayload = 10;
        ws.once('message', () => {
          ws._receiver._maxPayload = 1000;
          ws.send('raised');
        });
      });

      const ws = await connect(t, url, { perMessageDeflate });
      const answer = messages(ws);

      ws.send('short');
      assert.deepEqual(await answer, ['raised']);

      const [server] = wss.clients;
      const received = messages(server);

      ws.send('x'.repeat(1000));
      assert.equal((await received)[0].length, 1000);

      const gone = closed(ws);

      ws.send('x'.repeat(1001));
      assert.equal((await gone).code, 1009);

      const other = await connect(t, url, { perMessageDeflate });
      const otherGone = closed(other);

      other.send('x'.repeat(11));
      assert.equal((await otherGone).code, 1009);
    }
  });

  it('answers a long request in full', async (t) => {
    const { wss, target } = await serve(t);
    const peer = await RawPeer.connect(t, target);
    const connection = once(wss, 'connection');
    const protocol = 'p'.repeat(7000);

    peer.write(
      upgradeRequest({ headers: { 'Sec-WebSocket-Protocol': protocol } })
    );
    await connection;

    const { headers } = await peer.response();

    assert.equal(headers['sec-websocket-protocol'], protocol);
  });

  it("announces who comes back after the 'close' of before", async (t) => {
    const { wss, url } = await serve(t);
    let open = 0;
    let most = 0;

    wss.on('connection', (ws, req) => {
      ws.on('message', (data) => {
        const end = performance.now() + 3;

        ws.send(data);
        while (performance.now() < end);
      });

      if (req.url === '/busy') return;

      most = Math.max(most, ++open);
      ws.on('close', () => open--);
    });

    await run(`(root) => {
      const WebSocket = require(root);
      const busy = new WebSocket('${url}/busy');
      let left = 60;

      busy.on('message', () => setImmediate(() => busy.send('x')));
      busy.on('open', () => {
        busy.send('x');
        again();
      });

      function again() {
        if (left-- === 0) process.exit();

        const ws = new WebSocket('${url}');

        ws.on('open', () => ws.close());
        ws.on('close', again);
      }
    }`);

    assert.equal(most, 1);
  });

  it('gives the socket of a request to proxies and copies of it', async (t) => {
    const { wss, target } = await serve(t);
    const connection = once(wss, 'connection');

    await RawPeer.open(t, target);

    const [ws, req] = await connection;
    const copy = Object.defineProperties(
      Object.create(Object.getPrototypeOf(req)),
      Object.getOwnPropertyDescriptors(req)
    );

    assert.equal(new Proxy(req, {}).socket, ws._socket);
    assert.equal(copy.socket, ws._socket);
  });

  it('goes on when timers and ticks are replaced', async () => {
    const output = await run((root) => {
      const WebSocket = require(root);
      const { setTimeout } = globalThis;
      const options = { perMessageDeflate: { threshold: 1024 } };
      const wss = new WebSocket.Server(
        { port: 0, host: '127.0.0.1', ...options },
        () => {
          const ws = new WebSocket(
            `ws://127.0.0.1:${wss.address().port}`,
            options
          );

          ws.on('open', () => {
            const { nextTick } = process;

            globalThis.setImmediate = () => {};
            globalThis.setTimeout = () => {};
            ws.send('x'.repeat(1e6));
            process.nextTick = () => {};
            ws.send('short');
            process.nextTick = nextTick;
          });

          let length = 0;

          ws.on('message', (data) => {
            length += data.length;
            if (length < 1000005) return;

            console.log(length);
            process.exit();
          });
        }
      );

      wss.on('connection', (ws) => ws.on('message', (data) => ws.send(data)));
      setTimeout(process.exit, 5000, 1);
    });

    assert.equal(output, '1000005');
  });

  it('serves others while a listener runs the event loop', async () => {
    const program = (root) => {
      const deasync = require('deasync');
      const WebSocket = require(root);
      const wss = new WebSocket.Server({ port: 0, host: '127.0.0.1' }, () => {
        const url = `ws://127.0.0.1:${wss.address().port}`;
        const [a, b, c] = [1, 2, 3].map(() => new WebSocket(url));
        let opened = 0;
        let isOver = false;

        for (const [name, ws] of Object.entries({ a, b, c })) {
          ws.on('open', () => {
            if (++opened < 3) return;

            a.send('first');
            a.send('second');
          });
          ws.on('message', (data) => {
            console.log(`${name} gets ${data}`);

            if (name === 'a' && `${data}` === 'first') {
              a.send('third');
              b.send('to b');
              deasync.loopWhile(() => !isOver);
            } else if (name === 'b') {
              c.send('to c');
              deasync.sleep(50);
              b.send('bye');
              b.close();
            } else if (`${data}` === 'third') {
              process.exit();
            }

            console.log(`${name} has got ${data}`);
          });
          ws.on('close', (code) => {
            console.log(`${name} closes with ${code}`);
            isOver = true;
          });
        }
      });

      wss.on('connection', (ws) => ws.on('message', (data) => ws.send(data)));
    };

    assert.equal(await run(program), await run(program, '', 'ws'));
  });

  it('has the end wait for a listener that runs the event loop', async () => {
    const program = (root) => {
      const deasync = require('deasync');
      const WebSocket = require(root);
      const wss = new WebSocket.Server({ port: 0, host: '127.0.0.1' }, () => {
        const ws = new WebSocket(`ws://127.0.0.1:${wss.address().port}`);

        ws.on('open', () => {
          ws.send('first');
          ws.send('second');
          setTimeout(() => ws.terminate(), 50);
        });
      });

      wss.on('connection', (ws) => {
        ws.on('message', (data) => {
          console.log(`gets ${data}`);
          deasync.sleep(200);
          console.log(`has got ${data}`);
        });
        ws.on('close', (code) => {
          console.log(`closes with ${code}`);
          wss.close();
        });
      });
    };

    assert.equal(await run(program), await run(program, '', 'ws'));
  });

  it('survives a listener that runs the event loop for long', async () => {
    const output = await run((root) => {
      const deasync = require('deasync');
      const WebSocket = require(root);
      const server = require('http').createServer();
      const wss = new WebSocket.Server({ server });

      wss.on('connection', (ws) => {
        ws.on('message', (data) => {
          ws.terminate();
          server.close();
          deasync.sleep(2500);
          console.log(`${data}`);
        });
      });

      server.listen(0, '127.0.0.1', () => {
        const script =
          `const ws = new WebSocket('ws://127.0.0.1:${server.address().port}');` +
          "ws.on('error', () => {}); ws.on('open', () => ws.send('done'));";

        require('child_process').spawn(process.execPath, [
          '-e',
          `const WebSocket = require('ws'); ${script}`
        ]);
      });
    });

    assert.equal(output, 'done');
  });

  it('loads where Uint8Array is a class of the program', async () => {
    const output = await run((root) => {
      globalThis.Uint8Array = class extends Uint8Array {};

      const WebSocket = require(root);
      const wss = new WebSocket.Server({ port: 0, host: '127.0.0.1' }, () => {
        const ws = new WebSocket(`ws://127.0.0.1:${wss.address().port}`);

        ws.on('open', () => ws.send(new Uint8Array([111, 107])));
      });

      wss.on('connection', (ws) => {
        ws.on('message', (data) => {
          console.log(`${data}`);
          process.exit();
        });
      });
    });

    assert.equal(output, 'ok');
  });

  it('sees prototypes that are replaced as they are loaded', async () => {
    const output = await run((root) => {
      const Module = require('module');
      const load = Module.prototype.require;
      const seen = new Set();
      const done = new Set();
      const methods = {
        Receiver: ['on'],
        Sender: ['send', 'close'],
        WebSocket: ['setSocket']
      };

      Module.prototype.require = function (id) {
        const loaded = load.call(this, id);
        const patches = done.has(loaded) ? [] : methods[loaded.name] || [];

        done.add(loaded);

        for (const name of patches) {
          const method = loaded.prototype[name];

          loaded.prototype[name] = function (...args) {
            seen.add(`${loaded.name}.${name}`);
            return method.apply(this, args);
          };
        }
        return loaded;
      };

      const WebSocket = require(root);
      const wss = new WebSocket.Server({ port: 0, host: '127.0.0.1' }, () => {
        setTimeout(() => {
          const ws = new WebSocket(`ws://127.0.0.1:${wss.address().port}`);

          ws.on('open', () => {
            seen.clear();
            ws._socket.write(
              Buffer.from([
                0x81, 0x81, 0, 0, 0, 0, 0x78, 0x88, 0x80, 0, 0, 0, 0
              ])
            );
          });
          ws.on('close', () => {
            console.log([...seen].sort().join());
            process.exit();
          });
        }, 50);
      });

      wss.on('connection', (ws) => ws.on('message', (data) => ws.send(data)));
    });

    assert.equal(output, 'Sender.close,Sender.send');
  });

  it(
    'emits messages as emit() does, whoever has replaced it',
    { skip },
    async () => {
      const output = await run(async (root) => {
        const EventEmitter = require('events');
        const { emit } = EventEmitter.prototype;
        const seen = [];
        let before = true;

        EventEmitter.prototype.emit = function (name, ...args) {
          if (before && name === 'message') seen.push(this.constructor.name);
          return emit.call(this, name, ...args);
        };

        const { once } = EventEmitter;
        let WebSocket = require(root);

        /**
         * Has a server get a message.
         *
         * @param {Function} listen Adds the listeners, and calls back
         */
        async function exchange(listen) {
          const wss = new WebSocket.Server({ port: 0, host: '127.0.0.1' });

          await once(wss, 'listening');

          const ws = new WebSocket(`ws://127.0.0.1:${wss.address().port}`);
          const [peer] = await once(wss, 'connection');

          await once(ws, 'open');
          ws.send('a');
          await new Promise((resolve) => listen(peer, resolve));
          ws.terminate();
          wss.close();
        }

        await exchange((peer, done) => {
          peer.on('message', function (...args) {
            seen.push(`${args.join()} ${this === peer}`);
            done();
          });
        });

        // From here on it is Node's own again.
        before = false;
        EventEmitter.prototype.emit = emit;

        for (const path of Object.keys(require.cache))
          delete require.cache[path];

        WebSocket = require(root);
        EventEmitter.captureRejections = true;
        await exchange((peer, done) => {
          peer.on('error', (err) => {
            seen.push(err.message);
            done();
          });
          peer.on('message', async () => {
            throw new Error('rejected');
          });
        });
        EventEmitter.captureRejections = false;

        await exchange((peer, done) => {
          const { emit } = peer;

          peer.emit = function (...args) {
            seen.push('own');
            return emit.apply(this, args);
          };
          peer.on('message', () => done());
        });
        console.log(seen.join('; '));
        process.exit();
      });

      assert.equal(output, 'WebSocket; a,false true; rejected; own');
    }
  );

  it("sends what is sent in 'exit' listeners", async () => {
    const server = net.createServer();

    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));

    const gathered = new Promise((resolve) => {
      const wss = new WebSocket.Server({
        server: require('http').createServer()
      });

      wss.options.server.listen(0, '127.0.0.1', () => {
        const { port } = wss.options.server.address();

        wss.on('connection', (ws) => {
          ws.on('message', (data) => {
            resolve(data.toString());
            wss.close();
            wss.options.server.close();
          });
        });
        run(
          `(root) => {
            const WebSocket = require(root);
            const ws = new WebSocket('ws://127.0.0.1:${port}');
            ws.on('open', () => {
              process.on('exit', () => ws.send('bye'));
              setTimeout(process.exit, 20);
            });
          }`
        );
      });
    });

    server.close();
    assert.equal(await gathered, 'bye');
  });

  it('keeps the asynchronous context of its loading to itself', async () => {
    const output = await run((root) => {
      const { AsyncLocalStorage } = require('async_hooks');
      const storage = new AsyncLocalStorage();
      const WebSocket = storage.run('loading', () => require(root));
      const wss = storage.run(
        'listening',
        () => new WebSocket.Server({ port: 0, host: '127.0.0.1' })
      );

      wss.on('listening', () => {
        setTimeout(() => {
          const ws = new WebSocket(`ws://127.0.0.1:${wss.address().port}`);

          ws.on('open', () => ws.send('x'));
        }, 50);
      });
      wss.on('connection', (ws) => {
        const context = storage.getStore();

        ws.on('message', () => {
          console.log(context, storage.getStore());
          process.exit();
        });
      });
    });

    // The first is what it is with ws, before Node.js 24 and from there on.
    assert.match(output, /^(undefined|listening) undefined$/);
  });

  it('loses nobody for want of descriptors', { skip }, async () => {
    const output = await run((root) => {
      const { spawn } = require('child_process');
      const { giveBackDescriptors, useUpDescriptors } = require(
        `${root}/__test__/helpers/descriptors`
      );
      const WebSocket = require(root);
      const wss = new WebSocket.Server({ port: 0, host: '127.0.0.1' });
      const lost = [];
      const program = `(${(root, port) => {
        const WebSocket = require(root);
        let open = 0;
        let received = 0;

        for (let i = 0; i < 40; i++) {
          const ws = new WebSocket(`ws://127.0.0.1:${port}`);

          ws.on('open', () => {
            ws.pause();
            if (++open === 40) console.log('open');
          });
          ws.on('message', () => {
            if (++received < 40) return;

            console.log('done');
            setTimeout(process.exit, 300);
          });
          setTimeout(() => ws.resume(), 1500);
        }
      }})`;

      wss.on('listening', () => {
        const { port } = wss.address();
        const child = spawn(
          process.execPath,
          ['-e', `${program}(${JSON.stringify(root)}, ${port})`],
          { stdio: ['ignore', 'pipe', 'inherit'] }
        );

        child.stdout.once('data', () => {
          // Nothing is left.
          const held = useUpDescriptors();

          child.stdout.once('data', () => {
            done = true;
          });

          for (const ws of wss.clients) {
            ws.on('close', (code) => code === 1006 && !done && lost.push(code));
            ws.send(Buffer.alloc(8 << 20));
          }

          setTimeout(() => giveBackDescriptors(held), 1000);
        });

        let done = false;

        child.on('exit', (code) => {
          console.log(code, lost.length);
          process.exit();
        });
      });
    }, 'ulimit -n 100;');

    assert.equal(output, '0 0');
  });

  it('makes no two sockets for want of descriptors', { skip }, async () => {
    const output = await run((root) => {
      const { spawn } = require('child_process');
      const { giveBackDescriptors, useUpDescriptors } = require(
        `${root}/__test__/helpers/descriptors`
      );
      const WebSocket = require(root);
      const wss = new WebSocket.Server({ port: 0, host: '127.0.0.1' });
      const codes = [];
      const program = `(${(root, port) => {
        const WebSocket = require(root);
        let open = 0;

        for (let i = 0; i < 14; i++) {
          const ws = new WebSocket(`ws://127.0.0.1:${port}`);
          let received = 0;

          ws.on('open', () => {
            ws.pause();
            if (++open === 14) console.log('open');
          });
          ws.on('message', (data, isBinary) => {
            if (isBinary) received += data.length;
            else if (Number(data) === received) ws.close();
            else ws.close(4000);
          });
          ws.on('close', () => --open === 0 && process.exit());
          setTimeout(() => ws.resume(), 1500);
        }
      }})`;

      wss.on('listening', () => {
        const { port } = wss.address();
        const child = spawn(
          process.execPath,
          ['-e', `${program}(${JSON.stringify(root)}, ${port})`],
          { stdio: ['ignore', 'pipe', 'inherit'] }
        );

        child.stdout.once('data', () => {
          // Nothing is left.
          const held = useUpDescriptors();
          const data = Buffer.alloc(20000);

          // For one of them the kernel has no more room in its last tick, in which
          // it is looked at while frames wait to be handed over.
          [...wss.clients].forEach((ws, i) => {
            let left = i + 1;

            ws.on('close', (code) => codes.push(code));
            setImmediate(function go() {
              for (let n = 0; n < 40; n++) ws.send(data);

              if (--left > 0) {
                setImmediate(go);
              } else {
                ws._socket.setTimeout(0);
                ws.send(`${(i + 1) * 40 * data.length}`);
              }
            });
          });

          setTimeout(() => giveBackDescriptors(held), 1000);
        });

        child.on('exit', () => {
          setImmediate(() => {
            console.log(codes.join(' '));
            process.exit();
          });
        });
      });
    }, 'ulimit -n 100;');

    assert.equal(output, Array(14).fill(1005).join(' '));
  });

  it('stays for who has connected to a server that is not waited for', async () => {
    const output = await run((root) => {
      const net = require('net');
      const WebSocket = require(root);
      const wss = new WebSocket.Server({ port: 0, host: '127.0.0.1' });

      wss.on('listening', () => {
        setTimeout(() => {
          wss._server.unref();

          const { port } = wss.address();
          const peer = net.connect(port, '127.0.0.1', () => peer.unref());
        }, 30);
      });

      setTimeout(() => {
        console.log('here');
        process.exit();
      }, 1000).unref();
    });

    assert.equal(output, 'here');
  });

  it(
    'accepts connections again when there are descriptors again',
    { skip },
    async () => {
      const output = await run((root) => {
        const fs = require('fs');
        const { giveBackDescriptors, useUpDescriptors } = require(
          `${root}/__test__/helpers/descriptors`
        );
        const net = require('net');
        const WebSocket = require(root);
        const { listeners } = require(`${root}/lib/native-driver`);
        const wss = new WebSocket.Server({ port: 0, host: '127.0.0.1' });

        wss.on('listening', () => setTimeout(useUp, 50));

        const useUp = () => {
          // Nothing is left.
          const held = useUpDescriptors();

          // One for the client, none for the server.
          fs.closeSync(held.pop());
          net.connect(wss.address().port, '127.0.0.1').on('error', () => {});

          setTimeout(() => {
            const before = listeners.size;

            giveBackDescriptors(held);

            setTimeout(() => {
              console.log(before, listeners.size);
              process.exit();
            }, 1500);
          }, 100);
        };
      }, 'ulimit -n 60;');

      assert.equal(output, '0 1');
    }
  );

  it('warns of nothing that is deprecated', async () => {
    const output = await run((root) => {
      const WebSocket = require(root);
      const wss = new WebSocket.Server({ port: 0, host: '127.0.0.1' });

      process.on('warning', (warning) => console.log(warning.code));
      wss.on('connection', (ws) => ws.on('message', (data) => ws.send(data)));
      wss.on('listening', () => {
        const { port } = wss.address();
        const clients = [1, 2, 3].map(() => {
          return new WebSocket(`ws://127.0.0.1:${port}`);
        });
        let left = clients.length;

        for (const ws of clients) {
          ws.on('open', () => ws.send('text'));
          ws.on('message', () => ws.close());
          ws.on('close', () => --left === 0 && wss.close());
        }
      });
      wss.on('close', () => {
        console.log('done');
        process.emitWarning('own', { code: 'OWN' });
      });
    }, 'NODE_PENDING_DEPRECATION=1 NODE_OPTIONS=--throw-deprecation');

    assert.equal(output, 'done\nOWN');
  });

  it('closes an engine that has nothing to do', { skip }, async (t) => {
    const { ws, wss } = await pair(t);

    assert.notEqual(driver.engine, null);

    const gone = closed(ws);

    ws.close();
    await gone;
    await new Promise((resolve) => wss.close(resolve));
    await until(() => driver.engine === null, 'the end of the engine', 5000);

    // The next one takes its place.
    const other = await pair(t);
    const received = messages(other.peer);

    other.ws.send('again');
    assert.deepEqual(await received, ['again']);
    assert.notEqual(driver.engine, null);
  });

  it('takes one listener however often it is loaded', { skip }, async (t) => {
    const before = process.listenerCount('exit');
    const count = fs.readdirSync('/proc/self/fd').length;

    for (let i = 0; i < 3; i++) {
      for (const file of Object.keys(require.cache)) {
        if (file.startsWith(path.join(ROOT, 'lib'))) delete require.cache[file];
      }

      const WebSocketServer = require('../lib/websocket-server');
      const wss = new WebSocketServer({ port: 0, host: '127.0.0.1' });

      await once(wss, 'listening');
      await delay(20);

      const ws = await connect(t, `ws://127.0.0.1:${wss.address().port}`);
      const gone = closed(ws);

      ws.close();
      await gone;
      await new Promise((resolve) => wss.close(resolve));
    }

    assert.ok(process.listenerCount('exit') <= Math.max(before, 1));
    assert.ok(fs.readdirSync('/proc/self/fd').length <= count + 20);
  });
});
