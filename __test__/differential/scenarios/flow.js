'use strict';

const ROLES = ['server', 'client'];
const MEGABYTE = 1024 * 1024;

const scenarios = [];

for (const role of ROLES) {
  scenarios.push(
    {
      title: `bufferedAmount while the peer does not read, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role);
        peer.socket.pause();
        let callbacks = 0;
        ws.send('small', () => callbacks++);
        log('after a small one', ws.bufferedAmount);
        await t.turn();
        //
        // Much more than the kernel's buffers take, so that something is left.
        //
        const data = Buffer.alloc(16 * MEGABYTE, 'x');
        ws.send(data, (err) => {
          callbacks++;
          log('big callback', err, ws.bufferedAmount);
        });
        const first = ws.bufferedAmount;
        log('after a big one', first > 0, first <= data.length + 14);
        ws.send('queued', () => callbacks++);
        log('after one more', ws.bufferedAmount - first);
        ws.ping('ping', undefined, () => callbacks++);
        log('after a ping', ws.bufferedAmount - first);
        ws.send(Buffer.alloc(1000), () => callbacks++);
        log('after another', ws.bufferedAmount - first);
        log('writable', ws._socket.writableLength === ws.bufferedAmount);
        log('need drain', ws._socket.writableNeedDrain);
        await t.turn(3);
        log('callbacks', callbacks);
        const drained = t.once(ws._socket, 'drain');
        peer.socket.resume();
        await drained;
        log('after the drain', ws.bufferedAmount, ws._socket.writableLength);
        await peer.until(5);
        await t.turn(2);
        log('callbacks', callbacks);
        peer.report(log);
      }
    },
    {
      title: `'drain' after messages that the kernel takes at once, ${role}`,
      async run(WebSocket, log, t) {
        const { ws } = await t.end(role);
        const socket = ws._socket;
        const mark = socket.writableHighWaterMark;
        socket.on('drain', () => log('drain'));
        const frame = (data) =>
          WebSocket.Sender.frame(Buffer.from(data), { fin: true, opcode: 2 });
        const ways = {
          bytes: (length) => ws.send(Buffer.alloc(length), () => log('sent')),
          text: (length) => ws.send('x'.repeat(length), () => log('sent')),
          wide: (length) => ws.send('\xe9'.repeat(length), () => log('sent')),
          raw: (length) =>
            ws._sender.sendFrame(frame('x'.repeat(length)), () => log('sent')),
          twice: (length) => {
            ws.send(Buffer.alloc(length / 2), () => log('sent'));
            ws.send(Buffer.alloc(length / 2), () => log('sent'));
          }
        };
        for (const way of Object.keys(ways)) {
          if (way === 'raw' && role === 'client') continue;
          for (const length of [
            100,
            5000,
            mark / 2,
            mark - 12,
            mark - 6,
            mark - 4,
            mark,
            20000,
            24 * 1024 + 2,
            30000,
            mark * 2
          ]) {
            ways[way](length);
            const { length: amount } = socket._writableState;
            log(way, length, socket.writableNeedDrain, amount);
            process.nextTick(() => log('tick'));
            await t.turn(3);
          }
        }
      }
    },
    {
      title: `close() while the peer does not read, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, {
          prepare: (ws) => t.watch(ws, log)
        });
        peer.socket.pause();
        ws.send(Buffer.alloc(16 * MEGABYTE), (err) => log('callback', err));
        const first = ws.bufferedAmount;
        ws.close(1000, 'bye');
        log('amount', ws.bufferedAmount - first, ws._closeFrameSent);
        ws.send('late', (err) => log('late callback', err));
        log('amount', ws.bufferedAmount - first);
        await t.turn(3);
        log('sent', ws._closeFrameSent);
        peer.socket.resume();
        await peer.until(2);
        log('close frame', peer.frames[1].opcode);
        await t.poll(() => ws._closeFrameSent);
        peer.write(peer.closeFrame(1000));
        await t.over(ws);
      }
    },
    {
      title: `terminate() while the peer does not read, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, {
          prepare: (ws) => t.watch(ws, log)
        });
        peer.socket.pause();
        const sent = [];
        ws.send(Buffer.alloc(16 * MEGABYTE), (err) => sent.push(err));
        ws.send('queued', (err) => sent.push(err));
        ws.send('queued too', (err) => sent.push(err));
        await t.turn(3);
        ws.terminate();
        await t.over(ws);
        await t.turn();
        log('callbacks', sent);
      }
    },
    {
      title: `the peer resets while data is queued, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, {
          prepare: (ws) => t.watch(ws, log)
        });
        peer.socket.pause();
        const sent = [];
        ws.send(Buffer.alloc(16 * MEGABYTE), (err) => sent.push(typeof err));
        ws.send('queued', (err) => sent.push(err && err.message.length > 0));
        await t.turn(3);
        peer.socket.resetAndDestroy();
        await t.over(ws);
        await t.turn();
        log('callbacks', sent.length);
      }
    },
    {
      title: `many messages to a peer that reads later, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role);
        peer.socket.pause();
        const order = [];
        for (let i = 0; i < 300; i++) {
          const data = i % 3 === 0 ? 'x'.repeat(40000) : Buffer.alloc(40000, i);
          ws.send(data, () => order.push(i));
        }
        log('amount', ws.bufferedAmount > 0);
        await t.turn(2);
        peer.socket.resume();
        await peer.until(300);
        await t.poll(() => order.length === 300);
        log(
          'in order',
          order.every((value, i) => value === i)
        );
        log('amount', ws.bufferedAmount);
        peer.report(log);
      }
    },
    {
      title: `pause() and resume(), ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, {
          prepare: (ws) => t.watch(ws, log)
        });
        const state = () => {
          log('paused', ws.isPaused, ws._paused, ws._socket.isPaused());
        };
        state();
        log('pause', ws.pause());
        state();
        ws.pause();
        peer.write(peer.frame(1, 'a'), peer.frame(9, 'b'));
        await t.sleep(20);
        log('nothing yet');
        log('resume', ws.resume());
        state();
        await t.once(ws, 'ping');
        ws.resume();
        state();
        peer.write(peer.frame(1, 'c'));
        await t.once(ws, 'message');
      }
    },
    {
      title: `pause() and resume() in one tick, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, {
          prepare: (ws) => t.watch(ws, log)
        });
        peer.write(peer.frame(1, 'a'));
        ws.pause();
        ws.resume();
        await t.once(ws, 'message');
        ws.pause();
        peer.write(peer.frame(1, 'b'));
        await t.sleep(10);
        ws.resume();
        ws.pause();
        await t.sleep(10);
        log('still paused');
        ws.resume();
        await t.once(ws, 'message');
      }
    },
    {
      title: `pause() in every message handler, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role);
        let count = 0;
        const done = new Promise((resolve) => {
          ws.on('message', (data) => {
            count++;
            ws.pause();
            log('message', data);
            setTimeout(() => ws.resume(), 1);
            if (count === 6) resolve();
          });
        });
        for (let i = 0; i < 6; i++) {
          peer.write(peer.frame(1, `${i}`));
          await t.poll(() => count === i + 1);
        }
        await done;
      }
    },
    {
      title: `pause() does not stop sending, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role);
        ws.pause();
        ws.send('a', (err) => log('callback', err));
        ws.ping('b');
        await peer.until(2);
        peer.report(log);
        ws.close(1000);
        await peer.until(3);
        log('state', ws.readyState, ws.isPaused);
      }
    },
    {
      title: `pause() and resume() while closing and closed, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role);
        ws.close();
        ws.pause();
        log('paused', ws.isPaused, ws._socket.isPaused());
        ws.resume();
        log('paused', ws.isPaused, ws._socket.isPaused());
        await peer.until(1);
        peer.write(peer.closeFrame());
        await t.over(ws);
        ws.pause();
        log('paused', ws.isPaused);
      }
    },
    {
      title: `socket.pause() and socket.resume(), ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, {
          prepare: (ws) => t.watch(ws, log)
        });
        ws._socket.pause();
        log('paused', ws.isPaused, ws._socket.isPaused());
        peer.write(peer.frame(1, 'a'));
        await t.sleep(20);
        log('nothing yet');
        ws._socket.resume();
        await t.once(ws, 'message');
        ws.pause();
        ws._socket.resume();
        peer.write(peer.frame(1, 'b'));
        await t.once(ws, 'message');
        log('paused', ws.isPaused);
      }
    },
    {
      title: `pings without an answer when autoPong is off, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, {
          options: { autoPong: false },
          prepare: (ws) => t.watch(ws, log)
        });
        peer.write(peer.frame(9, 'a'), peer.frame(9, 'b'), peer.frame(1, 'c'));
        await t.once(ws, 'message');
        ws.pong('own');
        await peer.until(1);
        peer.report(log);
      }
    },
    {
      title: `the automatic pong comes before what a handler sends, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role);
        ws.on('ping', (data) => {
          log('ping', data, ws._pendingAutoPongs);
          ws.send(`reply to ${data}`);
        });
        ws.on('message', (data) => {
          log('message', data, ws._pendingAutoPongs);
          ws.send(data);
        });
        peer.write(
          peer.frame(1, 'a'),
          peer.frame(9, 'b'),
          peer.frame(1, 'c'),
          peer.frame(9)
        );
        await peer.until(6);
        await t.turn();
        log('pending', ws._pendingAutoPongs);
        peer.report(log);
      }
    },
    ...[1, 2, 3, 5].map((maxPendingAutoPongs) => ({
      title: `maxPendingAutoPongs ${maxPendingAutoPongs} in one chunk, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, {
          options: { maxPendingAutoPongs },
          prepare: (ws) => t.watch(ws, log)
        });
        ws.on('ping', () => log('pending', ws._pendingAutoPongs));
        peer.write(
          peer.frame(9, '1'),
          peer.frame(9, '2'),
          peer.frame(9, '3'),
          peer.frame(1, '4')
        );
        await Promise.race([t.over(ws), peer.until(3)]);
        await t.turn();
        log('state', ws.readyState);
        peer.report(log);
      }
    })),
    {
      title: `maxPendingAutoPongs of the default, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role);
        let pings = 0;
        ws.on('ping', () => pings++);
        ws.on('close', (code) => log('close', code));
        const frames = Array.from({ length: 61 }, () => peer.frame(9, 'x'));
        peer.write(...frames.slice(0, 60));
        await peer.until(60);
        await t.turn();
        log('pings', pings, ws.readyState, ws._pendingAutoPongs);
        peer.write(...frames);
        await t.over(ws);
        log('pings', pings);
      }
    },
    {
      title: `maxPendingAutoPongs 0 means no limit, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, {
          options: { maxPendingAutoPongs: 0 }
        });
        let most = 0;
        ws.on('ping', () => (most = Math.max(most, ws._pendingAutoPongs)));
        peer.write(...Array.from({ length: 200 }, () => peer.frame(9, 'x')));
        await peer.until(200);
        await t.turn();
        log('most', most, ws._pendingAutoPongs, ws.readyState);
      }
    },
    {
      title: `an automatic pong while data is being compressed, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, {
          options: { perMessageDeflate: { threshold: 0 } },
          headers: { 'Sec-WebSocket-Extensions': 'permessage-deflate' }
        });
        ws.on('ping', (data) => log('ping', data));
        ws.send('x'.repeat(2000), (err) => log('callback', err));
        peer.write(peer.frame(9, 'a'));
        await peer.until(2);
        log(
          'frames',
          [...new Set(peer.frames.map(({ opcode }) => opcode))].sort()
        );
      }
    },
    {
      title: `pings after close() are not answered, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, {
          prepare: (ws) => t.watch(ws, log)
        });
        ws.close();
        peer.write(peer.frame(9, 'a'), peer.frame(9, 'b'));
        await t.once(ws, 'ping');
        await peer.until(1);
        peer.write(peer.closeFrame());
        await t.over(ws);
        peer.report(log);
      }
    },
    {
      title: `a big message in many chunks, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role);
        ws.on('message', (data, isBinary) => log('message', data, isBinary));
        const data = Buffer.alloc(5 * MEGABYTE);
        for (let i = 0; i < data.length; i += 4) data.writeUInt32BE(i, i);
        const bytes = Buffer.concat([
          peer.frame(2, data),
          peer.frame(1, 'x'.repeat(MEGABYTE)),
          peer.frame(1, 'end')
        ]);
        for (let i = 0; i < bytes.length; i += 300000) {
          peer.write(bytes.subarray(i, i + 300000));
          await t.turn();
        }
        await peer.fence();
      }
    },
    {
      title: `frames that arrive byte by byte, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, {
          prepare: (ws) => t.watch(ws, log)
        });
        const bytes = Buffer.concat([
          peer.frame(1, 'slow'),
          peer.frame(9, 'p'),
          peer.frame(2, Buffer.alloc(130, 'z'))
        ]);
        for (const byte of bytes) {
          peer.write(Buffer.from([byte]));
          await t.turn();
        }
        await peer.fence();
        log('state', ws.readyState);
        peer.report(log);
      }
    },
    {
      title: `bytes and packets counted by the socket, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role);
        const read = ws._socket.bytesRead;
        const written = ws._socket.bytesWritten;
        log('before', read > 0, written > 0);
        peer.write(peer.frame(1, 'hello'), peer.frame(2, Buffer.alloc(500)));
        await peer.fence();
        ws.send('hello');
        ws.send(Buffer.alloc(1000));
        log('at once', ws._socket.bytesWritten - written);
        await peer.until(2);
        log('read', ws._socket.bytesRead - read);
        log('written', ws._socket.bytesWritten - written);
      }
    },
    {
      title: `maxBufferedChunks, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, {
          options: { maxBufferedChunks: 3 },
          prepare: (ws) => t.watch(ws, log)
        });
        const bytes = peer.frame(2, Buffer.alloc(10));
        for (let i = 0; i < 8 && ws.readyState === 1; i++) {
          peer.write(bytes.subarray(i, i + 1));
          const read = ws._socket.bytesRead;
          await t.poll(() => ws._socket.bytesRead > read);
          await t.turn(2);
        }
        await peer.until(1);
        peer.socket.end();
        await t.over(ws);
        peer.report(log);
      }
    }
  );
}

module.exports = scenarios;
