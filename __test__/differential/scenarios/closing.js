'use strict';

const { describe } = require('../recorder');

const ROLES = ['server', 'client'];

const CLOSE_ARGUMENTS = [
  [],
  [1000],
  [1000, ''],
  [1000, 'reason'],
  [1001, Buffer.from('a buffer')],
  [1003, new Uint8Array([0x61, 0x62])],
  [1008, 'é'.repeat(61)],
  [1014, 'x'.repeat(123)],
  [3000, undefined],
  [4999, Buffer.alloc(0)],
  [1000.5, 'a fraction'],
  [1000, 5],
  [1000, {}],
  [1000, new DataView(new ArrayBuffer(2))],
  [undefined, 'no code']
];

const BAD_CLOSE_ARGUMENTS = [
  [null],
  [0],
  [999],
  [1004],
  [1005],
  [1006],
  [1015],
  [1016],
  [2999],
  [5000],
  [NaN],
  [Infinity],
  ['1000'],
  [{}],
  [true],
  [1000, 'x'.repeat(124)],
  [1000, 'é'.repeat(62)],
  [1000, Buffer.alloc(124)],
  [1000, null],
  [1000, ['a']],
  [1000, { length: 3 }],
  [1000, new Uint16Array([1, 2])],
  [1000, (a) => a]
];

const PEER_CLOSES = [
  [undefined],
  [1000],
  [1000, 'reason'],
  [1001, 'é'.repeat(61)],
  [1012],
  [3000, 'x'.repeat(123)],
  [4999, 'bye']
];

/**
 * Logs everything a closing can show.
 *
 * @param {Function} log The log
 * @param {WebSocket} ws The WebSocket
 */
function logState(log, ws) {
  log('state', ws.readyState, {
    code: ws._closeCode,
    message: ws._closeMessage,
    sent: ws._closeFrameSent,
    received: ws._closeFrameReceived,
    error: ws._errorEmitted,
    timer: ws._closeTimer === null ? null : typeof ws._closeTimer,
    destroyed: ws._socket.destroyed
  });
}

const scenarios = [];

