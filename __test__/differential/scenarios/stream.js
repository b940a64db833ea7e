'use strict';

const { pipeline, finished, Readable, Writable } = require('stream');

const ROLES = ['server', 'client'];

/**
 * Logs every event of a stream.
 *
 * @param {Function} log The log
 * @param {Duplex} duplex The stream
 * @param {Boolean} [data=true] Whether to let data flow
 * @return {Duplex} The same stream
 */
function watch(log, duplex, data = true) {
  for (const event of [
    'end',
    'finish',
    'error',
    'close',
    'drain',
    ...(data ? ['data'] : [])
  ]) {
    duplex.on(event, (...args) => log(event, ...args));
  }

  return duplex;
}

const scenarios = [];

for (const role of ROLES) {
  const make = async (WebSocket, log, t, options, config) => {
    const end = await t.end(role, config);
    const duplex = WebSocket.createWebSocketStream(end.ws, options);
    return { ...end, duplex };
  };

  for (const options of [
    undefined,
    {},
    { encoding: 'utf8' },
    { readableObjectMode: true },
    { objectMode: true, writableObjectMode: true },
    { highWaterMark: 1 },
    { allowHalfOpen: false },
    { decodeStrings: false },
    { decodeStrings: false, encoding: 'utf8' },
    { emitClose: true, autoDestroy: true }
  ]) {
    scenarios.push({
      title: `createWebSocketStream() with ${JSON.stringify(options)}, ${role}`,
      async run(WebSocket, log, t) {
        const { duplex, peer, ws } = await make(WebSocket, log, t, options);
        watch(log, duplex);
        log('modes', [
          duplex.readableObjectMode,
          duplex.writableObjectMode,
          duplex.readableHighWaterMark,
          duplex.writableHighWaterMark,
          duplex.allowHalfOpen,
          duplex.constructor.name
        ]);
        peer.write(
          peer.frame(1, 'text'),
          peer.frame(2, 'data'),
          peer.frame(1, 'frag', { fin: false }),
          peer.frame(0, 'ment'),
          peer.frame(2, 'last')
        );
        await peer.fence();
        await t.turn(2);
        duplex.write('written', () => log('callback 1'));
        duplex.write(Buffer.from('bytes'), () => log('callback 2'));
        duplex.write('6162', 'hex', () => log('callback 3'));
        duplex.end('end', () => log('ended'));
        await peer.until(5);
        peer.write(peer.closeFrame(1000));
        await t.over(ws);
        await t.turn(3);
        peer.report(log);
      }
    });
  }

  scenarios.push(
    {
      title: `a stream whose peer closes, ${role}`,
      async run(WebSocket, log, t) {
        const { duplex, peer, ws } = await make(WebSocket, log, t);
        watch(log, duplex);
        peer.write(peer.frame(1, 'a'), peer.closeFrame(1000));
        await t.over(ws);
        await t.turn(3);
        log('state', duplex.destroyed, duplex.readableEnded);
      }
    },
    {
      title: `a stream whose peer ends without close frame, ${role}`,
      async run(WebSocket, log, t) {
        const { duplex, peer, ws } = await make(WebSocket, log, t);
        watch(log, duplex);
        peer.socket.end();
        await t.over(ws);
        await t.turn(3);
        log('state', duplex.destroyed, duplex.readableEnded);
      }
    },
    {
      title: `a stream that is destroyed, ${role}`,
      async run(WebSocket, log, t) {
        for (const error of [undefined, new Error('own')]) {
          const { duplex, ws, peer } = await make(WebSocket, log, t);
          watch(log, duplex);
          ws.on('close', (code) => log('ws close', code));
          ws.on('error', (err) => log('ws error', err));
          duplex.destroy(error);
          log('state', ws.readyState, duplex.destroyed);
          await t.over(ws);
          await t.turn(3);
          await peer.closed;
        }
      }
    },
    {
      title: `a stream and a violation, ${role}`,
      async run(WebSocket, log, t) {
        const { duplex, peer, ws } = await make(WebSocket, log, t);
        watch(log, duplex);
        ws.on('close', (code) => log('ws close', code));
        peer.write(peer.frame(1, 'a'), peer.frame(5, 'b'));
        await peer.until(1);
        peer.socket.end();
        await t.over(ws);
        await t.turn(3);
        peer.report(log);
      }
    },
    {
      title: `a stream and a violation without error listener, ${role}`,
      async run(WebSocket, log, t) {
        t.onUncaught = (err, origin) => log(origin, err);
        const { peer, ws } = await make(WebSocket, log, t);
        ws.on('close', (code) => log('ws close', code));
        peer.write(peer.frame(5, 'b'));
        await peer.until(1);
        peer.socket.end();
        await t.over(ws);
        await t.turn(3);
      }
    },
    {
      title: `a stream that is read slowly, ${role}`,
      async run(WebSocket, log, t) {
        const { duplex, peer, ws } = await make(WebSocket, log, t, {
          highWaterMark: 5
        });
        watch(log, duplex, false);
        peer.write(
          peer.frame(1, 'first message'),
          peer.frame(1, 'second message')
        );
        await t.poll(() => ws.isPaused);
        log('paused', ws.isPaused, ws._socket.isPaused());
        log('length', duplex.readableLength);
        const chunk = duplex.read();
        log('read', chunk, ws.isPaused);
        peer.write(peer.frame(2, 'third'), peer.closeFrame(1000));
        duplex.on('data', (data) => log('data', data));
        await t.over(ws);
        await t.turn(3);
      }
    },
    {
      title: `a stream with an exception in its data handler, ${role}`,
      async run(WebSocket, log, t) {
        t.onUncaught = (err, origin) => log(origin, err);
        const { duplex, peer } = await make(WebSocket, log, t);
        duplex.on('data', () => {
          throw new Error('thrown');
        });
        peer.write(peer.frame(1, 'a'));
        await t.once(process, 'uncaughtException');
        log('state', duplex.destroyed);
      }
    },
    {
      title: `a stream on a WebSocket that is closed, ${role}`,
      async run(WebSocket, log, t) {
        const { ws } = await t.end(role);
        ws.terminate();
        await t.over(ws);
        const duplex = watch(log, WebSocket.createWebSocketStream(ws));
        duplex.write('x', (err) => log('callback', err));
        await t.turn(2);
        duplex.destroy();
        await t.turn(2);
      }
    },
    {
      title: `an iterator over a stream, ${role}`,
      async run(WebSocket, log, t) {
        const { duplex, peer } = await make(WebSocket, log, t, {
          readableObjectMode: true
        });
        peer.write(
          peer.frame(1, 'a'),
          peer.frame(2, 'b'),
          peer.closeFrame(1000)
        );
        try {
          for await (const chunk of duplex) log('chunk', chunk);
        } catch (err) {
          log('failed', err);
        }
      }
    },
    {
      title: `pipeline() into and out of a stream, ${role}`,
      async run(WebSocket, log, t) {
        const { duplex, peer, ws } = await make(WebSocket, log, t);
        const collected = [];
        const done = new Promise((resolve) => {
          pipeline(
            Readable.from([Buffer.from('one'), Buffer.from('two')]),
            duplex,
            new Writable({
              write(chunk, encoding, callback) {
                collected.push(`${chunk}`);
                callback();
              }
            }),
            (err) => {
              log('pipeline', err);
              resolve();
            }
          );
        });
        peer.write(peer.frame(1, 'in'));
        await peer.until(3);
        peer.write(peer.closeFrame(1000));
        await t.over(ws);
        await done;
        log('collected', collected);
        peer.report(log);
      }
    },
    {
      title: `finished() of a stream, ${role}`,
      async run(WebSocket, log, t) {
        for (const how of ['close', 'destroy']) {
          const { duplex, peer } = await make(WebSocket, log, t);
          duplex.resume();
          const done = new Promise((resolve) => {
            finished(duplex, (err) => {
              log(how, err);
              resolve();
            });
          });
          if (how === 'close') {
            duplex.end();
            await peer.until(1);
            peer.write(peer.closeFrame());
          } else duplex.destroy();
          await done;
        }
      }
    },
    {
      title: `end() of a stream and the finish of its socket, ${role}`,
      async run(WebSocket, log, t) {
        const { duplex, peer, ws } = await make(WebSocket, log, t);
        watch(log, duplex);
        ws._socket.on('finish', () => log('socket finish'));
        ws._socket.on('close', () => log('socket close'));
        ws.on('close', (code) => log('ws close', code));
        duplex.end();
        await peer.until(1);
        peer.write(peer.closeFrame());
        await t.over(ws);
        await t.turn(3);
      }
    },
    {
      title: `cork() and many writes to a stream, ${role}`,
      async run(WebSocket, log, t) {
        const { duplex, peer } = await make(WebSocket, log, t);
        duplex.cork();
        for (let i = 0; i < 5; i++) duplex.write(`${i}`);
        log('length', duplex.writableLength);
        duplex.uncork();
        await peer.until(5);
        peer.report(log);
      }
    }
  );
}

