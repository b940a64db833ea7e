'use strict';

const http = require('http');
const net = require('net');
const path = require('path');

/**
 * Logs the events of a server.
 *
 * @param {Function} log The log
 * @param {WebSocketServer} wss The server
 * @return {WebSocketServer} The same server
 */
function watch(log, wss) {
  for (const event of ['listening', 'error', 'close', 'wsClientError']) {
    wss.on(event, (...args) => log(event, ...args.slice(0, 1), wss._state));
  }
  wss.on('connection', (ws, req) => log('connection', req.url));
  return wss;
}

/**
 * Opens raw connections to a server.
 *
 * @param {Object} t The toolbox
 * @param {(Number|String)} port Where to
 * @param {Number} count How many
 * @return {Promise<Peer[]>} The peers
 */
async function dial(t, port, count) {
  const peers = [];
  for (let i = 0; i < count; i++) {
    const peer = await t.connect(port);
    peer.write(t.request());
    await peer.upgraded();
    peers.push(peer);
  }
  return peers;
}

/**
 * Makes a server in one of the modes, with what listens for it.
 *
 * @param {Object} t The toolbox
 * @param {String} mode `'port'`, `'server'` or `'noServer'`
 * @param {Object} [options] Further options
 * @return {Promise<Object>} The WebSocketServer and the port
 */
async function make(t, mode, options) {
  if (mode === 'port') {
    const wss = await t.server(options);
    return { wss, port: wss.address().port, server: wss._server };
  }
  const { server, port } = await t.httpServer();
  const wss = new t.WebSocket.Server({
    ...(mode === 'server' ? { server } : { noServer: true }),
    ...options
  });
  if (mode === 'noServer') {
    server.on('upgrade', (req, socket, head) => {
      wss.handleUpgrade(req, socket, head, (ws) => {
        wss.emit('connection', ws, req);
      });
    });
  }
  return { wss, port, server };
}

const MODES = ['port', 'server', 'noServer'];
const scenarios = [];

