'use strict';

const { AsyncLocalStorage, executionAsyncId } = require('async_hooks');
const { EventEmitter } = require('events');
const http = require('http');

const ROLES = ['server', 'client'];

/**
 * Logs an event and queues a marker in each of the queues that Node runs
 * between two callbacks, and one for the check phase.
 *
 * @param {Function} log The log
 * @param {String} name The name of the event
 */
function mark(log, name) {
  log(name);
  process.nextTick(() => log(`  tick of ${name}`));
  queueMicrotask(() => log(`  microtask of ${name}`));
  setImmediate(() => log(`  immediate of ${name}`));
}

const scenarios = [];

for (const role of ROLES) {
  for (const allowSynchronousEvents of [undefined, true, false]) {
    for (const kind of ['texts', 'binaries', 'controls', 'a mixture']) {
      scenarios.push({
        title:
          `ticks between ${kind} in one chunk, ${role}, ` +
          `allowSynchronousEvents ${allowSynchronousEvents}`,
        async run(WebSocket, log, t) {
          const options =
            allowSynchronousEvents === undefined
              ? {}
              : { allowSynchronousEvents };
          const { ws, peer } = await t.end(role, { options });
          for (const event of ['message', 'ping', 'pong']) {
            ws.on(event, (data) => mark(log, `${event} ${data}`));
          }
          const opcodes = {
            texts: [1, 1, 1],
            binaries: [2, 2, 2],
            controls: [9, 10, 9],
            'a mixture': [1, 9, 2, 10, 1]
          }[kind];
          peer.write(
            ...opcodes.map((opcode, i) => peer.frame(opcode, `${i}`)),
            peer.frame(1, 'fi', { fin: false }),
            peer.frame(0, 'n')
          );
          await new Promise((resolve) => {
            ws.on('message', (data) => {
              if (`${data}` === 'fin') setImmediate(resolve);
            });
          });
        }
      });
    }

    scenarios.push(
      {
        title:
          `ticks around a close frame in the same chunk, ${role}, ` +
          `allowSynchronousEvents ${allowSynchronousEvents}`,
        async run(WebSocket, log, t) {
          const { ws, peer } = await t.end(role, {
            options: { allowSynchronousEvents }
          });
          ws._receiver.on('conclude', () => mark(log, 'conclude'));
          ws.on('message', (data) => mark(log, `message ${data}`));
          peer.write(
            peer.frame(1, 'a'),
            peer.frame(2, 'b'),
            peer.closeFrame(1000)
          );
          await peer.until(1);
          await t.over(ws);
        }
      },
      {
        title:
          `ticks around a violation in the same chunk, ${role}, ` +
          `allowSynchronousEvents ${allowSynchronousEvents}`,
        async run(WebSocket, log, t) {
          const { ws, peer } = await t.end(role, {
            options: { allowSynchronousEvents }
          });
          ws.on('message', (data) => mark(log, `message ${data}`));
          ws.on('error', (err) => mark(log, `error ${err.code}`));
          peer.write(
            peer.frame(1, 'a'),
            peer.frame(2, 'b'),
            peer.frame(5, 'c')
          );
          await peer.until(1);
          peer.socket.end();
          await t.over(ws);
        }
      },
      {
        title:
          `replies to messages in one chunk, ${role}, ` +
          `allowSynchronousEvents ${allowSynchronousEvents}`,
        async run(WebSocket, log, t) {
          const { ws, peer } = await t.end(role, {
            options: { allowSynchronousEvents }
          });
          ws.on('message', (data) => {
            log(`message ${data}`, ws.bufferedAmount);
            ws.send(`reply ${data}`, () => log(`sent ${data}`));
            log('after send', ws.bufferedAmount);
          });
          peer.write(
            peer.frame(1, 'a'),
            peer.frame(2, 'b'),
            peer.frame(1, 'c')
          );
          await peer.until(3);
          await t.turn(2);
          peer.report(log);
        }
      }
    );
  }

  for (const allowSynchronousEvents of [true, false]) {
    scenarios.push(
      {
        title:
          `pause() in the first of three messages, ${role}, ` +
          `allowSynchronousEvents ${allowSynchronousEvents}`,
        async run(WebSocket, log, t) {
          const { ws, peer } = await t.end(role, {
            options: { allowSynchronousEvents },
            prepare: (ws) => t.watch(ws, log)
          });
          ws.once('message', () => {
            ws.pause();
            log('paused', ws.isPaused, ws._socket.isPaused());
          });
          peer.write(
            peer.frame(1, 'a'),
            peer.frame(1, 'b'),
            peer.frame(9, 'c')
          );
          await t.once(ws, 'ping');
          log('second chunk');
          peer.write(peer.frame(1, 'd'));
          await t.sleep(20);
          log('resuming');
          ws.resume();
          log('resumed', ws.isPaused);
          await t.once(ws, 'message');
        }
      },
      {
        title:
          `removing and adding listeners between messages, ${role}, ` +
          `allowSynchronousEvents ${allowSynchronousEvents}`,
        async run(WebSocket, log, t) {
          const { ws, peer } = await t.end(role, {
            options: { allowSynchronousEvents }
          });
          const first = (data) => {
            log(`first ${data}`);
            ws.off('message', first);
            ws.on('message', second);
          };
          const second = (data) => log(`second ${data}`);
          ws.on('message', first);
          peer.write(
            peer.frame(1, 'a'),
            peer.frame(1, 'b'),
            peer.frame(1, 'c')
          );
          await peer.fence();
        }
      }
    );
  }

  scenarios.push(
    {
      title: `ticks of separate chunks, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role);
        ws.on('message', (data) => {
          log(`message ${data}`);
          process.nextTick(() => log(`tick of ${data}`));
          queueMicrotask(() => log(`microtask of ${data}`));
        });
        for (const text of ['a', 'b', 'c']) {
          peer.write(peer.frame(1, text));
          await t.once(ws, 'message');
        }
      }
    },
    {
      title: `ticks of a chunk that takes more than one read, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role);
        const done = new Promise((resolve) => {
          ws.on('message', (data) => {
            log('message', data.length);
            process.nextTick(() => log('  tick of', data.length));
            queueMicrotask(() => log('  microtask of', data.length));
            if (String(data) === 'last') setImmediate(resolve);
          });
        });
        peer.write(
          peer.frame(1, 'first'),
          peer.frame(2, Buffer.alloc(70000)),
          peer.frame(1, 'last')
        );
        await done;
      }
    },
    {
      title: `a message handler that is async, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role);
        ws.on('message', async (data) => {
          log(`start ${data}`);
          await null;
          log(`middle ${data}`);
          await null;
          log(`end ${data}`);
        });
        peer.write(peer.frame(1, 'a'), peer.frame(1, 'b'), peer.frame(2, 'c'));
        await peer.fence();
      }
    },
    {
      title: `an exception in the message handler, ${role}`,
      async run(WebSocket, log, t) {
        t.onUncaught = (err, origin) => log(origin, err);
        const { ws, peer } = await t.end(role);
        ws.on('message', (data) => {
          log(`message ${data}`);
          throw new Error(`thrown for ${data}`);
        });
        peer.write(peer.frame(1, 'a'));
        await t.once(process, 'uncaughtException');
        log('state', ws.readyState);
      }
    },
    {
      title: `exceptions in the handlers of the other events, ${role}`,
      async run(WebSocket, log, t) {
        for (const [event, opcode] of [
          ['ping', 9],
          ['pong', 10]
        ]) {
          t.onUncaught = (err, origin) => log(origin, err);
          const { ws, peer } = await t.end(role);
          ws.on(event, (data) => {
            log(event, data);
            throw new Error(`thrown for ${event}`);
          });
          peer.write(peer.frame(opcode, 'x'));
          await t.once(process, 'uncaughtException');
          log('state', ws.readyState);
        }
      }
    },
    {
      title: `an exception in the close handler, ${role}`,
      async run(WebSocket, log, t) {
        t.onUncaught = (err, origin) => log(origin, err);
        const { ws, peer } = await t.end(role);
        ws.on('close', (code) => {
          log('first', code);
          throw new Error('thrown in close');
        });
        ws.on('close', () => log('never called'));
        peer.write(peer.closeFrame(1000));
        await t.once(process, 'uncaughtException');
        log('state', ws.readyState);
      }
    },
    {
      title: `an exception in the error handler, ${role}`,
      async run(WebSocket, log, t) {
        t.onUncaught = (err, origin) => log(origin, err);
        const { ws, peer } = await t.end(role);
        ws.on('error', (err) => {
          log('error', err);
          throw new Error('thrown in error');
        });
        peer.write(peer.frame(5, 'x'));
        await t.once(process, 'uncaughtException');
        log('state', ws.readyState);
      }
    },
    {
      title: `an exception does not disturb another connection, ${role}`,
      async run(WebSocket, log, t) {
        t.onUncaught = (err, origin) => log(origin, err);
        const bad = await t.end(role);
        const good = await t.end(role);
        bad.ws.on('message', () => {
          throw new Error('thrown');
        });
        good.ws.on('message', (data) => {
          log.channel('good')('message', data);
          good.ws.send('reply');
        });
        bad.peer.write(bad.peer.frame(1, 'a'));
        good.peer.write(good.peer.frame(1, 'b'), good.peer.frame(1, 'c'));
        await good.peer.until(2);
        good.peer.report(log.channel('good'));
      }
    },
    {
      title: `ticks run between the events of two connections, ${role}`,
      async run(WebSocket, log, t) {
        const ends = [];
        for (let i = 0; i < 8; i++) ends.push(await t.end(role));
        let pending = 0;
        let most = 0;
        let events = 0;
        await new Promise((resolve) => {
          for (const { ws } of ends) {
            ws.on('message', () => {
              most = Math.max(most, pending);
              pending += 2;
              process.nextTick(() => pending--);
              queueMicrotask(() => pending--);
              if (++events === ends.length) setImmediate(resolve);
            });
          }
          for (const { peer } of ends) peer.write(peer.frame(1, 'x'));
        });
        log('left over at an event', most, 'at the end', pending);
      }
    },
    {
      title: `a promise resolved by one connection for the next, ${role}`,
      async run(WebSocket, log, t) {
        const ends = [];
        for (let i = 0; i < 6; i++) ends.push(await t.end(role));
        let previous = null;
        let late = 0;
        let events = 0;
        await new Promise((resolve) => {
          for (const { ws } of ends) {
            ws.on('message', () => {
              if (previous !== null && !previous.done) late++;
              const own = { done: false };
              previous = own;
              Promise.resolve()
                .then(() => {})
                .then(() => process.nextTick(() => (own.done = true)));
              if (++events === ends.length) setImmediate(resolve);
            });
          }
          for (const { peer } of ends) peer.write(peer.frame(1, 'x'));
        });
        log('late', late);
      }
    },
    {
      title: `closing another connection in a message handler, ${role}`,
      async run(WebSocket, log, t) {
        const ends = [await t.end(role), await t.end(role)];
        await new Promise((resolve) => {
          for (const [i, { ws }] of ends.entries()) {
            ws.on('message', (data) => {
              log('message', data);
              ends[1 - i].ws.terminate();
            });
            ws.on('close', (code) => {
              log('close', code);
              setImmediate(resolve);
            });
          }
          for (const { peer } of ends) {
            peer.write(peer.frame(1, 'x'), peer.frame(1, 'y'));
          }
        });
        await t.turn(2);
      }
    },
    {
      title: `AsyncLocalStorage in the handlers of events, ${role}`,
      async run(WebSocket, log, t) {
        const als = new AsyncLocalStorage();
        let ends;
        await als.run('creation', async () => {
          ends = await t.end(role, {
            prepare(ws) {
              log('prepare', als.getStore());
              als.run('on', () => {
                for (const event of [
                  'open',
                  'message',
                  'ping',
                  'pong',
                  'error',
                  'close'
                ]) {
                  ws.on(event, () => {
                    log(event, als.getStore());
                    process.nextTick(() =>
                      log(`${event} tick`, als.getStore())
                    );
                    queueMicrotask(() => {
                      log(`${event} microtask`, als.getStore());
                    });
                  });
                }
              });
            }
          });
        });
        const { ws, peer } = ends;
        als.run('write', () => {
          peer.write(
            peer.frame(1, 'a'),
            peer.frame(9, 'b'),
            peer.frame(10, 'c')
          );
        });
        await peer.until(1);
        als.run('send', () => {
          ws.send('x', () => log('send callback', als.getStore()));
          ws.ping('x', undefined, () => log('ping callback', als.getStore()));
          ws.pong('x', undefined, () => log('pong callback', als.getStore()));
          ws.send(new Blob(['x']), () => log('blob callback', als.getStore()));
        });
        await peer.until(5);
        als.run('violation', () => peer.write(peer.frame(5, 'x')));
        await peer.until(6);
        als.run('end', () => peer.socket.end());
        await t.over(ws);
        als.run('after', () => {
          ws.send('x', () => log('late callback', als.getStore()));
        });
        await t.turn();
      }
    },
    {
      title: `AsyncLocalStorage with terminate() and close(), ${role}`,
      async run(WebSocket, log, t) {
        const als = new AsyncLocalStorage();
        for (const method of ['close', 'terminate']) {
          const { ws, peer } = await als.run('creation', () => t.end(role));
          ws.on('close', () => log(`${method}: close`, als.getStore()));
          als.run('call', () => ws[method]());
          if (method === 'close') {
            await peer.until(1);
            peer.write(peer.closeFrame());
          }
          await t.over(ws);
        }
      }
    },
    {
      title: `AsyncLocalStorage with compression, ${role}`,
      async run(WebSocket, log, t) {
        const als = new AsyncLocalStorage();
        const { ws, peer } = await als.run('creation', () =>
          t.end(role, {
            options: { perMessageDeflate: { threshold: 0 } },
            headers: { 'Sec-WebSocket-Extensions': 'permessage-deflate' }
          })
        );
        ws.on('message', () => log('message', als.getStore()));
        for (const store of ['one', 'two', 'three']) {
          als.run(store, () => {
            ws.send('x'.repeat(100), () => log(store, als.getStore()));
          });
        }
        await peer.until(3);
        peer.write(
          peer.frame(1, Buffer.from([0xaa, 0x00, 0x00]), { rsv: 4 }),
          peer.frame(1, Buffer.from([0xaa, 0x00, 0x00]), { rsv: 4 })
        );
        await peer.fence();
        await t.turn();
      }
    },
    {
      title: `AsyncLocalStorage with events that are deferred, ${role}`,
      async run(WebSocket, log, t) {
        const als = new AsyncLocalStorage();
        const { ws, peer } = await als.run('creation', () =>
          t.end(role, { options: { allowSynchronousEvents: false } })
        );
        ws.on('message', (data) => {
          log(`message ${data}`, als.getStore());
          als.enterWith(`entered in ${data}`);
        });
        peer.write(peer.frame(1, 'a'), peer.frame(2, 'b'), peer.frame(1, 'c'));
        await peer.fence();
      }
    },
    {
      title: `AsyncLocalStorage.enterWith() in a handler, ${role}`,
      async run(WebSocket, log, t) {
        const als = new AsyncLocalStorage();
        const { ws, peer } = await als.run('creation', () => t.end(role));
        ws.on('message', (data) => {
          log(`message ${data}`, als.getStore());
          als.enterWith(`entered in ${data}`);
          process.nextTick(() => log(`tick ${data}`, als.getStore()));
        });
        peer.write(peer.frame(1, 'a'), peer.frame(1, 'b'));
        await peer.fence();
        peer.write(peer.frame(1, 'c'));
        await peer.fence();
      }
    },
    {
      title: `captureRejections with async handlers, ${role}`,
      async run(WebSocket, log, t) {
        const before = EventEmitter.captureRejections;
        EventEmitter.captureRejections = true;
        t.defer(() => (EventEmitter.captureRejections = before));
        const { ws, peer } = await t.end(role, {
          prepare: (ws) => ws.on('close', (code) => log('close', code))
        });
        log('has', typeof ws[Symbol.for('nodejs.rejection')]);
        ws.on('error', (err) => log('error', err, ws.readyState));
        ws.on('message', async (data) => {
          log('message', data);
          throw new Error('rejected');
        });
        peer.write(peer.frame(1, 'a'), peer.frame(1, 'b'));
        await t.once(ws, 'error');
        await peer.fence();
        log('state', ws.readyState);
      }
    },
    {
      title: `an unhandled rejection in an async handler, ${role}`,
      async run(WebSocket, log, t) {
        t.onUncaught = (err, origin) => log(origin, err);
        const { ws, peer } = await t.end(role);
        ws.on('message', async (data) => {
          log('message', data);
          throw new Error('rejected');
        });
        peer.write(peer.frame(1, 'a'), peer.frame(2, 'b'));
        await peer.fence();
        log('state', ws.readyState);
      }
    },
    {
      title: `errorMonitor, newListener and removeListener, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role);
        ws.on('newListener', (event) => log('newListener', String(event)));
        ws.on('removeListener', (event) => log('removeListener', event));
        ws.on(EventEmitter.errorMonitor, (err) => log('monitor', err.code));
        ws.on('error', (err) => log('error', err.code));
        ws.once('message', () => log('message'));
        ws.onmessage = () => log('onmessage');
        ws.onmessage = null;
        peer.write(peer.frame(1, 'a'), peer.frame(5, 'x'));
        await peer.until(1);
        peer.socket.end();
        await t.over(ws);
      }
    },
    {
      title: `the rejection of events.once() and events.on(), ${role}`,
      async run(WebSocket, log, t) {
        const { once, on } = require('events');
        const { ws, peer } = await t.end(role);
        const first = once(ws, 'message');
        peer.write(peer.frame(1, 'a'));
        log('once', await first);
        const iterator = on(ws, 'message', { close: ['close'] });
        peer.write(
          peer.frame(1, 'b'),
          peer.frame(2, 'c'),
          peer.closeFrame(1000)
        );
        for await (const args of iterator) log('iterator', args);
        const failing = once(ws, 'open').catch((err) => log('rejected', err));
        ws.emit('error', new Error('own'));
        await failing;
      }
    },
    {
      title: `events emitted by hand, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, {
          prepare: (ws) => t.watch(ws, log)
        });
        log('emit', ws.emit('message', Buffer.from('own'), false));
        log('emit', ws.emit('unknown'));
        ws.emit('ping', 'own');
        ws._receiver.emit('message', Buffer.from('receiver'), true);
        ws._receiver.emit('ping', Buffer.from('receiver'));
        await peer.fence();
        peer.report(log);
      }
    },
    {
      title: `extra listeners of the receiver's events, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, {
          prepare: (ws) => t.watch(ws, log)
        });
        for (const event of ['message', 'ping', 'pong', 'conclude', 'error']) {
          ws._receiver.on(event, (...args) =>
            log(`receiver ${event}`, ...args)
          );
          ws._receiver.prependListener(event, () => log(`before ${event}`));
        }
        peer.write(
          peer.frame(1, 'a'),
          peer.frame(9, 'b'),
          peer.frame(10, 'c'),
          peer.closeFrame(1000, 'd')
        );
        await t.over(ws);
      }
    }
  );
}