for (const role of ROLES) {
  const watching = (t, log) => ({
    prepare: (ws) => {
      t.watch(ws, log);
      ws.addEventListener('close', (event) => log('event', event));
    }
  });

  for (const args of CLOSE_ARGUMENTS) {
    scenarios.push({
      title: `the ${role} calls close(${args.map((a) => describe(a))})`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, watching(t, log));
        t.attempt(log, 'close', () => ws.close(...args));
        logState(log, ws);
        t.attempt(log, 'again', () => ws.close(4000, 'ignored'));
        await peer.until(1);
        peer.write(peer.closeFrame(4001, 'answer'));
        await t.over(ws);
        logState(log, ws);
        await peer.ended;
        peer.report(log);
      }
    });
  }

  scenarios.push({
    title: `the ${role} calls close() with what is refused`,
    async run(WebSocket, log, t) {
      const { ws, peer } = await t.end(role, watching(t, log));
      for (const args of BAD_CLOSE_ARGUMENTS) {
        t.attempt(log, describe(args), () => ws.close(...args));
        log('state', ws.readyState, ws._closeTimer === null);
      }
      await peer.fence();
      peer.report(log);
    }
  });

  for (const args of PEER_CLOSES) {
    scenarios.push({
      title: `the ${role}'s peer closes with ${args.map((a) => describe(a))}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, watching(t, log));
        peer.write(peer.closeFrame(...args), peer.frame(1, 'ignored'));
        await peer.until(1);
        peer.socket.end();
        await t.over(ws);
        logState(log, ws);
        peer.report(log);
      }
    });
  }

  scenarios.push(
    {
      title: `close() in the message handler, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, watching(t, log));
        ws.once('message', () => ws.close(1000, 'enough'));
        peer.write(
          peer.frame(1, 'a'),
          peer.frame(1, 'b'),
          peer.frame(9, 'c'),
          peer.frame(2, 'd'),
          peer.closeFrame(1000, 'too')
        );
        await t.over(ws);
        logState(log, ws);
        peer.report(log);
      }
    },
    {
      title: `messages go on arriving after close(), ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, watching(t, log));
        ws.close();
        await peer.until(1);
        peer.write(peer.frame(1, 'a'), peer.frame(9, 'no pong'));
        await t.once(ws, 'ping');
        peer.write(peer.frame(3, 'a violation'));
        await t.once(ws, 'error');
        logState(log, ws);
        await t.over(ws);
        peer.report(log);
      }
    },
    {
      title: `close frames of both sides cross, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, watching(t, log));
        peer.write(peer.closeFrame(3001, 'peer'));
        ws.close(3002, 'own');
        await t.over(ws);
        logState(log, ws);
        await peer.ended;
        peer.report(log);
      }
    },
    {
      title: `close() and send() in the close handler, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, watching(t, log));
        ws.on('close', () => {
          t.attempt(log, 'close', () => ws.close());
          t.attempt(log, 'terminate', () => ws.terminate());
          t.attempt(log, 'pause', () => ws.pause());
          t.attempt(log, 'resume', () => ws.resume());
          log('paused', ws.isPaused, ws.bufferedAmount);
          log('socket', ws._socket !== null, ws._socket.destroyed);
        });
        peer.write(peer.closeFrame(1000));
        await t.over(ws);
        await t.turn();
      }
    },
    {
      title: `terminate() of an open connection, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, watching(t, log));
        process.nextTick(() => log('tick before'));
        ws.terminate();
        logState(log, ws);
        process.nextTick(() => log('tick after'));
        Promise.resolve().then(() => log('microtask'));
        ws.terminate();
        ws.close();
        await t.over(ws);
        logState(log, ws);
        ws.terminate();
        await peer.closed;
        peer.report(log);
      }
    },
    {
      title: `terminate() in the message handler, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, watching(t, log));
        ws.once('message', () => {
          ws.terminate();
          log('terminated', ws.readyState);
        });
        peer.write(
          peer.frame(1, 'a'),
          peer.frame(1, 'b'),
          peer.frame(9, 'c'),
          peer.frame(2, 'd')
        );
        await t.over(ws);
        await peer.closed;
        peer.report(log);
      }
    },
    {
      title: `terminate() in the ping handler before a close frame, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, watching(t, log));
        ws.once('ping', () => ws.terminate());
        peer.write(
          peer.frame(9, 'a'),
          peer.frame(1, 'b'),
          peer.closeFrame(1000, 'c'),
          peer.frame(1, 'd')
        );
        await t.over(ws);
        logState(log, ws);
      }
    },
    {
      title: `terminate() in the message handler before a violation, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, watching(t, log));
        ws.once('message', () => ws.terminate());
        peer.write(peer.frame(1, 'a'), peer.frame(1, 'b'), peer.frame(3, 'c'));
        await t.over(ws);
        logState(log, ws);
      }
    },
    {
      title: `terminate() with sends that are under way, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, watching(t, log));
        peer.socket.pause();
        const data = Buffer.alloc(16 * 1024 * 1024);
        ws.send(data, (err) => log('callback 1', err && err.code));
        ws.send('text', (err) => log('callback 2', err && err.code));
        ws.ping('ping', undefined, (err) => log('callback 3', err && err.code));
        log('amount', ws.bufferedAmount > 0);
        ws.terminate();
        ws.send('late', (err) => log('callback 4', err));
        await t.over(ws);
        await t.turn();
      }
    },
    {
      title: `terminate() after small sends delivers them, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, watching(t, log));
        ws.send('one', (err) => log('callback 1', err));
        ws.send(Buffer.alloc(1000), (err) => log('callback 2', err));
        ws.ping('three', undefined, (err) => log('callback 3', err));
        ws.terminate();
        await peer.closed;
        await t.over(ws);
        peer.report(log);
      }
    },
    {
      title: `socket.destroy() after small sends delivers them, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, watching(t, log));
        ws.send('one', (err) => log('callback 1', err));
        ws._socket.destroy();
        logState(log, ws);
        await peer.closed;
        await t.over(ws);
        peer.report(log);
      }
    },
    {
      title: `terminate() after close(), ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, watching(t, log));
        ws.close(1000, 'bye');
        ws.terminate();
        logState(log, ws);
        await t.over(ws);
        logState(log, ws);
        await peer.closed;
        peer.report(log);
      }
    },
    {
      title: `the peer ends without a close frame, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, watching(t, log));
        peer.write(peer.frame(1, 'last'));
        peer.socket.end();
        await t.over(ws);
        logState(log, ws);
        await peer.ended;
        peer.report(log);
      }
    },
    {
      title: `the peer ends in the middle of a frame, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, watching(t, log));
        peer.write(peer.frame(1, 'a frame that is cut').subarray(0, 12));
        peer.socket.end();
        await t.over(ws);
        logState(log, ws);
      }
    },
    {
      title: `the peer ends in the middle of a message, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, watching(t, log));
        peer.write(peer.frame(1, 'a', { fin: false }), peer.frame(9, 'b'));
        peer.socket.end();
        await t.over(ws);
        logState(log, ws);
      }
    },
    {
      title: `the peer resets the connection, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, watching(t, log));
        ws._socket.on('error', (err) => log('socket error', err.code));
        ws._socket.on('close', (failed) => log('socket close', failed));
        peer.socket.resetAndDestroy();
        await t.over(ws);
        logState(log, ws);
        log('errored', ws._socket.errored && ws._socket.errored.code);
      }
    },
    {
      title: `send() to a peer that has reset the connection, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, watching(t, log));
        ws._socket.on('error', (err) => log('socket error', err));
        await new Promise((resolve) => {
          setImmediate(() => {
            peer.socket.resetAndDestroy();
            //
            // The reset arrives while this end does not look.
            //
            const until = Date.now() + 20;
            while (Date.now() < until);
            ws.send('one', (err) => log('callback 1', err));
            log('state', ws.readyState, ws._socket.destroyed);
            ws.send('two', (err) => log('callback 2', err));
            ws.ping((err) => log('callback 3', err));
            resolve();
          });
        });
        await t.over(ws);
        logState(log, ws);
      }
    },
    {
      title: `send() in the close handler of the socket, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, watching(t, log));
        ws._socket.prependListener('close', () => {
          log('state', ws.readyState);
          ws.send('late', (err) => log('callback', err));
        });
        peer.socket.destroy();
        await t.over(ws);
        await t.turn();
      }
    },
    {
      title: `the socket is destroyed with an error, ${role}`,
      async run(WebSocket, log, t) {
        const { ws } = await t.end(role, watching(t, log));
        ws._socket.on('error', (err) => log('socket error', err));
        ws._socket.on('close', (failed) => log('socket close', failed));
        ws._socket.destroy(new Error('own'));
        log('state', ws.readyState);
        await t.over(ws);
        logState(log, ws);
      }
    },
    {
      title: `an error event is emitted on the socket, ${role}`,
      async run(WebSocket, log, t) {
        const { ws } = await t.end(role, watching(t, log));
        ws._socket.emit('error', new Error('first'));
        logState(log, ws);
        ws._socket.emit('error', new Error('second'));
        await t.over(ws);
        logState(log, ws);
      }
    },
    {
      title: `the events of the socket while it closes, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, watching(t, log));
        for (const event of ['end', 'finish', 'close']) {
          ws._socket.on(event, (...args) => {
            log(`socket ${event}`, ...args, ws.readyState);
          });
        }
        for (const event of ['conclude', 'finish']) {
          ws._receiver.on(event, (...args) => {
            log(`receiver ${event}`, ...args, ws.readyState);
          });
        }
        peer.write(peer.closeFrame(1000, 'bye'));
        await peer.until(1);
        peer.socket.end();
        await t.over(ws);
        await t.turn();
      }
    },
    {
      title: `the events of the socket after close(), ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, watching(t, log));
        for (const event of ['end', 'finish', 'close']) {
          ws._socket.on(event, (...args) => {
            log(`socket ${event}`, ...args, ws.readyState);
          });
        }
        ws.close(1000, 'bye');
        await peer.until(1);
        log('ended', ws._socket.writableEnded);
        peer.write(peer.closeFrame(1000));
        await t.over(ws);
        await t.turn();
      }
    },
    {
      title: `no close frame comes back before closeTimeout, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, {
          options: { closeTimeout: 30 },
          ...watching(t, log)
        });
        ws.close(1001, 'bye');
        log('timer', ws._closeTimer._idleTimeout, ws._closeTimer.hasRef());
        await t.over(ws);
        logState(log, ws);
        log('timer destroyed', ws._closeTimer._destroyed);
        await peer.closed;
        peer.report(log);
      }
    },
    {
      title: `the transport stays open beyond closeTimeout, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, {
          options: { closeTimeout: 30 },
          ...watching(t, log)
        });
        peer.socket.allowHalfOpen = true;
        peer.write(peer.closeFrame(1000, 'bye'));
        await t.over(ws);
        logState(log, ws);
        peer.report(log);
      }
    },
    {
      title: `closeTimeout after a violation, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, {
          options: { closeTimeout: 30 },
          ...watching(t, log)
        });
        peer.socket.allowHalfOpen = true;
        peer.write(peer.frame(4, 'x'));
        await t.over(ws);
        logState(log, ws);
        peer.report(log);
      }
    },
    {
      title: `the close timer is cleared, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, watching(t, log));
        ws.close();
        log('timer', ws._closeTimer._idleTimeout, ws._closeTimer._destroyed);
        await peer.until(1);
        peer.write(peer.closeFrame());
        await t.over(ws);
        log('timer', ws._closeTimer._destroyed);
      }
    },
    {
      title: `the peer closes while this side is paused, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, {
          options: { closeTimeout: 30 },
          ...watching(t, log)
        });
        ws.pause();
        peer.write(peer.frame(1, 'a'), peer.closeFrame(1000, 'bye'));
        peer.socket.end();
        await t.turn(5);
        log('paused', ws.isPaused, ws.readyState);
        ws.resume();
        await t.over(ws);
        logState(log, ws);
      }
    },
    {
      title: `pause() and terminate() in a listener, with data that has arrived, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, {
          prepare: (ws) => t.watch(ws, log)
        });
        ws.once('message', () => {
          peer.write(peer.frame(1, 'b'), peer.closeFrame(1001));
          ws.pause();
          ws.terminate();
        });
        peer.write(peer.frame(1, 'a'));
        await t.over(ws);
      }
    },
    {
      title: `terminate() while paused with data that has arrived, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, watching(t, log));
        ws.once('message', () => ws.pause());
        peer.write(peer.frame(1, 'a'));
        await t.once(ws, 'message');
        await t.turn(2);
        ws.terminate();
        await t.over(ws);
        logState(log, ws);
        log('paused', ws.isPaused);
      }
    },
    {
      title: `a subprotocol error after this side has sent close, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, watching(t, log));
        ws.close(1000);
        await peer.until(1);
        peer.write(peer.frame(1, Buffer.from([0xff])));
        await t.over(ws);
        logState(log, ws);
        peer.report(log);
      }
    },
    {
      title: `close() in the error handler, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, watching(t, log));
        ws.on('error', () => {
          ws.close(1011, 'own');
          ws.send('late', (err) => log('callback', err));
          logState(log, ws);
        });
        peer.write(peer.frame(3, 'x'));
        await t.over(ws);
        logState(log, ws);
        peer.report(log);
      }
    },
    {
      title: `terminate() in the error handler, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, watching(t, log));
        ws.on('error', () => ws.terminate());
        peer.write(peer.frame(3, 'x'));
        await t.over(ws);
        logState(log, ws);
        await peer.closed;
        peer.report(log);
      }
    },
    {
      title: `an error without listener is an uncaught exception, ${role}`,
      async run(WebSocket, log, t) {
        t.onUncaught = (err, origin) => log(origin, err);
        const { ws, peer } = await t.end(role, {
          prepare: (ws) => ws.on('close', (...args) => log('close', ...args))
        });
        peer.write(peer.frame(3, 'x'));
        await peer.until(1);
        peer.report(log);
        log('state', ws.readyState, ws._errorEmitted);
      }
    },
    {
      title: `the order of events around close in ticks, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role);
        const mark = (name) => {
          log(name, ws.readyState);
          process.nextTick(() => log(`tick of ${name}`));
          Promise.resolve().then(() => log(`microtask of ${name}`));
        };
        ws._receiver.on('conclude', () => mark('conclude'));
        ws._socket.on('close', () => mark('socket close'));
        ws.on('message', () => mark('message'));
        ws.on('close', () => mark('close'));
        peer.write(peer.frame(1, 'a'), peer.closeFrame(1000));
        await peer.until(1);
        peer.socket.end();
        await t.over(ws);
        await t.turn();
      }
    }
  );
}