for (const mode of MODES) {
  for (const clientTracking of [true, false]) {
    scenarios.push(
      {
        title: `close() without clients, ${mode}, clientTracking ${clientTracking}`,
        async run(WebSocket, log, t) {
          const { wss } = await make(t, mode, { clientTracking });
          watch(log, wss);
          let returned = false;
          const closed = new Promise((resolve) => {
            wss.close((...args) => {
              log('callback', returned, ...args);
              resolve();
            });
          });
          returned = true;
          log('state', wss._state, wss._server);
          process.nextTick(() => log('tick'));
          await closed;
          log('state', wss._state);
        }
      },
      {
        title: `close() with clients, ${mode}, clientTracking ${clientTracking}`,
        async run(WebSocket, log, t) {
          const { wss, port } = await make(t, mode, { clientTracking });
          watch(log, wss);
          const sockets = [];
          wss.on('connection', (ws) => sockets.push(ws));
          const peers = await dial(t, port, 2);
          log('clients', wss.clients && wss.clients.size);
          const closed = new Promise((resolve) => {
            wss.close((...args) => {
              log('callback', ...args);
              resolve();
            });
          });
          await t.turn(3);
          log(
            'state',
            wss._state,
            sockets.map((ws) => ws.readyState)
          );
          sockets[0].send('still open');
          await peers[0].until(1);
          peers[0].report(log);
          for (const ws of sockets) {
            ws.terminate();
            await t.over(ws);
          }
          await closed;
          log('clients', wss.clients && wss.clients.size, wss._state);
        }
      }
    );
  }

  scenarios.push(
    {
      title: `close() many times, ${mode}`,
      async run(WebSocket, log, t) {
        const { wss } = await make(t, mode);
        watch(log, wss);
        const results = [];
        for (let i = 0; i < 3; i++) {
          results.push(
            new Promise((resolve) => {
              log(
                'returned',
                wss.close((err) => {
                  log(`callback ${i}`, err);
                  resolve();
                })
              );
            })
          );
        }
        await Promise.all(results);
        log('state', wss._state);
        await new Promise((resolve) => {
          wss.close((err) => {
            log('late callback', err);
            resolve();
          });
        });
        wss.close();
        await t.turn(2);
      }
    },
    {
      title: `clients that come and go, ${mode}`,
      async run(WebSocket, log, t) {
        const { wss, port } = await make(t, mode);
        wss.on('connection', (ws) => {
          log('connection', wss.clients.has(ws), wss.clients.size);
          ws.on('close', (code) => {
            log('close', code, wss.clients.has(ws), wss.clients.size);
          });
        });
        const peers = await dial(t, port, 3);
        log('type', wss.clients instanceof Set, wss.clients.size);
        for (const peer of peers) {
          const size = wss.clients.size;
          peer.write(peer.closeFrame(1000));
          await t.poll(() => wss.clients.size < size);
        }
        log('left', wss.clients.size);
      }
    },
    {
      title: `close() and then the clients one by one, ${mode}`,
      async run(WebSocket, log, t) {
        const { wss, port } = await make(t, mode);
        watch(log, wss);
        const peers = await dial(t, port, 2);
        const closed = t.once(wss, 'close');
        wss.close();
        for (const peer of peers) {
          peer.write(peer.closeFrame(1000));
          await peer.closed;
          log('closed', wss.clients.size);
        }
        await closed;
      }
    },
    {
      title: `an upgrade while the server is closing, ${mode}`,
      async run(WebSocket, log, t) {
        const { wss, port } = await make(t, mode);
        watch(log, wss);
        const late = await t.connect(port);
        const [peer] = await dial(t, port, 1);
        await t.turn(2);
        wss.close();
        late.write(t.request());
        if (mode === 'noServer') {
          const head = await late.upgraded();
          log('answer', head, late.bytes);
        }
        const closed = t.once(wss, 'close');
        peer.socket.destroy();
        late.socket.destroy();
        await closed;
      }
    },
    {
      title: `close() in the connection handler, ${mode}`,
      async run(WebSocket, log, t) {
        const { wss, port } = await make(t, mode);
        watch(log, wss);
        wss.on('connection', (ws) => {
          wss.close(() => log('callback'));
          ws.terminate();
        });
        const closed = t.once(wss, 'close');
        const peer = await t.connect(port);
        peer.write(t.request());
        await closed;
      }
    },
    {
      title: `handleUpgrade() twice with the same socket, ${mode}`,
      async run(WebSocket, log, t) {
        t.onUncaught = (err, origin) => log(origin, err);
        const { wss, port, server } = await make(t, mode);
        const seen = new Promise((resolve) => {
          wss.on('connection', (ws, req) => {
            t.attempt(log, 'again', () => {
              wss.handleUpgrade(req, ws._socket, Buffer.alloc(0), () => {
                log('never');
              });
            });
            resolve();
          });
        });
        const peer = await t.connect(port);
        peer.write(t.request());
        await seen;
        log('clients', wss.clients.size, server.listenerCount('upgrade'));
        await peer.fence();
      }
    },
    {
      title: `address(), ${mode}`,
      async run(WebSocket, log, t) {
        const { wss } = await make(t, mode);
        t.attempt(log, 'address', () => {
          const address = wss.address();
          return { ...address, port: typeof address.port };
        });
        wss.close();
        t.attempt(log, 'closed', () => wss.address());
        await t.once(wss, 'close');
        t.attempt(log, 'closed', () => wss.address());
      }
    }
  );
}

