'use strict';

const { describe } = require('../recorder');

const ROLES = ['server', 'client'];
const DEFLATE = { 'Sec-WebSocket-Extensions': 'permessage-deflate' };

/**
 * Makes an ArrayBuffer or a SharedArrayBuffer.
 *
 * @param {Function} Class Which of them
 * @param {String} text Its bytes
 * @return {(ArrayBuffer|SharedArrayBuffer)} The object
 */
function fill(Class, text) {
  const object = new Class(text.length);
  Buffer.from(object).write(text);
  return object;
}

//
// Each is made anew for every use, for some may be changed by sending.
//
const DATA = {
  'a string': () => 'text',
  'an empty string': () => '',
  'a string with wide characters': () => 'Grüße 世界 🌍',
  'a lone surrogate': () => 'a\ud800b',
  'a String object': () => Object('boxed'),
  'the number 0': () => 0,
  'the number 42': () => 42,
  'the number -1.5': () => -1.5,
  NaN: () => NaN,
  'a bigint': () => 7n,
  true: () => true,
  false: () => false,
  undefined: () => undefined,
  null: () => null,
  'a symbol': () => Symbol('x'),
  'a Buffer': () => Buffer.from('buffer'),
  'an empty Buffer': () => Buffer.alloc(0),
  'a Buffer that is a view': () => Buffer.from('xxviewxx').subarray(2, 6),
  'a Uint8Array': () => new Uint8Array([1, 2, 3]),
  'a Uint8Array that is a view': () => new Uint8Array([1, 2, 3]).subarray(1),
  'an Int16Array': () => new Int16Array([1, -2]),
  'a Float64Array': () => new Float64Array([1.5]),
  'a DataView': () => new DataView(fill(ArrayBuffer, '0123456789'), 3, 4),
  'an ArrayBuffer': () => fill(ArrayBuffer, 'array buffer'),
  'an empty ArrayBuffer': () => new ArrayBuffer(0),
  'a SharedArrayBuffer': () => fill(SharedArrayBuffer, 'shared'),
  'a view of a SharedArrayBuffer': () =>
    new Uint8Array(fill(SharedArrayBuffer, 'shared'), 2),
  'an array': () => [1, 2, 300, 'x'],
  'an empty array': () => [],
  'an object': () => ({}),
  'an array-like object': () => ({ length: 2, 0: 65, 1: 66 }),
  'an object with valueOf': () => ({ valueOf: () => 'value' }),
  'a Buffer as JSON': () => JSON.parse(JSON.stringify(Buffer.from('json'))),
  'a Date': () => new Date(0),
  'a Blob': () => new Blob(['blob']),
  'an empty Blob': () => new Blob([]),
  '125 bytes': () => Buffer.alloc(125, 'a'),
  '126 bytes': () => Buffer.alloc(126, 'b'),
  '65535 bytes': () => Buffer.alloc(65535, 'c'),
  '65536 bytes': () => Buffer.alloc(65536, 'd'),
  'a string of 70000 bytes': () => 'e'.repeat(70000)
};

/**
 * Calls a method, logs what it returns or throws, when its callback is called
 * and what `bufferedAmount` then is.
 *
 * @param {Function} log The log
 * @param {WebSocket} ws The WebSocket
 * @param {String} method The method
 * @param {Array} args The arguments before the callback
 * @return {Promise} Resolved when the callback was called or nothing was sent
 */
function call(log, ws, method, ...args) {
  return new Promise((resolve) => {
    const label = `${method} ${args.map((arg) => describe(arg)).join(' ')}`;
    let returned = false;
    const callback = (...values) => {
      log('callback', returned, ...values, ws.bufferedAmount);
      resolve();
    };
    try {
      const result = ws[method](...args, callback);
      log(label, result, ws.bufferedAmount);
    } catch (err) {
      log(label, err, ws.bufferedAmount);
      resolve();
    }
    returned = true;
  });
}

const scenarios = [];