scenarios.push(
  ...['close', 'terminate'].flatMap((method) => [
    {
      title: `${method}() right after the constructor of a client`,
      async run(WebSocket, log, t) {
        const port = await t.rawServer(() => {});
        const ws = t.watch(t.client(`ws://127.0.0.1:${port}/`), log);
        process.nextTick(() => log('tick before'));
        ws[method](1000, 'reason');
        log('state', ws.readyState);
        ws[method]();
        process.nextTick(() => log('tick after'));
        Promise.resolve().then(() => log('microtask'));
        await t.over(ws);
        log('codes', ws._closeCode, ws._closeTimer, ws._socket, ws._req);
      }
    },
    {
      title: `${method}() of a client when the request was sent`,
      async run(WebSocket, log, t) {
        const arrived = new Promise((resolve) => (t.resolve = resolve));
        const port = await t.rawServer((peer) => t.resolve(peer));
        const ws = t.watch(t.client(`ws://127.0.0.1:${port}/`), log);
        const peer = await arrived;
        ws[method]();
        await t.over(ws);
        await peer.closed;
        log('destroyed', ws._req.destroyed);
      }
    },
    {
      title: `${method}() of a client in its upgrade event`,
      async run(WebSocket, log, t) {
        const port = await t.rawServer((peer, head) => {
          peer.write(t.answer(head), peer.frame(1, 'ignored'));
        });
        const ws = t.watch(t.client(`ws://127.0.0.1:${port}/`), log);
        ws.on('upgrade', () => ws[method]());
        await t.over(ws);
        log('socket', ws._socket);
      }
    },
    {
      title: `${method}() of a client in its open event`,
      async run(WebSocket, log, t) {
        let peer;
        const port = await t.rawServer((other, head) => {
          peer = other;
          peer.write(t.answer(head), peer.frame(1, 'a'), peer.closeFrame());
        });
        const ws = t.watch(t.client(`ws://127.0.0.1:${port}/`), log);
        ws.on('open', () => ws[method]());
        await t.over(ws);
        await peer.closed;
        peer.report(log);
        logState(log, ws);
      }
    },
    {
      title: `${method}() of a server's connection in the connection event`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end('server', {
          prepare(ws) {
            t.watch(ws, log);
            ws[method]();
            log('state', ws.readyState);
          }
        });
        await peer.until(1);
        if (!peer.socket.destroyed) peer.write(peer.closeFrame());
        await t.over(ws);
        await peer.closed;
        peer.report(log);
      }
    },
    {
      title: `${method}() of both ends at once`,
      async run(WebSocket, log, t) {
        const { server, client } = await t.pair();
        t.watch(server, log.channel('server'));
        t.watch(client, log.channel('client'));
        client[method](...(method === 'close' ? [4001, 'client'] : []));
        server[method](...(method === 'close' ? [4002, 'server'] : []));
        await Promise.all([t.over(server), t.over(client)]);
        log('done');
      }
    },
    {
      title: `${method}() of the client seen by the server`,
      async run(WebSocket, log, t) {
        const { server, client } = await t.pair();
        t.watch(server, log.channel('server'));
        t.watch(client, log.channel('client'));
        client.send('last', (err) => log.channel('client')('sent', err));
        client[method](...(method === 'close' ? [4001, 'client'] : []));
        await Promise.all([t.over(server), t.over(client)]);
        logState(log, server);
        logState(log, client);
      }
    },
    {
      title: `${method}() of the server's end seen by the client`,
      async run(WebSocket, log, t) {
        const { server, client } = await t.pair();
        t.watch(server, log.channel('server'));
        t.watch(client, log.channel('client'));
        server.send('last', (err) => log.channel('server')('sent', err));
        server[method](...(method === 'close' ? [4001, 'server'] : []));
        await Promise.all([t.over(server), t.over(client)]);
        logState(log, server);
        logState(log, client);
      }
    }
  ]),
  {
    title: 'close() and terminate() of a WebSocket without socket',
    async run(WebSocket, log, t) {
      const ws = new WebSocket(null, undefined, {});
      ws.on('error', (err) => log('error', err));
      ws.on('close', (...args) => log('close', ...args));
      for (const method of ['close', 'terminate']) {
        try {
          log(method, ws[method]());
        } catch (err) {
          log(method, err.constructor.name);
        }
      }
      log('state', ws.readyState);
      t.attempt(log, 'emitClose', () => ws.emitClose());
      log('state', ws.readyState);
    }
  }
);