scenarios.push(
  {
    title: 'the order of handshake events on both sides in ticks',
    async run(WebSocket, log, t) {
      const wss = await t.server();
      const server = log.channel('server');
      const client = log.channel('client');
      wss.on('headers', () => mark(server, 'headers'));
      wss.on('connection', (ws) => {
        mark(server, 'connection');
        ws.on('message', () => mark(server, 'message'));
        ws.send('hello');
      });
      wss._server.on('connection', () => mark(server, 'tcp connection'));
      wss._server.on('upgrade', () => mark(server, 'upgrade'));
      const ws = t.client(`ws://127.0.0.1:${wss.address().port}/`);
      ws.on('upgrade', () => {
        client('upgrade', ws.readyState);
        process.nextTick(() => client('tick of upgrade', ws.readyState));
        queueMicrotask(() => client('microtask of upgrade'));
      });
      ws.on('open', () => {
        client('open', ws.readyState);
        process.nextTick(() => client('tick of open'));
        queueMicrotask(() => client('microtask of open'));
      });
      await t.once(ws, 'message');
      ws.send('x');
      await t.turn(4);
      log('done');
    }
  },
  {
    title: 'message in the same packet as the handshake and open, in ticks',
    async run(WebSocket, log, t) {
      const port = await t.rawServer((peer, head) => {
        peer.write(t.answer(head), peer.frame(1, 'a'), peer.frame(1, 'b'));
      });
      const ws = t.client(`ws://127.0.0.1:${port}/`);
      ws.on('upgrade', () => mark(log, 'upgrade'));
      ws.on('open', () => mark(log, 'open'));
      await new Promise((resolve) => {
        ws.on('message', (data) => {
          mark(log, `message ${data}`);
          if (`${data}` === 'b') setImmediate(() => setImmediate(resolve));
        });
      });
    }
  },
  {
    title: 'message in the same packet as the request, in ticks',
    async run(WebSocket, log, t) {
      const wss = await t.server();
      const peer = await t.connect(wss.address().port);
      const done = new Promise((resolve) => {
        wss.on('headers', () => mark(log, 'headers'));
        wss.on('connection', (ws) => {
          mark(log, 'connection');
          ws.on('message', (data) => {
            mark(log, `message ${data}`);
            if (`${data}` === 'b') setImmediate(() => setImmediate(resolve));
          });
        });
      });
      peer.write(t.request(), peer.frame(1, 'a'), peer.frame(1, 'b'));
      await done;
    }
  },
  ...['port', 'server', 'noServer'].map((mode) => ({
    title: `AsyncLocalStorage around the parts of a server, ${mode}`,
    async run(WebSocket, log, t) {
      const als = new AsyncLocalStorage();
      let wss;
      let server;
      await als.run('listen', async () => {
        if (mode === 'port') {
          wss = await t.server();
          server = wss._server;
        } else {
          server = http.createServer();
          await t.listen(server);
          wss = new WebSocket.Server(
            mode === 'server' ? { server } : { noServer: true }
          );
        }
      });
      const connected = new Promise((resolve) => {
        als.run('on', () => {
          wss.on('connection', (ws) => {
            log('connection', als.getStore());
            ws.on('message', () => log('message', als.getStore()));
            ws.on('ping', () => log('ping', als.getStore()));
            ws.on('close', () => log('close', als.getStore()));
            resolve(ws);
          });
          wss.on('headers', () => log('headers', als.getStore()));
          if (mode === 'noServer') {
            server.on('upgrade', (req, socket, head) => {
              log('upgrade', als.getStore());
              als.run('handleUpgrade', () => {
                wss.handleUpgrade(req, socket, head, (ws) => {
                  wss.emit('connection', ws, req);
                });
              });
            });
          }
        });
      });
      const peer = await als.run('connect', () =>
        t.connect(server.address().port)
      );
      als.run('request', () => peer.write(t.request(), peer.frame(1, 'head')));
      const ws = await connected;
      await peer.upgraded();
      als.run('frame', () => peer.write(peer.frame(1, 'a'), peer.frame(9)));
      await peer.until(1);
      als.run('send', () => {
        ws.send('x', () => log('send callback', als.getStore()));
      });
      await peer.until(2);
      als.run('end', () => peer.write(peer.closeFrame(1000)));
      await t.over(ws);
    }
  })),
  {
    title: 'AsyncLocalStorage with a store per connection',
    async run(WebSocket, log, t) {
      const als = new AsyncLocalStorage();
      const wss = await t.server();
      let id = 0;
      wss.on('connection', (ws) => {
        als.run(`connection ${++id}`, () => {
          const own = log.channel(als.getStore());
          own('connection', als.getStore());
          ws.on('message', (data) => own('message', data, als.getStore()));
          ws.send('hello', () => own('send callback', als.getStore()));
        });
      });
      for (let i = 0; i < 3; i++) {
        const peer = await t.connect(wss.address().port);
        peer.write(t.request(), peer.frame(1, 'head'));
        await peer.upgraded();
        peer.write(peer.frame(1, 'later'));
        await peer.fence();
      }
      log('done', id);
    }
  },
  {
    title: 'AsyncLocalStorage around handleUpgrade() that comes late',
    async run(WebSocket, log, t) {
      const als = new AsyncLocalStorage();
      const server = http.createServer();
      const port = await t.listen(server);
      const wss = new WebSocket.Server({ noServer: true });
      const connected = new Promise((resolve) => {
        server.on('upgrade', async (req, socket, head) => {
          await t.turn(3);
          als.run('late', () => {
            wss.handleUpgrade(req, socket, head, (ws) => {
              log('callback', als.getStore());
              ws.on('message', (data) => log('message', data, als.getStore()));
              resolve(ws);
            });
          });
        });
      });
      const peer = await t.connect(port);
      peer.write(t.request());
      await t.turn();
      peer.write(peer.frame(1, 'early'));
      await connected;
      await peer.upgraded();
      als.run('frame', () => peer.write(peer.frame(1, 'later')));
      await peer.fence();
    }
  },
  {
    title: 'AsyncLocalStorage around setSocket() of a Duplex',
    async run(WebSocket, log, t) {
      const { Duplex } = require('stream');
      const als = new AsyncLocalStorage();
      const duplex = new Duplex({
        read() {},
        write(chunk, encoding, callback) {
          setImmediate(callback);
        }
      });
      const ws = new WebSocket(null, undefined, {});
      ws.on('message', (data) => log('message', data, als.getStore()));
      ws.on('close', () => log('close', als.getStore()));
      als.run('setSocket', () => ws.setSocket(duplex, Buffer.alloc(0), {}));
      als.run('push', () => {
        duplex.push(Buffer.from([0x81, 0x81, 0, 0, 0, 0, 0x61]));
      });
      await t.turn(2);
      als.run('send', () => {
        ws.send('x', () => log('send callback', als.getStore()));
      });
      await t.turn(2);
      als.run('terminate', () => ws.terminate());
      await t.turn(2);
    }
  },
  ...['bound', 'open', 'upgrade'].map((event) => ({
    title: `the asynchronous context of a client's events, ${event}`,
    async run(WebSocket, log, t) {
      const als = new AsyncLocalStorage();
      const port = await t.rawServer(async (peer, head) => {
        peer.write(t.answer(head));
        peer.write(peer.frame(1, 'a'), peer.frame(9, 'b'));
        await peer.fence();
        peer.write(peer.frame(1, 'c'), peer.frame(8, ''));
      });
      await als.run('creation', async () => {
        const ws = t.client(`ws://127.0.0.1:${port}/`, {
          finishRequest(request) {
            const [listener] = request.listeners('upgrade');
            request.removeListener('upgrade', listener);
            request.on('upgrade', (...args) => {
              if (event === 'bound') als.run(event, listener, ...args);
              else listener(...args);
            });
            request.end();
          }
        });
        const closed = t.once(ws, 'close');
        ws.on('open', () => {
          log('open', als.getStore());
        });
        ws.on(event, () => als.enterWith(event));
        for (const name of ['message', 'ping', 'close']) {
          ws.on(name, () => {
            const { _handle: handle } = ws._socket || {};
            log(
              name,
              als.getStore(),
              handle && handle.getAsyncId() === executionAsyncId()
            );
          });
        }
        await closed;
      });
    }
  })),
  ...ROLES.map((role) => ({
    title: `callbacks of frames while process.nextTick() is replaced, ${role}`,
    async run(WebSocket, log, t) {
      const { ws, peer } = await t.end(role);
      const { nextTick } = process;
      const queue = [];
      const runAll = () => {
        while (queue.length > 0) queue.shift()();
      };
      process.nextTick = (fn, ...args) => queue.push(() => fn(...args));
      try {
        ws.send('text', (err) => log('text', err));
        runAll();
        ws.send(Buffer.alloc(50000), (err) => log('large', err));
        ws.ping('ping', undefined, (err) => log('ping', err));
        await peer.until(3);
        await t.turn(2);
        log('the frames have come');
        runAll();
        ws.pong('pong', undefined, (err) => log('pong', err));
      } finally {
        process.nextTick = nextTick;
      }
      log('restored');
      await peer.until(4);
      await t.turn(2);
      runAll();
      ws.send('last', (err) => log('last', err));
      await peer.until(5);
      await t.turn();
      peer.report(log);
    }
  })),
  {
    title: 'captureRejections of a WebSocketServer',
    async run(WebSocket, log, t) {
      const before = EventEmitter.captureRejections;
      EventEmitter.captureRejections = true;
      t.defer(() => (EventEmitter.captureRejections = before));
      const wss = await t.server();
      const failed = t.once(wss, 'error');
      wss.on('connection', async () => {
        throw new Error('rejected');
      });
      const peer = await t.connect(wss.address().port);
      peer.write(t.request());
      log('error', ...(await failed));
    }
  },
  ...['connection', 'headers'].map((event) => ({
    title: `an exception in the ${event} handler of a server`,
    async run(WebSocket, log, t) {
      t.onUncaught = (err, origin) => log(origin, err);
      const wss = await t.server();
      wss.on(event, () => {
        throw new Error(`thrown in ${event}`);
      });
      const peer = await t.connect(wss.address().port);
      peer.write(t.request());
      await t.once(process, 'uncaughtException');
      log('clients', wss.clients.size);
      const other = await t.connect(wss.address().port);
      other.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
      log('still there', (await other.upgraded()).slice(0, 12));
    }
  })),
  ...['open', 'upgrade'].map((event) => ({
    title: `an exception in the ${event} handler of a client`,
    async run(WebSocket, log, t) {
      t.onUncaught = (err, origin) => log(origin, err);
      const port = await t.rawServer((peer, head) => {
        peer.write(t.answer(head));
      });
      const ws = t.client(`ws://127.0.0.1:${port}/`);
      ws.on('error', (err) => log('error', err));
      ws.on('close', (code) => log('close', code));
      ws.on(event, () => {
        throw new Error(`thrown in ${event}`);
      });
      await t.once(process, 'uncaughtException');
      await t.turn();
      log('state', ws.readyState);
    }
  }))
);

module.exports = scenarios;