for (const role of ROLES) {
  const mask = role === 'client';
  const open = (t, config) => t.end(role, config);

  for (const [name, make] of Object.entries(DATA)) {
    scenarios.push({
      title: `the ${role} sends ${name}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await open(t, {
          prepare: (ws) => ws.on('error', (err) => log('error', err))
        });
        const data = make();
        await call(log, ws, 'send', data);
        log('data afterwards', data);
        await call(log, ws, 'send', make(), { binary: false });
        await call(log, ws, 'send', make(), { binary: true });
        await call(log, ws, 'ping', make(), undefined);
        await call(log, ws, 'pong', make(), undefined);
        ws.close();
        peer.write(peer.closeFrame());
        await t.over(ws);
        peer.report(log);
      }
    });
  }

  scenarios.push(
    {
      title: `the ${role} sends with every combination of binary and mask`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await open(t);
        for (const binary of [undefined, false, true, null, 1, '']) {
          for (const masked of [undefined, false, true, 0, 1]) {
            for (const data of ['text', Buffer.from('data'), 12]) {
              ws.send(data, { binary, mask: masked });
            }
          }
          ws.send('only binary', { binary });
          ws.send(Buffer.from('only binary'), { binary });
        }
        ws.send('last', {});
        await peer.until(6 * 17 + 1);
        peer.report(log);
      }
    },
    {
      title: `the ${role} sends fragments`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await open(t);
        ws.send('a', { fin: false });
        ws.send('b', { fin: false, binary: true });
        ws.ping('between');
        ws.send('', { fin: false });
        ws.send('c', { fin: true });
        ws.send('d');
        ws.send(Buffer.from('e'), { fin: false });
        ws.send('f', { binary: false, fin: false });
        ws.send('', { fin: true });
        ws.send('g', { fin: undefined });
        ws.send('h', { fin: 1 });
        await peer.until(11);
        log('first fragment', ws._sender._firstFragment);
        peer.report(log);
      }
    },
    {
      title: `the ${role} passes odd options to send()`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await open(t);
        for (const options of [null, undefined, 0, 'text', [], { x: 1 }]) {
          await call(log, ws, 'send', 'data', options);
        }
        peer.report(log);
      }
    },
    {
      title: `the ${role} passes callbacks that a stream refuses`,
      async run(WebSocket, log, t) {
        for (const callback of [5, 'text', {}, true]) {
          const { ws } = await t.end(role);
          t.attempt(log, 'send', () => ws.send('data', {}, callback));
          t.attempt(log, 'ping', () => ws.ping('data', undefined, callback));
        }
      }
    },
    {
      title: `the ${role} passes callbacks that are no functions`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await open(t);
        for (const callback of [null, undefined, 0, '']) {
          t.attempt(log, 'send', () => ws.send('data', {}, callback));
          t.attempt(log, 'ping', () => ws.ping('data', undefined, callback));
        }
        await t.turn(2);
        await peer.fence();
        peer.report(log);
      }
    },
    {
      title: `the forms of the arguments of ping() and pong(), ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await open(t);
        for (const method of ['ping', 'pong']) {
          for (const args of [
            [],
            ['data'],
            ['data', true],
            ['data', false],
            ['data', undefined],
            ['data', null],
            [undefined, true],
            ['', false],
            [7]
          ]) {
            t.attempt(log, method, () => ws[method](...args));
            await call(log, ws, method, ...args);
          }
        }
        await peer.until(36);
        peer.report(log);
      }
    },
    {
      title: `ping() and pong() of more than 125 bytes, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await open(t);
        for (const method of ['ping', 'pong']) {
          for (const data of [
            'x'.repeat(125),
            'x'.repeat(126),
            'é'.repeat(63),
            Buffer.alloc(126),
            new ArrayBuffer(200),
            new Blob(['x'.repeat(126)]),
            1e125
          ]) {
            await call(log, ws, method, data);
          }
        }
        log('state', ws.readyState, ws.bufferedAmount);
        await peer.fence();
        peer.report(log);
      }
    },
    {
      title: `the order of callbacks and other queues, ${role}`,
      async run(WebSocket, log, t) {
        const { ws } = await open(t);
        await new Promise((resolve) => {
          setImmediate(() => {
            process.nextTick(() => log('tick before'));
            Promise.resolve().then(() => log('microtask before'));
            ws.send('a', () => {
              log('callback a');
              process.nextTick(() => log('tick in a'));
              Promise.resolve().then(() => log('microtask in a'));
            });
            process.nextTick(() => log('tick between'));
            ws.send(Buffer.from('b'), () => log('callback b'));
            ws.ping('c', undefined, () => log('callback c'));
            ws.pong(() => log('callback d'));
            ws.send('', () => log('callback e'));
            process.nextTick(() => log('tick after'));
            Promise.resolve().then(() => log('microtask after'));
            log('end of the turn');
            setImmediate(() => {
              log('immediate');
              resolve();
            });
          });
        });
      }
    },
    {
      title: `one callback for many sends, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await open(t);
        let count = 0;
        const callback = (err) => log('callback', ++count, err);
        process.nextTick(() => log('tick before'));
        for (let i = 0; i < 5; i++) ws.send(`message ${i}`, callback);
        process.nextTick(() => log('tick after'));
        await peer.until(5);
        await t.turn();
        log('in all', count);
      }
    },
    {
      title: `sends in a callback of send(), ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await open(t);
        ws.send('1', () => {
          log('callback 1');
          ws.send('3', () => log('callback 3'));
        });
        ws.send('2', () => {
          log('callback 2');
          ws.send('4', () => log('callback 4'));
        });
        await peer.until(4);
        await t.turn();
        peer.report(log);
      }
    },
    {
      title: `an exception in a callback of send(), ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await open(t);
        t.onUncaught = (err, origin) => log(origin, err);
        ws.send('1', () => {
          throw new Error('thrown in 1');
        });
        ws.send('2', () => log('callback 2'));
        await peer.until(2);
        await t.turn();
        peer.report(log);
        log('state', ws.readyState);
      }
    },
    {
      title: `bytes of the user that change after send(), ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await open(t);
        const data = Buffer.from('before');
        ws.send(data);
        data.fill('x');
        const view = new Uint8Array([1, 2, 3]);
        ws.send(view);
        view.fill(0);
        const ping = Buffer.from('ping');
        ws.ping(ping);
        ping.fill('x');
        await peer.until(3);
        peer.report(log);
        log('data', data, view, ping);
      }
    },
    {
      title: `bytes of the user are not changed by send(), ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await open(t);
        for (const length of [5, 30, 60, 200, 5000]) {
          const data = Buffer.alloc(length, 'abc');
          const view = new Uint16Array(length).fill(0x4142);
          ws.send(data);
          ws.send(view);
          if (length < 100) ws.ping(data);
          await t.turn();
          log('after', data, view);
        }
        await peer.fence();
        peer.report(log);
      }
    },
    {
      title: `send(), ping() and pong() while connecting throw, ${role}`,
      async run(WebSocket, log, t) {
        const ws =
          role === 'server'
            ? new WebSocket(null, undefined, {})
            : t.client(`ws://127.0.0.1:${await t.rawServer(() => {})}/`);
        ws.on('error', () => {});
        for (const method of ['send', 'ping', 'pong']) {
          t.attempt(log, method, () => ws[method]());
          t.attempt(log, method, () => ws[method]('x', () => log('called')));
        }
        log('amount', ws.bufferedAmount);
        log('pause', ws.pause(), ws.isPaused, ws.resume(), ws.isPaused);
        await t.turn();
      }
    },
    ...['send', 'ping', 'pong'].flatMap((method) => [
      {
        title: `${method}() while closing and when closed, ${role}`,
        async run(WebSocket, log, t) {
          const { ws, peer } = await open(t);
          ws.on('error', (err) => log('error', err));
          ws.on('close', () => {
            log('close', ws.bufferedAmount);
            ws[method]('in close', (err) => log('callback in close', err));
          });
          ws.close();
          for (const data of [
            undefined,
            null,
            '',
            0,
            'four',
            15,
            Buffer.alloc(6),
            new Float64Array(2),
            new ArrayBuffer(3),
            new Blob(['blob']),
            [1, 2, 3],
            true,
            {}
          ]) {
            await call(log, ws, method, data);
            t.attempt(log, 'without callback', () => ws[method](data));
          }
          process.nextTick(() => log('tick before'));
          ws[method]('', () => log('callback', ws.bufferedAmount));
          process.nextTick(() => log('tick after'));
          t.attempt(log, 'only a callback', () => {
            return ws[method](() => log('callback', ws.bufferedAmount));
          });
          await peer.until(1);
          peer.write(peer.closeFrame());
          await t.over(ws);
          await call(log, ws, method, 'closed');
          await call(log, ws, method, Buffer.alloc(100));
          log('amount', ws.bufferedAmount);
          peer.report(log);
        }
      },
      {
        title: `${method}() right after terminate(), ${role}`,
        async run(WebSocket, log, t) {
          const { ws } = await open(t, { prepare: (ws) => t.watch(ws, log) });
          ws[method]('before', (err) => log('callback before', err));
          ws.terminate();
          ws[method]('after', (err) => log('callback after', err));
          log('amount', ws.bufferedAmount, ws.readyState);
          await t.over(ws);
          ws[method]('closed', (err) => log('callback closed', err));
          await t.turn();
        }
      },
      {
        title: `${method}() when the socket was destroyed, ${role}`,
        async run(WebSocket, log, t) {
          const { ws } = await open(t, { prepare: (ws) => t.watch(ws, log) });
          ws._socket.destroy();
          log('state', ws.readyState);
          ws[method]('x', (err) => log('callback', err));
          log('state', ws.readyState, ws.bufferedAmount);
          await t.over(ws);
          await t.turn();
        }
      },
      {
        title: `${method}() when the socket was ended, ${role}`,
        async run(WebSocket, log, t) {
          const { ws } = await open(t, { prepare: (ws) => t.watch(ws, log) });
          ws._socket.end();
          log('state', ws.readyState);
          ws[method]('x', (err) => log('callback', err));
          log('state', ws.readyState);
          await t.over(ws);
          await t.turn();
        }
      },
      {
        title: `${method}() of a client whose handshake failed, ${role}`,
        async run(WebSocket, log, t) {
          const ws = t.client('ws://127.0.0.1:1/');
          t.watch(ws, log);
          ws.terminate();
          log('state', ws.readyState);
          ws[method]('while closing', (err) => log('callback', err));
          log('amount', ws.bufferedAmount);
          await t.over(ws);
          ws[method]('closed', (err) => log('callback', err));
          log('amount', ws.bufferedAmount, ws._socket, ws._sender);
          await t.turn();
        }
      }
    ]),
    {
      title: `frames after the mask function was given, ${role}`,
      async run(WebSocket, log, t) {
        let calls = 0;
        const { ws, peer } = await open(t, {
          options: {
            generateMask(...args) {
              log('generateMask', args.length, args[0].length);
              args[0].set([1, 2, 3, ++calls]);
            }
          }
        });
        peer.socket.on('data', (chunk) => log.channel('wire')('', chunk));
        for (const data of ['one', '', Buffer.from('two'), 'x'.repeat(200)]) {
          const count = peer.frames.length;
          ws.send(data);
          await peer.until(count + 1);
        }
        ws.ping('three');
        await peer.until(5);
        ws.close(1000, 'four');
        await peer.until(6);
        log('calls', calls);
      }
    },
    {
      title: `frames whose mask is zero, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await open(t, {
          options: { generateMask: (key) => key.fill(0) }
        });
        ws.send('text');
        ws.send(Buffer.from('data'));
        ws.send('é'.repeat(100));
        await peer.until(3);
        peer.report(log);
      }
    },
    {
      title: `a mask function that throws, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await open(t, {
          options: {
            generateMask() {
              throw new Error('no mask');
            }
          }
        });
        t.attempt(log, 'send', () => ws.send('text'));
        t.attempt(log, 'ping', () => ws.ping());
        t.attempt(log, 'close', () => ws.close());
        log('state', ws.readyState);
        peer.socket.end();
        await t.over(ws);
        peer.report(log);
      }
    },
    {
      title: `masks differ from frame to frame, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await open(t);
        const wire = [];
        peer.socket.on('data', (chunk) => wire.push(chunk));
        for (let i = 0; i < 20; i++) ws.send('same');
        await peer.until(20);
        const bytes = Buffer.concat(wire);
        const keys = new Set();
        if (mask) {
          for (let i = 0; i < 20; i++) {
            keys.add(bytes.toString('hex', i * 10 + 2, i * 10 + 6));
          }
        }
        log('length', bytes.length, keys.size > (mask ? 17 : -1));
      }
    },
    {
      title: `compressed and other messages keep their order, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await open(t, {
          options: { perMessageDeflate: { threshold: 0 } },
          headers: DEFLATE
        });
        const steps = [
          ['a', {}],
          ['b', { compress: false }],
          [Buffer.from('c'), { compress: true }],
          ['d'.repeat(3000), {}],
          ['e', { compress: false, fin: false }],
          ['f', { compress: true }]
        ];
        for (const [data, options] of steps) {
          ws.send(data, options, (err) => log(`sent ${data[0]}`, err));
          log('amount', ws.bufferedAmount, ws._sender._queue.length);
        }
        ws.ping('g', undefined, (err) => log('sent g', err));
        ws.pong('h', undefined, (err) => log('sent h', err));
        log('amount', ws.bufferedAmount);
        ws.close(1000, 'i');
        log('amount', ws.bufferedAmount, ws.readyState);
        await peer.until(9);
        for (const { opcode, rsv, fin } of peer.frames) {
          log('frame', opcode, rsv, fin);
        }
        log('amount', ws.bufferedAmount);
      }
    },
    {
      title: `Blobs and other messages keep their order, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await open(t);
        ws.send(new Blob(['blob 1']), (err) => log('sent 1', err));
        log('amount', ws.bufferedAmount);
        ws.send('text 2', (err) => log('sent 2', err));
        log('amount', ws.bufferedAmount);
        ws.ping(new Blob(['blob 3']), undefined, (err) => log('sent 3', err));
        ws.send(new Blob(['blob 4']), { fin: false }, () => log('sent 4'));
        ws.send('text 5', { fin: true }, (err) => log('sent 5', err));
        log('amount', ws.bufferedAmount);
        ws.close(1000, 'six');
        log('amount', ws.bufferedAmount);
        await peer.until(6);
        peer.report(log);
        log('amount', ws.bufferedAmount);
      }
    },
    {
      title: `terminate() while a Blob is being read, ${role}`,
      async run(WebSocket, log, t) {
        const { ws } = await open(t, { prepare: (ws) => t.watch(ws, log) });
        ws.send(new Blob(['blob']), (err) => log('callback 1', err));
        ws.send('text', (err) => log('callback 2', err));
        ws.ping((err) => log('callback 3', err));
        log('amount', ws.bufferedAmount);
        ws.terminate();
        await t.over(ws);
        await t.sleep(30);
        log('amount', ws.bufferedAmount);
      }
    },
    {
      title: `a Blob that can't be read, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await open(t, {
          prepare: (ws) => t.watch(ws, log)
        });
        const blob = new Blob(['blob']);
        blob.arrayBuffer = () => Promise.reject(new Error('unreadable'));
        ws.send(blob, (err) => log('callback 1', err));
        ws.send('text', (err) => log('callback 2', err));
        log('amount', ws.bufferedAmount);
        await t.once(ws, 'error');
        await peer.ended;
        await t.over(ws);
        peer.report(log);
      }
    },
    {
      title: `terminate() while data is being compressed, ${role}`,
      async run(WebSocket, log, t) {
        const { ws } = await open(t, {
          options: { perMessageDeflate: { threshold: 0 } },
          headers: DEFLATE,
          prepare: (ws) => t.watch(ws, log)
        });
        ws.send('x'.repeat(100), (err) => log('callback 1', err));
        ws.send('text', (err) => log('callback 2', err));
        ws.ping((err) => log('callback 3', err));
        ws.terminate();
        await t.over(ws);
        await t.sleep(30);
      }
    },
    {
      title: `close() while data is being compressed, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await open(t, {
          options: { perMessageDeflate: { threshold: 0 } },
          headers: DEFLATE,
          prepare: (ws) => t.watch(ws, log)
        });
        ws.send('x'.repeat(100), (err) => log('callback 1', err));
        ws.send('text', (err) => log('callback 2', err));
        ws.close(1000, 'bye');
        ws.send('late', (err) => log('callback 3', err));
        await peer.until(3);
        for (const { opcode, rsv } of peer.frames) log('frame', opcode, rsv);
        peer.write(peer.closeFrame(1000));
        await t.over(ws);
      }
    }
  );
}

for (const role of ['server', 'client']) {
  scenarios.push({
    title: `bytes whose memory has been given away, ${role}`,
    async run(WebSocket, log, t) {
      const { ws, peer } = await t.end(role);
      const detached = (make) => {
        const buffer = new ArrayBuffer(30000);
        const data = make(buffer);
        structuredClone(buffer, { transfer: [buffer] });
        return data;
      };
      const kinds = {
        buffer: (it) => Buffer.from(it),
        part: (it) => Buffer.from(it, 10, 20),
        array: (it) => new Uint8Array(it),
        words: (it) => new Uint32Array(it),
        view: (it) => new DataView(it),
        memory: (it) => it
      };
      for (const kind of Object.keys(kinds)) {
        const data = detached(kinds[kind]);
        const callback = (err) => log(`${kind} sent`, err);
        t.attempt(log, kind, () => ws.send(data, callback));
        t.attempt(log, kind, () => ws.ping(data, undefined, callback));
      }
      ws.send(new Uint8Array(0));
      ws.send('last');
      await peer.when(() => {
        return peer.frames.some(({ payload }) => `${payload}` === 'last');
      });
      peer.report(log);
    }
  });
}

for (const role of ['server', 'client']) {
  for (const size of [20000, 30000, 70000]) {
    scenarios.push({
      title: `${size} bytes in an array that says it is shorter, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role);
        class Short extends Uint8Array {
          get length() {
            return 5;
          }
        }
        ws.send(new Short(size).fill(2), (err) => log('sent', err));
        ws.send('last');
        log('buffered', ws.bufferedAmount);
        await peer.until(2);
        peer.report(log);
      }
    });
  }

  scenarios.push({
    title: `options that are not enumerable, ${role}`,
    async run(WebSocket, log, t) {
      const { ws, peer } = await t.end(role);
      for (const enumerable of [false, true]) {
        const type = { enumerable, value: true };
        ws.send('text', Object.defineProperty({}, 'binary', type));
      }
      await peer.until(2);
      peer.report(log);
    }
  });
}

scenarios.push(
  ...['dispatch', 'sendFrame'].map((method) => ({
    title: `what calls a replaced ${method}() of a sender`,
    async run(WebSocket, log, t) {
      const { ws, peer } = await t.end('server');
      const original = ws._sender[method];
      ws._sender[method] = function (data, ...args) {
        log(method, data);
        return original.call(this, data, ...args);
      };
      ws.ping('ping');
      ws.pong('pong');
      ws.send('text');
      ws.send(Buffer.from('bytes'));
      ws.send(new Blob(['blob']));
      ws.ping('behind a blob');
      await peer.until(6);
      ws.close(1000, 'bye');
      await peer.until(7);
    }
  }))
);

module.exports = scenarios;