for (const role of ['server', 'client']) {
  scenarios.push({
    title: `a reset of the ${role} that has had the event loop to itself`,
    async run(WebSocket, log, t) {
      const { ws, peer } = await t.end(role);
      ws.on('error', (err) => log('error', err));
      ws.on('close', (code) => log('close', code));
      for (const event of ['end', 'finish', 'error', 'close']) {
        ws._socket.on(event, (...args) => log(`socket ${event}`, ...args));
      }
      for (let i = 0; i < 5; i++) {
        peer.write(peer.frame(1, `${i}`));
        await t.once(ws, 'message');
      }
      peer.socket.resetAndDestroy();
      await t.over(ws);
    }
  });
}

//
// The peer is a socket of the same process, so that the log tells in which order
// the event loop has served the two ends.
//
for (const role of ['server', 'client']) {
  for (const [what, payloads] of [
    ['a close frame', []],
    ['a message and a close frame', ['last']],
    ['a message', ['last']]
  ]) {
    scenarios.push({
      title: `the ${role} and a peer that sends ${what} and its end at once`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role);
        const frames = payloads.map((payload) => peer.frame(1, payload));
        if (what.endsWith('close frame')) frames.push(peer.closeFrame(1000));
        ws.on('message', (data) => log('message', data));
        ws.on('close', (code) => log('close', code));
        peer.socket.on('data', () => log('peer data'));
        peer.socket.on('end', () => log('peer end'));
        peer.socket.on('close', () => log('peer close'));
        peer.socket.end(Buffer.concat(frames));
        await Promise.all([t.over(ws), peer.closed]);
      }
    });
  }
}