scenarios.push(
  {
    title: 'a stream on a client that connects',
    async run(WebSocket, log, t) {
      const wss = await t.server();
      wss.on('connection', (ws) => {
        ws.on('message', (data) => ws.send(data));
      });
      const ws = t.client(`ws://127.0.0.1:${wss.address().port}/`);
      const duplex = watch(log, WebSocket.createWebSocketStream(ws));
      duplex.write('before open', () => log('written'));
      await t.once(duplex, 'data');
      duplex.end();
      await t.over(ws);
      await t.turn(3);
    }
  },
  {
    title: 'a stream on a client that ends before it is open',
    async run(WebSocket, log, t) {
      const wss = await t.server();
      const ws = t.client(`ws://127.0.0.1:${wss.address().port}/`);
      const duplex = watch(log, WebSocket.createWebSocketStream(ws));
      duplex.end('only this');
      await t.over(ws);
      await t.turn(3);
    }
  },
  {
    title: 'a stream that a server with a port pipes to itself',
    async run(WebSocket, log, t) {
      const wss = await t.server();
      await t.turn(2);
      const over = new Promise((resolve) => {
        wss.on('connection', (ws) => {
          const duplex = watch(log, WebSocket.createWebSocketStream(ws), false);
          finished(duplex, (err) => {
            log('finished', err);
            resolve();
          });
          duplex.pipe(duplex);
        });
      });
      const connected = t.once(wss, 'connection');
      const peer = await t.connect(wss.address().port);
      peer.write(t.request());
      await connected;
      peer.write(peer.frame(1, 'a'));
      await peer.until(1);
      peer.write(peer.closeFrame());
      await peer.until(2);
      peer.socket.end();
      await over;
      await t.turn(3);
      peer.report(log);
    }
  },
  {
    title: 'a stream on a client that can not connect',
    async run(WebSocket, log, t) {
      const port = await t.rawServer((peer) => {
        peer.socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n');
      });
      for (const action of ['nothing', 'end', 'destroy', 'write']) {
        const ws = t.client(`ws://127.0.0.1:${port}/`);
        const duplex = watch(log, WebSocket.createWebSocketStream(ws));
        log(action);
        if (action === 'end') duplex.end();
        if (action === 'destroy') duplex.destroy();
        if (action === 'write') duplex.write('x', (err) => log('cb', err));
        await t.over(ws);
        await t.turn(3);
      }
    }
  }
);

module.exports = scenarios;
