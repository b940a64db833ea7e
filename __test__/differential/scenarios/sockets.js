'use strict';

const net = require('net');
const { Duplex, PassThrough } = require('stream');

const { frame } = require('../../helpers/frames');

const ROLES = ['server', 'client'];

/**
 * A pair of Duplex streams of which one reads what the other writes.
 *
 * @param {Object} [options] Options of the streams
 * @return {Duplex[]} The streams
 */
function duplexPair(options) {
  const make = () =>
    new Duplex({
      ...options,
      read() {},
      write(chunk, encoding, callback) {
        this.other.push(chunk);
        callback();
      },
      final(callback) {
        this.other.push(null);
        callback();
      }
    });
  const pair = [make(), make()];
  pair[0].other = pair[1];
  pair[1].other = pair[0];
  return pair;
}

/**
 * Logs a property or what a method returns, whatever it is.
 *
 * @param {Function} log The log
 * @param {Object} object The object
 * @param {String} name The name
 */
function look(log, object, name) {
  const value = object[name];
  log(name, typeof value === 'object' && value ? typeof value : value);
}

const scenarios = [];

for (const role of ROLES) {
  scenarios.push(
    {
      title: `the socket is a net.Socket by every look, ${role}`,
      async run(WebSocket, log, t) {
        const { ws } = await t.end(role);
        const socket = ws._socket;
        log('class', [
          socket instanceof net.Socket,
          socket instanceof Duplex,
          socket.constructor === net.Socket,
          socket.constructor.name,
          Object.prototype.toString.call(socket)
        ]);
        for (const name of [
          'connecting',
          'pending',
          'destroyed',
          'readable',
          'writable',
          'readyState',
          'allowHalfOpen',
          'remoteAddress',
          'remoteFamily',
          'localAddress',
          'localFamily',
          'timeout',
          'readableFlowing',
          'readableEnded',
          'writableEnded',
          'writableFinished',
          'writableLength',
          'writableHighWaterMark',
          'writableCorked',
          'writableNeedDrain',
          'readableHighWaterMark',
          'readableLength',
          'readableObjectMode',
          'readableEncoding',
          'errored',
          'closed',
          'readableAborted',
          'readableDidRead',
          'bufferSize',
          'autoSelectFamilyAttemptedAddresses'
        ]) {
          if (name === 'bufferSize') log(name, socket.bufferSize);
          else look(log, socket, name);
        }
        log('ports', typeof socket.remotePort, typeof socket.localPort);
        log('address', Object.keys(socket.address()));
        log('handle', typeof socket._handle, socket._handle.fd > 2);
        log('paused', socket.isPaused());
        log('parser', socket.parser, typeof socket._httpMessage);
      }
    },
    {
      title: `what the setters of the socket return, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role);
        const socket = ws._socket;
        for (const [name, ...args] of [
          ['setNoDelay'],
          ['setNoDelay', false],
          ['setNoDelay', true],
          ['setKeepAlive', true, 1000],
          ['setKeepAlive', false],
          ['setTimeout', 0],
          ['ref'],
          ['unref'],
          ['ref'],
          ['setMaxListeners', 20],
          ['cork'],
          ['uncork'],
          ['pause'],
          ['resume'],
          ['setDefaultEncoding', 'utf8']
        ]) {
          log(name, socket[name](...args) === socket);
        }
        await peer.fence();
        log('state', ws.readyState);
      }
    },
    {
      title: `write() on the socket keeps the order with send(), ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role);
        const mask = role === 'client';
        ws.send('one', () => log('callback 1'));
        log(
          'write',
          ws._socket.write(frame(1, 'two', { mask }), () => log('callback 2'))
        );
        ws.send('three', () => log('callback 3'));
        ws._socket.write(
          frame(2, 'four', { mask }).toString('latin1'),
          'latin1'
        );
        ws.ping('five');
        ws._socket.write(new Uint8Array(frame(1, 'six', { mask })));
        ws.send('seven', () => log('callback 7'));
        await peer.until(7);
        await t.turn();
        peer.report(log);
      }
    },
    {
      title: `cork() and uncork() of the socket around sends, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role);
        ws._socket.cork();
        ws.send('one', () => log('callback 1'));
        ws.send('two', () => log('callback 2'));
        ws.ping('three');
        log('corked', ws._socket.writableCorked, ws.bufferedAmount);
        await t.turn(2);
        log('frames', peer.frames.length);
        ws._socket.uncork();
        log('uncorked', ws._socket.writableCorked, ws.bufferedAmount);
        await peer.until(3);
        await t.turn();
        peer.report(log);
      }
    },
    {
      title: `a cork until the next tick as in socket.io, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role);
        ws.on('message', (data) => {
          ws._socket.cork();
          process.nextTick(() => {
            log('uncork', ws.bufferedAmount);
            ws._socket.uncork();
          });
          ws.send(`a ${data}`);
          ws.send(`b ${data}`);
          log('amount', ws.bufferedAmount);
        });
        peer.write(peer.frame(1, '1'), peer.frame(1, '2'));
        await peer.until(4);
        peer.report(log);
      }
    },
    {
      title: `sendFrame() in order with send(), ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role);
        const mask = role === 'client';
        const make = (data) =>
          WebSocket.Sender.frame(data, { fin: true, opcode: 1, mask });
        ws.send('one', () => log('callback 1'));
        ws._sender.sendFrame(make(Buffer.from('two')), () => log('callback 2'));
        ws.send('three', () => log('callback 3'));
        ws._sender.sendFrame(make(''), () => log('callback 4'));
        ws._sender.sendFrame(make('f\u00efve'));
        ws._sender.sendFrame([Buffer.concat(make(Buffer.from('six')))]);
        ws.send('seven');
        await peer.until(7);
        await t.turn();
        peer.report(log);
      }
    },
    {
      title: `the counters of the socket after it closed, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role);
        const { bytesRead, bytesWritten } = ws._socket;
        peer.write(peer.frame(1, 'hello'));
        ws.send('world');
        await peer.until(1);
        peer.write(peer.closeFrame());
        await t.over(ws);
        log('read', ws._socket.bytesRead - bytesRead);
        log('written', ws._socket.bytesWritten - bytesWritten);
        log('state', ws._socket.readyState, ws._socket.destroyed);
        log('address', ws._socket.remoteAddress, ws._socket.localAddress);
        log('handle', ws._socket._handle);
        log('closed', ws._socket.closed, ws._socket.errored);
      }
    },
    {
      title: `the timeout of the socket counts the WebSocket's traffic, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role);
        let timeouts = 0;
        ws._socket.setTimeout(300, () => timeouts++);
        log('timeout', ws._socket.timeout);
        for (let i = 0; i < 6; i++) {
          await t.sleep(75);
          if (i % 2) peer.write(peer.frame(1, 'x'));
          else ws.send('x');
        }
        log('busy', timeouts);
        await t.once(ws._socket, 'timeout');
        log('idle', timeouts, ws.readyState);
        ws._socket.setTimeout(0);
        log('timeout', ws._socket.timeout);
      }
    },
    {
      title: `end() of the socket, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, {
          prepare: (ws) => t.watch(ws, log)
        });
        ws.send('before');
        ws._socket.end();
        log('state', ws.readyState, ws._socket.writable);
        await peer.ended;
        await t.over(ws);
        peer.report(log);
        log('events', ws._socket.writableFinished, ws._socket.readableEnded);
      }
    },
    {
      title: `end() of the socket with data, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, {
          prepare: (ws) => t.watch(ws, log)
        });
        ws.send('before');
        ws._socket.end(frame(1, 'last', { mask: role === 'client' }), () => {
          log('finished');
        });
        await t.over(ws);
        await peer.ended;
        peer.report(log);
      }
    },
    {
      title: `destroySoon() and resetAndDestroy() of the socket, ${role}`,
      async run(WebSocket, log, t) {
        for (const method of ['destroySoon', 'resetAndDestroy']) {
          const { ws, peer } = await t.end(role, {
            prepare: (ws) => t.watch(ws, log)
          });
          ws.send('before');
          if (method === 'resetAndDestroy') await peer.until(1);
          ws._socket[method]();
          log(method, ws.readyState, ws._socket.destroyed);
          await t.over(ws);
          await peer.closed;
          peer.report(log);
        }
      }
    },
    {
      title: `a data listener on the socket sees the bytes, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, {
          prepare: (ws) => t.watch(ws, log)
        });
        peer.write(peer.frame(1, 'before'));
        await peer.fence();
        //
        // Not the bytes: ws unmasks them where they lie, before this listener
        // gets them.
        //
        const seen = log.channel('bytes');
        ws._socket.on('data', (chunk) => seen('data', chunk.length));
        peer.write(peer.frame(1, 'a'), peer.frame(9, 'b'));
        await peer.until(1);
        peer.write(peer.frame(2, 'c'));
        await peer.fence();
        ws.send('d');
        await peer.until(2);
        peer.report(log);
      }
    },
    {
      title: `a data listener in the middle of a frame, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, {
          prepare: (ws) => t.watch(ws, log)
        });
        const bytes = peer.frame(1, 'a frame in two parts');
        const read = ws._socket.bytesRead;
        peer.write(peer.frame(1, 'a', { fin: false }), peer.frame(0, 'b'));
        peer.write(bytes.subarray(0, 12));
        await t.poll(
          () => ws._socket.bytesRead >= read + 26 - (role === 'client' ? 8 : 0)
        );
        await t.turn();
        let length = 0;
        ws._socket.on('data', (chunk) => (length += chunk.length));
        peer.write(bytes.subarray(12));
        await peer.fence();
        log('seen', length);
      }
    },
    {
      title: `unshift() and push() on the socket, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, {
          prepare: (ws) => t.watch(ws, log)
        });
        ws._socket.push(peer.frame(1, 'pushed'));
        ws._socket.unshift(peer.frame(1, 'unshifted'));
        await t.turn(2);
        peer.write(peer.frame(1, 'written'));
        await peer.fence();
      }
    },
    {
      title: `removing and adding the listeners of the socket, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, {
          prepare: (ws) => t.watch(ws, log)
        });
        const listeners = ws._socket.listeners('data');
        ws._socket.removeAllListeners('data');
        ws._socket.pause();
        const own = [];
        ws._socket.on('data', (chunk) => own.push(chunk));
        ws._socket.resume();
        const bytes = peer.frame(1, 'for the program alone');
        peer.write(bytes);
        await t.poll(() => own.length > 0);
        log('own', Buffer.concat(own).equals(bytes), listeners.length);
        ws._socket.removeAllListeners('data');
        for (const listener of listeners) ws._socket.on('data', listener);
        peer.write(peer.frame(1, 'for the WebSocket'));
        await peer.fence();
      }
    },
    {
      title: `pipe() from the socket, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, {
          prepare: (ws) => t.watch(ws, log)
        });
        const through = new PassThrough();
        let length = 0;
        through.on('data', (chunk) => (length += chunk.length));
        ws._socket.pipe(through);
        const bytes = peer.frame(1, 'piped');
        peer.write(bytes);
        await t.once(ws, 'message');
        await t.poll(() => length === bytes.length);
        ws._socket.unpipe(through);
        ws._socket.resume();
        peer.write(peer.frame(1, 'not piped'));
        await t.once(ws, 'message');
      }
    },
    {
      title: `events of the socket that a program listens to, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role);
        for (const event of [
          'close',
          'drain',
          'end',
          'error',
          'finish',
          'timeout',
          'pause',
          'resume'
        ]) {
          ws._socket.on(event, (...args) => log(event, ...args));
        }
        ws.on('close', () => log('ws close'));
        ws.pause();
        ws.resume();
        peer.write(peer.frame(1, 'a'));
        await peer.fence();
        peer.socket.end();
        await t.over(ws);
        await t.turn();
      }
    },
    {
      title: `a write that fails and the listeners of the socket, ${role}`,
      async run(WebSocket, log, t) {
        const { ws } = await t.end(role, {
          prepare: (ws) => t.watch(ws, log)
        });
        ws._socket.on('error', (err) => log('socket error', err));
        ws._socket.end();
        ws._socket.write('late', (err) => log('callback', err));
        await t.over(ws);
        await t.turn();
      }
    },
    {
      title: `own properties on the socket and _handle, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role);
        ws._socket.own = { id: 5 };
        const { fd } = ws._socket._handle;
        peer.write(peer.frame(1, 'a'));
        await peer.fence();
        log('own', ws._socket.own, ws._socket._handle.fd === fd);
        log('handle', ws._socket._handle.constructor.name);
        log('server', ws._socket.server && ws._socket.server.constructor.name);
      }
    },
    {
      title: `write() replaced on the socket, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role);
        const { write } = ws._socket;
        ws._socket.write = function (...args) {
          log('write', typeof args[0], args.length);
          return write.apply(this, args);
        };
        ws.send('one', () => log('callback'));
        ws.send(Buffer.from('two'));
        ws.ping('three');
        await peer.until(3);
        await t.turn();
        peer.report(log);
      }
    },
    {
      title: `a Duplex in the place of the socket, ${role}`,
      async run(WebSocket, log, t) {
        const [socket, other] = duplexPair();
        const ws = new WebSocket(null, undefined, { autoPong: true });
        ws._isServer = role === 'server';
        t.watch(ws, log);
        const mask = role === 'server';
        const bytes = [];
        other.on('data', (chunk) => bytes.push(chunk));
        ws.setSocket(socket, frame(1, 'head', { mask }), {
          maxPayload: 1000,
          generateMask: (key) => key.fill(1)
        });
        log('state', ws.readyState, ws._socket === socket);
        other.write(
          Buffer.concat([frame(1, 'a', { mask }), frame(9, 'b', { mask })])
        );
        await t.turn(2);
        ws.send('reply', (err) => log('callback', err, ws.bufferedAmount));
        ws.send(Buffer.from('data'), (err) => log('callback', err));
        await t.turn(2);
        other.write(frame(8, Buffer.from([3, 232]), { mask }));
        other.end();
        await t.over(ws);
        log('bytes', Buffer.concat(bytes));
      }
    },
    {
      title: `a Duplex that fails, ${role}`,
      async run(WebSocket, log, t) {
        const [socket] = duplexPair();
        const ws = t.watch(new WebSocket(null, undefined, {}), log);
        ws._isServer = role === 'server';
        ws.setSocket(socket, Buffer.alloc(0), {});
        socket.destroy(new Error('own'));
        ws.send('late', (err) => log('callback', err));
        await t.over(ws);
        await t.turn();
      }
    },
    {
      title: `a Duplex whose writes fail, ${role}`,
      async run(WebSocket, log, t) {
        const socket = new Duplex({
          read() {},
          write(chunk, encoding, callback) {
            callback(new Error('no writing'));
          }
        });
        const ws = t.watch(new WebSocket(null, undefined, {}), log);
        ws._isServer = role === 'server';
        ws.setSocket(socket, Buffer.alloc(0), {});
        ws.send('x', (err) => log('callback', err));
        ws.send('y', (err) => log('callback', err));
        await t.over(ws);
        await t.turn();
      }
    },
    {
      title: `a Duplex that applies backpressure, ${role}`,
      async run(WebSocket, log, t) {
        const pending = [];
        const socket = new Duplex({
          highWaterMark: 10,
          read() {},
          write(chunk, encoding, callback) {
            pending.push(callback);
          }
        });
        const ws = new WebSocket(null, undefined, {});
        ws._isServer = true;
        ws.setSocket(socket, Buffer.alloc(0), {});
        for (let i = 0; i < 3; i++) {
          ws.send(`message ${i}`, () => log('callback', i, ws.bufferedAmount));
          log('amount', ws.bufferedAmount, socket.writableNeedDrain);
        }
        while (pending.length) {
          pending.shift()();
          await t.turn();
        }
        log('amount', ws.bufferedAmount);
        ws.terminate();
        await t.over(ws);
      }
    },
    {
      title: `setSocket() with options and what becomes of them, ${role}`,
      async run(WebSocket, log, t) {
        const { ws } = await t.end(role, {
          options: {
            allowSynchronousEvents: false,
            maxBufferedChunks: 5,
            maxFragments: 6,
            maxPayload: 7,
            skipUTF8Validation: true
          }
        });
        for (const name of [
          '_allowSynchronousEvents',
          '_binaryType',
          '_isServer',
          '_maxBufferedChunks',
          '_maxFragments',
          '_maxPayload',
          '_skipUTF8Validation'
        ]) {
          log(name, ws._receiver[name]);
        }
        log('extensions', ws._receiver._extensions === ws._extensions);
        log('sender', ws._sender._extensions === ws._extensions);
      }
    }
  );
}

scenarios.push(
  {
    title: 'setSocket() with a net.Socket of the program',
    async run(WebSocket, log, t) {
      const accepted = new Promise((resolve) => (t.accept = resolve));
      const server = net.createServer((socket) => t.accept(socket));
      const port = await t.listen(server);
      const peer = await t.connect(port);
      peer.head = '';
      const socket = await accepted;
      const ws = t.watch(
        new WebSocket(null, undefined, { autoPong: true }),
        log
      );
      ws.setSocket(socket, Buffer.alloc(0), { maxPayload: 0 });
      log('same', ws._socket === socket, ws._isServer);
      peer.write(peer.frame(1, 'a'), peer.frame(9, 'b'));
      await peer.fence();
      ws.send('reply', (err) => log('callback', err));
      await peer.until(2);
      peer.write(peer.closeFrame(1000));
      await t.over(ws);
      peer.report(log);
    }
  },
  {
    title: 'setSocket() as a client',
    async run(WebSocket, log, t) {
      const accepted = new Promise((resolve) => (t.accept = resolve));
      const server = net.createServer((socket) => t.accept(socket));
      const port = await t.listen(server);
      const peer = await t.connect(port);
      peer.head = '';
      const socket = await accepted;
      const ws = t.watch(new WebSocket(null, undefined, {}), log);
      ws._isServer = false;
      ws.setSocket(socket, Buffer.alloc(0), {});
      peer.write(frame(1, 'a'), frame(9, 'b'));
      await t.once(ws, 'ping');
      ws.send('reply', (err) => log('callback', err));
      await peer.until(1);
      peer.write(frame(8, Buffer.from([3, 232])));
      await t.over(ws);
      peer.report(log);
    }
  },
  {
    title: 'setSocket() with extensions set by the program',
    async run(WebSocket, log, t) {
      const [socket, other] = duplexPair();
      const deflate = new WebSocket.PerMessageDeflate({
        isServer: true,
        threshold: 0
      });
      deflate.accept([{}]);
      const ws = t.watch(new WebSocket(null, undefined, {}), log);
      ws._extensions = { 'permessage-deflate': deflate };
      ws.setSocket(socket, Buffer.alloc(0), {});
      log('extensions', ws.extensions);
      other.write(frame(1, Buffer.from([0xaa, 0, 0]), { rsv: 4, mask: true }));
      await t.once(ws, 'message');
      const bytes = t.once(other, 'data');
      ws.send('x'.repeat(100));
      log('first byte', (await bytes)[0][0]);
      ws.terminate();
      await t.over(ws);
      log('cleaned', deflate._deflate, deflate._inflate);
    }
  },
  {
    title: 'setSocket() with a TLS-like socket without setTimeout',
    async run(WebSocket, log, t) {
      const [socket] = duplexPair();
      const calls = [];
      socket.setTimeout = (...args) => calls.push('setTimeout', ...args);
      socket.setNoDelay = (...args) => calls.push('setNoDelay', ...args);
      const ws = new WebSocket(null, undefined, {});
      ws.setSocket(socket, Buffer.alloc(0), {});
      log('calls', calls);
      ws.terminate();
      await t.over(ws);
    }
  },
  {
    title: 'setSocket() with options that are missing',
    async run(WebSocket, log) {
      const [socket] = duplexPair();
      const ws = new WebSocket(null, undefined, {});
      for (const args of [
        [],
        [socket],
        [socket, Buffer.alloc(0)],
        [socket, undefined, {}]
      ]) {
        try {
          ws.setSocket(...args);
          log('no error');
        } catch (err) {
          log('error', err.constructor.name);
        }
      }
    }
  },
  {
    title: 'a socket that is looked at after the connection was closed',
    async run(WebSocket, log, t) {
      const wss = await t.server();
      await t.turn(2);
      const closed = new Promise((resolve) => {
        wss.on('connection', (ws) => ws.on('close', () => resolve(ws)));
      });
      const connected = t.once(wss, 'connection');
      const peer = await t.connect(wss.address().port);
      peer.write(t.request());
      await connected;
      peer.write(peer.closeFrame());
      await peer.until(1);
      peer.socket.end();
      const ws = await closed;
      const { _receiver, _socket } = ws;
      for (const name of [
        'allowHalfOpen',
        'closed',
        'connecting',
        'destroyed',
        'errored',
        'pending',
        'readable',
        'readableAborted',
        'readableEnded',
        'readableFlowing',
        'readyState',
        'timeout',
        'writable',
        'writableEnded',
        'writableFinished'
      ]) {
        log(name, _socket[name]);
      }
      log('server', _socket.server === wss._server);
      log('finished', _socket._writableState.finished);
      log('errors', _socket.listenerCount('error'));
      log('receiver', _receiver.writableFinished, _receiver.destroyed);
      log('receiver', _receiver.eventNames());
      _socket.on('close', () => log('close'));
      _socket.end((err) => log('end', err));
      _socket.write('late', (err) => log('write', err));
      await t.turn(3);
    }
  },
  {
    title: 'Sender.frame() replaced',
    async run(WebSocket, log, t) {
      const { frame } = WebSocket.Sender;
      WebSocket.Sender.frame = (...args) => {
        log('frame', args[1].opcode);
        return frame(...args);
      };
      const { server, client } = await t.pair();
      for (const ws of [server, client]) {
        const received = t.once(ws === server ? client : server, 'message');
        ws.ping('p');
        ws.send('text');
        await received;
      }
      WebSocket.Sender.frame = frame;
      server.send('unseen');
      await t.once(client, 'message');
    }
  },
  {
    title: 'emitClose() before the connection is closed',
    async run(WebSocket, log, t) {
      const wss = await t.server();
      await t.turn(2);
      const connected = t.once(wss, 'connection');
      const peer = await t.connect(wss.address().port);
      peer.write(t.request());
      const [ws] = await connected;
      for (const event of ['message', 'ping', 'close']) {
        ws.on(event, (...args) => log(event, ...args));
      }
      ws.once('message', () => ws.emitClose());
      peer.write(peer.frame(1, 'a'), peer.frame(1, 'b'));
      await t.turn(3);
      peer.write(peer.frame(1, 'c'), peer.frame(9, 'd'));
      await t.turn(3);
      log('state', ws.readyState, wss.clients.size);
    }
  },
  {
    title: 'the socket in the events of a server is the same object',
    async run(WebSocket, log, t) {
      const wss = await t.server();
      const sockets = [];
      wss._server.on('connection', (socket) => sockets.push(socket));
      wss._server.on('upgrade', (req, socket) => {
        sockets.push(socket, req.socket);
      });
      const connected = new Promise((resolve) => {
        wss.on('connection', (ws, req) => {
          sockets.push(ws._socket, req.socket, ws._sender._socket);
          ws.on('close', () => {
            sockets.push(ws._socket);
            resolve();
          });
          ws.on('message', () => {
            sockets.push(ws._socket);
            ws.close();
          });
        });
      });
      const peer = await t.connect(wss.address().port);
      peer.write(t.request(), peer.frame(1, 'a'));
      await peer.until(1);
      peer.write(peer.closeFrame());
      await connected;
      log('same', sockets.length, new Set(sockets).size);
    }
  }
);

module.exports = scenarios;