scenarios.push(
  {
    title: 'address() before the server listens',
    async run(WebSocket, log, t) {
      const wss = new WebSocket.Server({ port: 0, host: '127.0.0.1' });
      log('not yet', wss.address(), wss._server.listening);
      await t.once(wss, 'listening');
      log('now', typeof wss.address().port);
      await new Promise((resolve) => wss.close(resolve));
    }
  },
  {
    title: 'the listening event and the callback of the constructor',
    async run(WebSocket, log, t) {
      const wss = new WebSocket.Server(
        { port: 0, host: '127.0.0.1' },
        function (...args) {
          log('callback', args.length, this === wss._server);
        }
      );
      wss.on('listening', () => log('listening'));
      process.nextTick(() => log('tick'));
      setImmediate(() => log('immediate'));
      await t.once(wss, 'listening');
      await t.turn();
      await new Promise((resolve) => wss.close(resolve));
    }
  },
  {
    title: 'the callback of the constructor with a server of the user',
    async run(WebSocket, log, t) {
      const server = http.createServer();
      const wss = new WebSocket.Server({ server }, () => log('never'));
      watch(log, wss);
      await t.listen(server);
      await t.turn(2);
      wss.close();
      log('listeners', server.listenerCount('upgrade'), server.listening);
    }
  },
  {
    title: 'a port that is in use',
    async run(WebSocket, log, t) {
      const server = net.createServer();
      const port = await t.listen(server);
      const wss = new WebSocket.Server({ port, host: '127.0.0.1' }, () => {
        log('never');
      });
      watch(log, wss);
      const [err] = await t.once(wss, 'error');
      log('error', err.code, err.syscall, err.address, err.port === port);
      log('address', wss.address(), wss._server.listening);
      await new Promise((resolve) => {
        wss.close((failure) => {
          log('closed', failure, wss._state);
          resolve();
        });
      });
    }
  },
  {
    title: 'a port that is in use without error listener',
    async run(WebSocket, log, t) {
      t.onUncaught = (err, origin) => log(origin, err.code);
      const server = net.createServer();
      const port = await t.listen(server);
      const wss = new WebSocket.Server({ port, host: '127.0.0.1' });
      await t.once(process, 'uncaughtException');
      log('state', wss._state);
    }
  },
  {
    title: 'a host that can not be bound',
    async run(WebSocket, log, t) {
      const wss = new WebSocket.Server({ port: 0, host: '192.0.2.1' });
      const [err] = await t.once(wss, 'error');
      log('error', err.code, err.syscall, err.address);
    }
  },
  {
    title: 'errors of the server of the user',
    async run(WebSocket, log) {
      const server = http.createServer();
      const wss = watch(log, new WebSocket.Server({ server }));
      server.emit('error', new Error('own'));
      server.emit('listening');
      wss.close();
      server.on('error', (err) => log('left to the server', err));
      server.emit('error', new Error('after close'));
    }
  },
  {
    title: 'the options host and backlog',
    async run(WebSocket, log, t) {
      for (const options of [
        { host: '127.0.0.1' },
        { host: 'localhost' },
        { host: '127.0.0.1', backlog: 1 },
        { host: '::1' },
        {}
      ]) {
        const wss = new WebSocket.Server({ port: 0, ...options });
        const event = await Promise.race([
          t.once(wss, 'listening').then(() => 'listening'),
          t.once(wss, 'error').then(([err]) => err.code)
        ]);
        const address = wss.address();
        log(event, address && [address.address, address.family]);
        await new Promise((resolve) => wss.close(resolve));
      }
    }
  },
  {
    title: 'the option port as a text and as a path',
    async run(WebSocket, log, t) {
      const file = path.join(t.folder(), 'port.sock');
      const wss = new WebSocket.Server({ port: file });
      await t.once(wss, 'listening');
      log('address', wss.address());
      const peer = await t.connect(file);
      wss.on('connection', (ws, req) => {
        log('connection', req.socket.remoteAddress, req.socket.remoteFamily);
        ws.on('message', (data) => ws.send(`echo ${data}`));
      });
      peer.write(t.request(), peer.frame(1, 'over unix'));
      await peer.until(1);
      peer.report(log);
      wss.close();
      peer.socket.destroy();
      await t.once(wss, 'close');
    }
  },
  {
    title: 'a server of the user on a Unix socket',
    async run(WebSocket, log, t) {
      const file = path.join(t.folder(), 'own.sock');
      const server = http.createServer();
      const wss = new WebSocket.Server({ server });
      await t.listen(server, file);
      log('address', wss.address());
      wss.on('connection', (ws) => {
        t.watch(ws, log);
        log('socket', [
          ws._socket instanceof net.Socket,
          ws._socket.remoteAddress,
          ws._socket.localAddress,
          ws._socket.remotePort
        ]);
        ws.send('hello');
      });
      const [peer] = await dial(t, file, 1);
      peer.write(peer.frame(1, 'a'), peer.frame(2, Buffer.alloc(70000)));
      await peer.fence();
      peer.write(peer.closeFrame(1000, 'bye'));
      await peer.closed;
      peer.report(log);
    }
  },
  {
    title: 'two servers for one HTTP server with different paths',
    async run(WebSocket, log, t) {
      const { server, port } = await t.httpServer();
      const one = new WebSocket.Server({ noServer: true, path: '/one' });
      const two = new WebSocket.Server({ noServer: true });
      server.on('upgrade', (req, socket, head) => {
        const wss = req.url === '/one' ? one : two;
        wss.handleUpgrade(req, socket, head, (ws, request) => {
          log('callback', wss === one, request === req);
          wss.emit('connection', ws, req);
        });
      });
      one.on('connection', () => log('one'));
      two.on('connection', () => log('two'));
      for (const url of ['/one', '/two']) {
        const peer = await t.connect(port);
        peer.write(t.request({ line: `GET ${url} HTTP/1.1` }));
        await peer.upgraded();
      }
      log('clients', one.clients.size, two.clients.size);
    }
  },
  {
    title: 'two servers that both handle the upgrades of one HTTP server',
    async run(WebSocket, log, t) {
      t.onUncaught = (err, origin) => log(origin, err);
      const { server, port } = await t.httpServer();
      const one = new WebSocket.Server({ server });
      const two = new WebSocket.Server({ server, path: '/two' });
      one.on('connection', () => log('one'));
      two.on('connection', () => log('two'));
      const peer = await t.connect(port);
      peer.write(t.request());
      await t.once(one, 'connection');
      await peer.closed;
      log('answer', peer.head && peer.head.split('\r\n')[0]);
    }
  },
  {
    title: 'handleUpgrade() calls back synchronously',
    async run(WebSocket, log, t) {
      const { server, port } = await t.httpServer();
      const wss = new WebSocket.Server({ noServer: true });
      const done = new Promise((resolve) => {
        server.on('upgrade', (req, socket, head) => {
          let called = false;
          const result = wss.handleUpgrade(req, socket, head, (ws, ...rest) => {
            called = true;
            log('callback', rest.length, rest[0] === req, ws.readyState);
            log('socket', ws._socket === socket, wss.clients.has(ws));
          });
          log('returned', called, result, head);
          resolve();
        });
      });
      const peer = await t.connect(port);
      peer.write(t.request(), peer.frame(1, 'head'));
      await done;
    }
  },
  {
    title: 'handleUpgrade() after the event with bytes that came meanwhile',
    async run(WebSocket, log, t) {
      const { server, port } = await t.httpServer();
      const wss = new WebSocket.Server({ noServer: true });
      server.on('upgrade', async (req, socket, head) => {
        log('head', head);
        await t.poll(() => socket.bytesRead > req.socket.own);
        await t.turn(2);
        wss.handleUpgrade(req, socket, head, (ws) => {
          t.watch(ws, log);
          log('callback');
        });
      });
      server.on('connection', (socket) => (socket.own = 250));
      const peer = await t.connect(port);
      peer.write(t.request(), peer.frame(1, 'head'));
      await t.turn(3);
      peer.write(peer.frame(1, 'x'.repeat(300)), peer.frame(9, 'ping'));
      await peer.until(1);
      peer.write(peer.frame(1, 'last'));
      await peer.fence();
      peer.report(log);
    }
  },
  {
    title: 'handleUpgrade() with a socket that the peer has ended',
    async run(WebSocket, log, t) {
      const { server, port } = await t.httpServer();
      const wss = new WebSocket.Server({ noServer: true });
      const closed = new Promise((resolve) => {
        server.on('upgrade', async (req, socket, head) => {
          socket.on('close', resolve);
          socket.resume();
          await t.once(socket, 'end');
          wss.handleUpgrade(req, socket, head, () => log('never'));
          log('state', socket.destroyed, wss.clients.size);
        });
      });
      const peer = await t.connect(port);
      peer.write(t.request());
      peer.socket.end();
      await closed;
      await peer.closed;
      log('answer', peer.head);
    }
  },
  {
    title: 'handleUpgrade() with a socket that was destroyed',
    async run(WebSocket, log, t) {
      const { server, port } = await t.httpServer();
      const wss = new WebSocket.Server({ noServer: true });
      const done = new Promise((resolve) => {
        server.on('upgrade', (req, socket, head) => {
          socket.destroy();
          t.attempt(log, 'handleUpgrade', () => {
            return wss.handleUpgrade(req, socket, head, () => log('never'));
          });
          resolve();
        });
      });
      const peer = await t.connect(port);
      peer.write(t.request());
      await done;
      await peer.closed;
    }
  },
  {
    title: 'verifyClient that calls back when the socket is gone',
    async run(WebSocket, log, t) {
      let callback;
      const asked = new Promise((resolve) => {
        t.asked = resolve;
      });
      const wss = await t.server({
        verifyClient(info, done) {
          callback = done;
          t.asked(info.req.socket);
        }
      });
      wss.on('connection', () => log('never'));
      const peer = await t.connect(wss.address().port);
      peer.write(t.request());
      const socket = await asked;
      const closed = t.once(socket, 'close');
      peer.socket.resetAndDestroy();
      socket.resume();
      await closed;
      t.attempt(log, 'accept', () => callback(true));
      await t.turn(2);
      log('clients', wss.clients.size);
    }
  },
  {
    title: 'verifyClient that calls back when the server is closed',
    async run(WebSocket, log, t) {
      let callback;
      const asked = new Promise((resolve) => {
        t.asked = resolve;
      });
      const wss = await t.server({
        verifyClient(info, done) {
          callback = done;
          t.asked();
        }
      });
      const peer = await t.connect(wss.address().port);
      peer.write(t.request());
      await asked;
      wss.close();
      callback(true);
      await peer.closed;
      log('answer', peer.head, peer.bytes);
    }
  },
  {
    title: 'an error of the socket while verifyClient is waiting',
    async run(WebSocket, log, t) {
      const asked = new Promise((resolve) => (t.asked = resolve));
      const wss = await t.server({
        verifyClient: (info, done) => t.asked([info, done])
      });
      const peer = await t.connect(wss.address().port);
      peer.write(t.request());
      const [info, done] = await asked;
      info.req.socket.emit('error', new Error('own'));
      log('destroyed', info.req.socket.destroyed);
      done(true);
      await peer.closed;
      log('clients', wss.clients.size);
    }
  },
  {
    title: 'the events of a server as an EventEmitter',
    async run(WebSocket, log, t) {
      const wss = await t.server();
      log('names', wss.eventNames());
      for (const event of ['upgrade', 'error', 'listening', 'connection']) {
        log(event, wss._server.listenerCount(event));
      }
      const own = new Promise((resolve) => {
        wss.emit = function (event, ...args) {
          log('emit', event, args.length);
          if (event === 'connection') resolve();
          return Object.getPrototypeOf(this).emit.call(this, event, ...args);
        };
      });
      const peer = await t.connect(wss.address().port);
      peer.write(t.request());
      await Promise.race([own, peer.upgraded()]);
      await t.turn();
    }
  },
  {
    title: 'a server without clientTracking forgets its clients',
    async run(WebSocket, log, t) {
      const wss = await t.server({ clientTracking: false });
      const connected = t.once(wss, 'connection');
      const [peer] = await dial(t, wss.address().port, 1);
      const [ws] = await connected;
      log('clients', wss.clients, ws.listenerCount('close'));
      peer.socket.destroy();
      await t.over(ws);
    }
  },
  {
    title: 'the option WebSocket',
    async run(WebSocket, log, t) {
      class Own extends WebSocket {
        constructor(...args) {
          super(...args);
          log('constructed', args[0], args[1], Object.keys(args[2]).length);
        }
        greet() {
          this.send('hello');
        }
      }
      const wss = await t.server({ WebSocket: Own });
      wss.on('connection', (ws) => ws.greet());
      const [peer] = await dial(t, wss.address().port, 1);
      await peer.until(1);
      peer.report(log);
    }
  },
  {
    title: 'broadcasting to all clients',
    async run(WebSocket, log, t) {
      const wss = await t.server();
      const peers = await dial(t, wss.address().port, 10);
      const data = Buffer.from('broadcast');
      const callbacks = [];
      for (const ws of wss.clients) {
        ws.send(data, { binary: true }, (err) => callbacks.push(err));
        ws.send('the same text');
        ws.ping('the same text');
        ws.send('the same text', { binary: true });
        ws.send('another text');
        ws.send('');
        ws.pong('');
      }
      await Promise.all(peers.map((peer) => peer.until(7)));
      for (const peer of peers) peer.report(log);
      await t.turn();
      log('callbacks', callbacks);
    }
  },
  {
    title: 'broadcasting with Sender.frame() and sendFrame()',
    async run(WebSocket, log, t) {
      const wss = await t.server();
      const peers = await dial(t, wss.address().port, 3);
      const list = WebSocket.Sender.frame(Buffer.from('prepared'), {
        readOnly: false,
        mask: false,
        rsv1: false,
        opcode: 1,
        fin: true
      });
      for (const ws of wss.clients) {
        ws.send('before');
        ws._sender.sendFrame(list, (err) => log('callback', err));
        ws.send('after');
        ws._sender.sendFrame(list);
      }
      await Promise.all(peers.map((peer) => peer.until(4)));
      for (const peer of peers) peer.report(log);
    }
  }
);

