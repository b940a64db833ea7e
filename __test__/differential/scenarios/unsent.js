'use strict';

const fs = require('fs');
const http = require('http');
const net = require('net');
const { AsyncLocalStorage } = require('async_hooks');

const MEGABYTE = 1024 * 1024;

const scenarios = [];

for (const role of ['server', 'client']) {
  scenarios.push(
    {
      title: `the context of callbacks that wait for the kernel, ${role}`,
      async run(WebSocket, log, t) {
        const als = new AsyncLocalStorage();
        const { ws, peer } = await t.end(role);
        let callbacks = 0;
        const callback = (name) => () => {
          callbacks++;
          log(name, als.getStore());
        };
        peer.socket.pause();
        als.run('small', () => ws.send('small', callback('small')));
        als.run('big', () => {
          ws.send(Buffer.alloc(16 * MEGABYTE), callback('big'));
        });
        als.run('behind', () => ws.send('behind', callback('behind')));
        als.run('ping', () => ws.ping('ping', undefined, callback('ping')));
        als.run('raw', () => ws._socket.write('raw', callback('raw')));
        await t.turn(3);
        peer.socket.resume();
        await t.poll(() => callbacks === 5);
      }
    },
    {
      title: `the context of many callbacks that wait, ${role}`,
      async run(WebSocket, log, t) {
        const als = new AsyncLocalStorage();
        const { ws, peer } = await t.end(role);
        const stores = new Set();
        let callbacks = 0;
        peer.socket.pause();
        als.run('all', () => {
          for (let i = 0; i < 800; i++) {
            ws.send('x'.repeat(20000), () => {
              callbacks++;
              stores.add(als.getStore());
            });
          }
        });
        await t.turn(3);
        log('waiting', callbacks < 800, ws.bufferedAmount > 0);
        peer.socket.resume();
        await t.poll(() => callbacks === 800);
        log('stores', [...stores]);
      }
    },
    {
      title: `the context of callbacks of what is terminated, ${role}`,
      async run(WebSocket, log, t) {
        const als = new AsyncLocalStorage();
        const { ws, peer } = await t.end(role);
        peer.socket.pause();
        als.run('big', () => {
          ws.send(Buffer.alloc(16 * MEGABYTE), () => log(als.getStore()));
          ws.send('behind', () => log(als.getStore()));
        });
        await t.turn(3);
        ws.terminate();
        await t.over(ws);
      }
    },
    {
      title: `the context of callbacks of a socket that spills, ${role}`,
      async run(WebSocket, log, t) {
        const als = new AsyncLocalStorage();
        const { ws, peer } = await t.end(role);
        let callbacks = 0;
        const callback = () => {
          callbacks++;
          log(als.getStore());
        };
        peer.socket.pause();
        als.run('big', () => {
          ws.send(Buffer.alloc(16 * MEGABYTE), callback);
          ws.send('behind', callback);
        });
        await t.turn(3);
        ws._socket.on('data', () => {});
        await t.turn(3);
        peer.socket.resume();
        await t.poll(() => callbacks === 2);
      }
    },
    {
      title: `bufferedAmount of texts that fill the socket in a tick, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role);
        //
        // A stream counts the code units of what is not masked.
        //
        for (const text of ['x'.repeat(12000), '\xe9'.repeat(6000)]) {
          const size =
            role === 'server' ? 4 + text.length : 8 + Buffer.byteLength(text);
          let callbacks = 0;
          peer.socket.pause();
          for (let i = 0; i < 1200; i++) ws.send(text, () => callbacks++);
          log('amount', ws.bufferedAmount > 0, ws.bufferedAmount % size);
          log('full', ws._socket.writableNeedDrain);
          await t.turn(3);
          log('amount', ws.bufferedAmount > 0, ws.bufferedAmount % size);
          peer.socket.resume();
          await t.poll(() => callbacks === 1200);
          log('amount', ws.bufferedAmount, ws._socket.writableNeedDrain);
          await peer.fence();
        }
        log('frames', peer.frames.length);
        const { payload } = peer.frames[2399];
        log(
          'last',
          payload.length,
          payload.equals(Buffer.from('\xe9'.repeat(6000)))
        );
      }
    },
    {
      title: `writing to the socket behind frames that fill it, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role);
        const mask = role === 'client' ? 4 : 0;
        const order = [];
        peer.socket.pause();
        for (let i = 0; i < 800; i++) {
          ws.send(Buffer.alloc(20000), () => order.push(i));
        }
        const raw = peer.frame(9, 'raw', { mask: role === 'client' });
        log(
          'write',
          ws._socket.write(raw, () => order.push('raw'))
        );
        ws.send('behind', () => order.push('behind'));
        log(
          'amount',
          ws.bufferedAmount > MEGABYTE,
          (ws.bufferedAmount - raw.length - 8 - mask) % (20004 + mask)
        );
        await t.turn(3);
        peer.socket.resume();
        await t.poll(() => order.length === 802);
        log('order', order.slice(798), ws.bufferedAmount);
        await peer.until(802);
        log('frames', peer.frames[800].opcode, peer.frames[801].payload);
      }
    },
    {
      title: `bytesWritten of a socket that spills while it is full, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role);
        const before = ws._socket.bytesWritten;
        let callbacks = 0;
        peer.socket.pause();
        ws.send(Buffer.alloc(16 * MEGABYTE), () => callbacks++);
        ws.send('behind', () => callbacks++);
        log('written', ws._socket.bytesWritten - before);
        await t.turn(3);
        ws._socket.on('data', () => {});
        log('written', ws._socket.bytesWritten - before);
        await t.turn(3);
        peer.socket.resume();
        await t.poll(() => callbacks === 2);
        log('written', ws._socket.bytesWritten - before);
      }
    },
    {
      title: `the context of callbacks of frames that can't be sent, ${role}`,
      async run(WebSocket, log, t) {
        const als = new AsyncLocalStorage();
        for (const way of ['tick', 'look', 'message']) {
          const { ws, peer } = await t.end(role);
          const send = () => {
            peer.socket.resetAndDestroy();
            als.run('a', () => ws.send('a', () => log('a', als.getStore())));
            als.run('b', () => ws.send('b', () => log('b', als.getStore())));
            if (way === 'look') log('amount', ws.bufferedAmount);
          };
          if (way === 'message') {
            ws.on('message', send);
            peer.write(peer.frame(1, 'go'));
          } else {
            send();
          }
          await t.over(ws);
        }
      }
    },
    {
      title: `a reset while the connection is full and paused, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role);
        const callback = (name) => (err) => log(name, err);
        peer.socket.pause();
        ws.pause();
        ws.send(Buffer.alloc(16 * MEGABYTE), callback('big'));
        ws.send('behind', callback('behind'));
        ws.send('more', (err) => {
          log('more', err);
          if (ws.readyState === 1) ws.send('nested', callback('nested'));
        });
        ws.send('last', callback('last'));
        await t.turn(3);
        peer.socket.resetAndDestroy();
        await t.over(ws);
      }
    },
    ...['data', 'readable'].map((event) => ({
      title: `a paused socket with a listener for '${event}' and an end, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, {
          prepare: (ws) => ws.on('close', (code) => log('close', code))
        });
        ws.pause();
        ws._socket.on(event, () => {});
        peer.write(peer.frame(1, 'last'));
        await t.sleep(20);
        log('length', ws._socket.readableLength > 0);
        peer.socket.destroy();
        await t.sleep(20);
        ws.resume();
        await t.sleep(20);
        ws.terminate();
        await t.over(ws);
      }
    })),
    {
      title: `one callback of writes of the socket, and a frame between, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role);
        const callback = () => log('write');
        ws._socket.write(peer.frame(9, 'a'), callback);
        ws._socket.write(peer.frame(9, 'b'), callback);
        ws.send('c', () => log('frame'));
        ws._socket.write(peer.frame(9, 'd'), callback);
        ws.send('e');
        ws._socket.write(peer.frame(9, 'f'), callback);
        await peer.until(6);
      }
    },
    {
      title: `the timeout of a socket that is full, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role);
        const start = Date.now();
        peer.socket.pause();
        ws._socket.setTimeout(600);
        ws._socket.on('timeout', () => {
          log('timeout', Math.round((Date.now() - start) / 600));
        });
        ws.send(Buffer.alloc(16 * MEGABYTE));
        await t.once(ws._socket, 'timeout');
        ws.terminate();
        await t.over(ws);
      }
    },
    {
      title: `the default encoding of a socket, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role);
        ws._socket.setDefaultEncoding('latin1');
        ws.send(Buffer.from('bytes'));
        ws.send('text');
        await peer.until(2);
        peer.report(log);
      }
    },
    ...[100, 20000, 25000, 70000, 300000].map((length) => ({
      title: `${length} bytes and characters after a reset, ${role}`,
      async run(WebSocket, log, t) {
        for (const [data, isFollowed] of [
          [Buffer.alloc(length), false],
          [Buffer.alloc(length), true],
          ['x'.repeat(length), false],
          ['x'.repeat(length), true]
        ]) {
          const { ws, peer } = await t.end(role, {
            prepare: (ws) => t.watch(ws, log)
          });
          const { _socket: socket } = ws;
          const { bytesWritten } = socket;
          socket.on('error', (err) => log('socket', err, err.syscall));
          socket.on('drain', () => log('drain'));
          peer.socket.resetAndDestroy();
          ws.send(data, (err) => log('callback', err, err.syscall));
          if (isFollowed) {
            ws.send('behind', (err) => log('behind', err, err.syscall));
          }
          await t.over(ws);
          await t.turn();
          if (!isFollowed) log('written', socket.bytesWritten - bytesWritten);
        }
      }
    }))
  );
}

/**
 * Makes a server's end of a connection over a Unix socket: that is full after a few
 * frames, which are still in the outbox when something happens in the same tick.
 *
 * @param {Function} WebSocket The class under test
 * @param {Toolbox} t The toolbox
 * @return {Promise<Object>} The WebSocket and the peer
 */
async function unixEnd(WebSocket, t) {
  const path = `${t.folder()}/socket`;
  const server = http.createServer();
  await t.listen(server, path);
  const wss = new WebSocket.Server({ server });
  const connected = t.once(wss, 'connection');
  const peer = await t.connect(path);
  peer.write(t.request());
  const [ws] = await connected;
  await peer.upgraded();
  await t.turn();
  peer.socket.pause();
  return { ws, peer };
}

const REPLACE = {
  assigned: (socket, write) => {
    socket.write = write;
  },
  defined: (socket, write) => {
    Object.defineProperty(socket, 'write', {
      configurable: true,
      value: write
    });
  },
  inherited: (socket, write, t) => {
    const { prototype } = net.Socket;
    const original = prototype.write;
    prototype.write = write;
    t.defer(() => {
      prototype.write = original;
    });
  }
};

for (const way of Object.keys(REPLACE)) {
  scenarios.push({
    title: `a write() that is ${way} sees what is sent from then on`,
    async run(WebSocket, log, t) {
      const { ws, peer } = await unixEnd(WebSocket, t);
      const { write } = net.Socket.prototype;
      let seen = 0;
      for (let i = 0; i < 40; i++) ws.send(Buffer.alloc(20000));
      REPLACE[way](
        ws._socket,
        function (...args) {
          if (this === ws._socket) seen++;
          return write.apply(this, args);
        },
        t
      );
      await t.turn(3);
      log('seen', seen);
      ws.send('now', () => log('sent'));
      log('seen', seen);
      peer.socket.resume();
      await peer.until(41);
      log('last', peer.frames[40].payload);
    }
  });
}

for (const action of ['terminate', 'spill']) {
  scenarios.push({
    title: `the context of callbacks of what waits, and ${action} in another`,
    async run(WebSocket, log, t) {
      const als = new AsyncLocalStorage();
      const { ws, peer } = await unixEnd(WebSocket, t);
      const stores = new Set();
      let callbacks = 0;
      als.run('a', () => {
        for (let i = 0; i < 40; i++) {
          ws.send(Buffer.alloc(20000), () => {
            stores.add(als.getStore());
            callbacks++;
          });
        }
      });
      als.run('b', () => {
        if (action === 'terminate') ws.terminate();
        else ws._socket.on('data', () => {});
      });
      await t.turn(2);
      peer.socket.resume();
      await t.poll(() => callbacks === 40);
      log('stores', [...stores]);
    }
  });
}

scenarios.push({
  title: 'no callback is called while the socket becomes a stream',
  async run(WebSocket, log, t) {
    const { ws, peer } = await unixEnd(WebSocket, t);
    let callbacks = 0;
    for (let i = 0; i < 40; i++) {
      ws.send(Buffer.alloc(20000), () => callbacks++);
    }
    await t.turn(2);
    const before = callbacks;
    log('waiting', before < 40);
    //
    // Now there is room, and nobody knows it yet.
    //
    const { fd } = peer.socket._handle;
    const room = Buffer.alloc(1 << 20);
    let taken = 0;
    for (let i = 0; i < 1000 && taken < 100000; i++) {
      try {
        taken += fs.readSync(fd, room);
      } catch {
        break;
      }
    }
    log('taken', taken > 0);
    ws._socket.on('data', () => {});
    log('called', callbacks - before);
  }
});

for (const way of ['method', 'prototype']) {
  scenarios.push({
    title: `writing behind frames that were sent in the same tick, ${way}`,
    async run(WebSocket, log, t) {
      const { ws, peer } = await unixEnd(WebSocket, t);
      const order = [];
      for (let i = 0; i < 40; i++) {
        ws.send(Buffer.alloc(20000), () => order.push(i));
      }
      const write =
        way === 'method' ? ws._socket.write : net.Socket.prototype.write;
      const raw = peer.frame(9, 'raw', { mask: false });
      write.call(ws._socket, raw, () => order.push('raw'));
      const rest = ws.bufferedAmount - raw.length;
      log('amount', rest > 20000, rest % 20004);
      log('writable', ws._socket.writableLength === ws.bufferedAmount);
      await t.turn(3);
      peer.socket.resume();
      await t.poll(() => order.length === 41);
      log('order', order.slice(38), ws.bufferedAmount);
      log('full', ws._socket.writableNeedDrain);
      await peer.until(41);
      log('frames', peer.frames[40].opcode, peer.frames[40].payload);
    }
  });
}

scenarios.push({
  title: 'a socket that is full of a short frame',
  async run(WebSocket, log, t) {
    const server = http.createServer({ highWaterMark: 64 });
    const port = await t.listen(server);
    const wss = new WebSocket.Server({ server });
    const connected = t.once(wss, 'connection');
    const peer = await t.connect(port);
    peer.write(t.request());
    const [ws] = await connected;
    await peer.upgraded();
    await t.turn();
    let sent = 0;
    ws._socket.on('drain', () => log('drain'));
    for (const length of [61, 62, 63, 64, 125, 200]) {
      for (const data of [Buffer.alloc(length), 'x'.repeat(length)]) {
        ws.send(data);
        log(`${length}`, ws._socket.writableNeedDrain);
        await peer.until(++sent);
      }
    }
  }
});

module.exports = scenarios;