scenarios.push({
  title: 'what came with the handshake, of a paused server that terminates',
  async run(WebSocket, log, t) {
    const wss = await t.server();
    const connected = t.once(wss, 'connection');
    wss.on('connection', (ws) => {
      t.watch(ws, log);
      ws.pause();
      setImmediate(() => ws.terminate());
    });
    const peer = await t.connect(wss.address().port);
    peer.write(t.request(), peer.frame(1, 'a'), peer.frame(1, 'b'));
    const [ws] = await connected;
    await t.over(ws);
  }
});

/**
 * Logs what can be seen of the socket of a connection.
 *
 * @param {Function} log The log
 * @param {String} label What to call it
 * @param {net.Socket} socket The socket
 */
function logSocket(log, label, socket) {
  for (const name of [
    'closed',
    'destroyed',
    'readable',
    'readableEnded',
    'writable',
    'writableEnded',
    'writableFinished'
  ]) {
    log(`${label}: ${name}`, socket[name]);
  }
}

for (const role of ['server', 'client']) {
  for (const looks of [false, true]) {
    const how = looks ? ', its socket looked at' : '';

    scenarios.push({
      title: `terminate() between events${how}, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, {
          prepare: (ws) => t.watch(ws, log)
        });
        peer.write(peer.frame(1, 'first'));
        await t.once(ws, 'message');
        await t.turn(2);
        ws.send('sent before', (err) => log('callback', err));
        ws.terminate();
        log('state', ws.readyState, ws.bufferedAmount);
        if (looks) logSocket(log, 'terminated', ws._socket);
        ws.send('sent after', (err) => log('callback', err));
        ws.terminate();
        ws.close();
        process.nextTick(() => log('tick'));
        setImmediate(() => log('immediate'));
        await t.over(ws);
        await t.turn();
        logSocket(log, 'closed', ws._socket);
        await peer.closed;
        peer.report(log);
      }
    });
  }
}

scenarios.push({
  title: 'terminate() of connections by a listener of another one',
  async run(WebSocket, log, t) {
    const wss = await t.server();
    const sides = [];
    for (let i = 0; i < 4; i++) {
      const connection = t.once(wss, 'connection');
      const peer = await t.connect(wss.address().port);
      peer.write(t.request());
      const [ws] = await connection;
      ws.on('close', (code) => log('close', i, code, wss.clients.size));
      ws.on('error', (err) => log('error', i, err));
      sides.push({ peer, ws });
    }
    sides[1].ws.on('message', (data) => {
      log('message', data);
      for (const { ws } of sides) ws.terminate();
      process.nextTick(() => log('tick'));
    });
    sides[1].peer.write(sides[1].peer.frame(1, 'now'));
    for (const { ws } of sides) await t.over(ws);
  }
});

module.exports = scenarios;