scenarios.push({
  title: 'bytesRead of a socket whose protocol is chosen by the program',
  async run(WebSocket, log, t) {
    const wss = await t.server({
      handleProtocols(protocols, req) {
        log('read', req.socket.bytesRead);
        return 'a';
      }
    });
    const connected = t.once(wss, 'connection');
    const peer = await t.connect(wss.address().port);
    peer.write(t.request({ headers: { 'Sec-WebSocket-Protocol': 'a' } }));
    const [ws, req] = await connected;
    log('read', req.socket.bytesRead);
    peer.write(peer.frame(1, 'text'));
    await t.once(ws, 'message');
    log('read', ws._socket.bytesRead);
    ws.on('close', () => log('read', req.socket.bytesRead));
    peer.write(peer.closeFrame());
    await t.over(ws);
  }
});

for (const [name, value] of [
  ['highWaterMark', 1234],
  ['joinDuplicateHeaders', true],
  ['keepAlive', true],
  ['maxHeaderSize', 9000],
  ['noDelay', false]
]) {
  scenarios.push({
    title: `${name} of the HTTP server that is set later`,
    async run(WebSocket, log, t) {
      const wss = await t.server();
      wss._server[name] = value;
      const connected = t.once(wss, 'connection');
      const peer = await t.connect(wss.address().port);
      const request = `${t.request()}`.replace(
        '\r\n\r\n',
        '\r\nAge: 1\r\nAge: 2\r\n\r\n'
      );
      peer.write(request);
      const [ws, req] = await connected;
      log('age', req.headers.age, req.joinDuplicateHeaders);
      log('marks', ws._socket.readableHighWaterMark);
      log('marks', ws._socket.writableHighWaterMark);
    }
  });
}

//
// What keeps a connection out. Some of it is known to newer versions of Node.js only.
//
for (const [name, change] of [
  ['maxHeaderSize', (server) => (server.maxHeaderSize = 100)],
  ['shouldUpgradeCallback', (it) => (it.shouldUpgradeCallback = () => false)],
  [
    'blockList',
    (server) => {
      server.blockList = new net.BlockList();
      server.blockList.addAddress('127.0.0.1');
    }
  ],
  [
    'onconnection of its handle',
    (server) => (server._handle.onconnection = (err, handle) => handle.close())
  ]
]) {
  scenarios.push({
    title: `a client that is kept out by a later ${name} of the HTTP server`,
    async run(WebSocket, log, t) {
      const wss = await t.server();
      wss.on('connection', () => log('connection'));
      await t.turn(3);
      change(wss._server);
      const peer = await t.connect(wss.address().port);
      peer.write(t.request());
      await peer.when(() => peer.head !== null);
      log('answer', `${peer.head}`.split('\r\n')[0]);
    }
  });
}

module.exports = scenarios;
