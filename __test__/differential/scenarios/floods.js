'use strict';

const fs = require('fs');
const net = require('net');

const { deflate } = require('../../helpers/frames');

/** More messages than are handed over in one go, and still one read. */
const COUNT = 6000;

const DEFLATE = { 'sec-websocket-extensions': 'permessage-deflate' };

/** What a listener of `'message'` does, and in which message. */
const ACTIONS = {
  'goes on': () => {},
  'terminates it': (ws) => ws.terminate(),
  'destroys the socket': (ws) => ws._socket.destroy(),
  'pauses it': (ws) => {
    ws.pause();
    setImmediate(() => setImmediate(() => ws.resume()));
  },
  'pauses and terminates it': (ws) => {
    ws.pause();
    setImmediate(() => ws.terminate());
  },
  'closes it': (ws) => ws.close(),
  'takes the listeners of the socket away': (ws) => {
    ws._socket.removeAllListeners('data');
    ws._socket.on('data', () => {});
  }
};

const scenarios = [];

for (const role of ['server', 'client']) {
  for (const headers of [undefined, DEFLATE]) {
    for (const action of Object.keys(ACTIONS)) {
      for (const when of [1, 5000]) {
        const extension = headers ? ' with permessage-deflate' : '';

        scenarios.push({
          title: `message ${when} of a flood ${action}, ${role}${extension}`,
          async run(WebSocket, log, t) {
            const { ws, peer } = await t.end(role, {
              options: { perMessageDeflate: true },
              headers
            });
            let count = 0;
            ws.on('message', (data) => {
              if (Number(data) !== count) log('not in order', count, data);
              count++;
              if (count === 1) process.nextTick(() => log('tick', count));
              if (count === when) ACTIONS[action](ws);
            });
            ws.on('ping', (data) => log('ping', count, data));
            ws.on('close', (code) => log('close', count, code));
            const frames = [];
            for (let i = 0; i < COUNT; i++) {
              frames.push(peer.frame(1, String(i)));
            }
            frames.push(peer.frame(9, 'last'));
            peer.write(...frames);
            await t.poll(() => count > 0);
            await t.turn(2);
            log('count', count);
            await t.turn(8);
            log('count', count);
            peer.write(peer.closeFrame(1000));
            await t.turn(3);
            ws.terminate();
            await t.over(ws);
          }
        });
      }
    }
  }
}

//
// Of messages that are longer than a read, no more than one comes after a pause.
//
for (const role of ['server', 'client']) {
  for (const length of [70000, 200000]) {
    scenarios.push({
      title: `a pause in each message of ${length} bytes, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role);
        let count = 0;
        ws.on('message', (data) => {
          count++;
          log('message', data.length);
          ws.pause();
        });
        for (let i = 0; i < 12; i++) {
          peer.write(peer.frame(2, Buffer.alloc(length, i)));
        }
        for (let i = 1; i <= 12; i++) {
          await t.poll(() => count >= i);
          await t.turn(5);
          log('count', count);
          ws.resume();
        }
      }
    });
  }
}

/**
 * Makes several connections to a server, each with what its peer gets.
 *
 * @param {Toolbox} t The toolbox
 * @param {Number} count How many
 * @param {Object} [headers] Headers of the request
 * @return {Promise<Object[]>} WebSockets and peers
 */
async function ends(t, count, headers) {
  const wss = await t.server({ perMessageDeflate: true });
  const list = [];
  for (let i = 0; i < count; i++) {
    const connected = t.once(wss, 'connection');
    const peer = await t.connect(wss.address().port);
    peer.write(t.request({ headers }));
    const [ws] = await connected;
    await peer.upgraded();
    list.push({ ws, peer });
  }
  await t.turn(2);
  return list;
}

//
// In the ticks after the events of one connection those of another one follow.
//
for (const action of ['data', 'terminate', 'pause']) {
  scenarios.push({
    title: `a tick between two connections, ${action} within a large message`,
    async run(WebSocket, log, t) {
      const [a, b] = await ends(t, 2, DEFLATE);
      const large = deflate(Buffer.alloc(3e6, 'z'));
      a.peer.write(a.peer.frame(1, deflate('first'), { rsv: 4 }));
      await t.once(a.ws, 'message');
      a.ws.on('message', (data) => {
        log('a', data.length);
        if (data.length !== 2) return;
        Promise.resolve().then(() => {
          if (action === 'data') a.ws._socket.on('data', () => {});
          else a.ws[action]();
        });
      });
      a.ws.on('error', (err) => log('error', err));
      const received = t.once(b.ws, 'message');
      a.peer.write(
        a.peer.frame(1, 'go'),
        a.peer.frame(1, large, { rsv: 4 }),
        a.peer.frame(1, 'after'),
        a.peer.frame(1, 'last one')
      );
      b.peer.write(b.peer.frame(1, 'other'));
      await received;
      await t.sleep(400);
      log('in time');
      a.peer.write(a.peer.frame(1, 'later'));
      await t.sleep(100);
    }
  });
}

for (const late of [false, true]) {
  scenarios.push({
    title: `another connection's listener ends a flood, ${late ? 'later' : 'now'}`,
    async run(WebSocket, log, t) {
      const [a, b] = await ends(t, 2);
      let count = 0;
      b.ws.on('message', () => count++);
      a.ws.on('message', () => {
        b.ws._socket.on('data', () => {});
        if (late) process.nextTick(() => b.ws.terminate());
        else b.ws.terminate();
      });
      const frames = [];
      for (let i = 0; i < 5000; i++) frames.push(b.peer.frame(1, `${i}`));
      a.peer.write(a.peer.frame(1, 'go'));
      b.peer.write(...frames);
      await t.over(b.ws);
      log('count', count);
    }
  });
}

for (const length of [100000, 1200000]) {
  scenarios.push({
    title: `the end of a message of ${length} bytes and a flood in one read`,
    async run(WebSocket, log, t) {
      const [{ ws, peer }] = await ends(t, 1);
      const frame = peer.frame(2, Buffer.alloc(length));
      let count = 0;
      ws.on('message', (data) => {
        count++;
        if (data.length < length) return;
        process.nextTick(() => log('tick', count));
        Promise.resolve().then(() => log('microtask', count));
        setImmediate(() => log('immediate', count));
      });
      peer.write(frame.subarray(0, -100));
      await t.sleep(50);
      const frames = [frame.subarray(-100)];
      for (let i = 0; i < 3000; i++) frames.push(peer.frame(1, `${i}`));
      peer.write(...frames);
      await t.poll(() => count > 0);
      await t.turn(3);
    }
  });
}

scenarios.push({
  title: 'a pause in a flood after a compressed message',
  async run(WebSocket, log, t) {
    const [{ ws, peer }] = await ends(t, 1, DEFLATE);
    peer.write(peer.frame(1, deflate('first'), { rsv: 4 }));
    await t.once(ws, 'message');
    let count = 0;
    ws.on('message', () => {
      if (++count === 1) ws.pause();
    });
    const frames = [];
    for (let i = 0; i < COUNT; i++) frames.push(peer.frame(1, `${i}`));
    peer.write(...frames);
    await t.poll(() => count > 0);
    await t.turn(3);
    log('count', count);
    ws.resume();
    await t.turn(3);
    log('count', count);
  }
});

scenarios.push({
  title: 'compressed messages that are held, of a connection that is paused',
  async run(WebSocket, log, t) {
    const [{ ws, peer }] = await ends(t, 1, DEFLATE);
    let count = 0;
    let bytes = 0;
    ws.on('message', (data) => {
      bytes += data.length;
      if (++count === 1) ws.pause();
    });
    //
    // Much more than may be held at a time.
    //
    const frames = [];
    for (let i = 0; i < 300; i++) {
      const data = deflate(Buffer.alloc(100000, i));
      frames.push(peer.frame(2, data, { rsv: 4 }));
    }
    peer.write(...frames);
    await t.poll(() => count === 300);
    log('count', count, bytes, ws.isPaused);
  }
});

//
// With ws a message that is too long is found in the tick of those before it.
//
for (const role of ['server', 'client']) {
  for (const options of [{}, { allowSynchronousEvents: false }]) {
    for (const action of ['send', 'pause', 'raise', 'close']) {
      // The receiver does not know of a limit that is raised so late.
      if (action === 'raise' && options.allowSynchronousEvents === false) {
        continue;
      }

      scenarios.push({
        title: `a message that is too long behind another, ${action}, ${role}, ${JSON.stringify(options)}`,
        async run(WebSocket, log, t) {
          const { ws, peer } = await t.end(role, {
            options: { ...options, maxPayload: 50 }
          });
          t.watch(ws, log);
          ws.once('message', () => {
            process.nextTick(() => log('tick', ws.readyState));
            Promise.resolve().then(() => {
              log('microtask', ws.readyState);
              if (action === 'send')
                ws.send('answer', (err) => log('sent', err));
            });
            setImmediate(() => log('immediate', ws.readyState));
            if (action === 'pause') ws.pause();
            if (action === 'raise') ws._receiver._maxPayload = 100;
            if (action === 'close') ws.close(1000);
          });
          peer.write(
            peer.frame(1, 'short'),
            peer.frame(2, Buffer.alloc(60)),
            peer.frame(1, 'behind')
          );
          await t.sleep(30);
          ws.resume();
          await t.sleep(30);
          peer.report(log);
        }
      });
    }
  }
}

//
// Who is read from once is read from until a while has passed.
//
scenarios.push({
  title: 'large messages of one of several connections',
  async run(WebSocket, log, t) {
    const list = await ends(t, 3);
    let count = 0;
    list.forEach(({ ws }, i) => {
      ws.on('message', ({ length }) => {
        count++;
        log('message', i, length);
      });
    });
    list[0].peer.write(
      list[0].peer.frame(2, Buffer.alloc(70000)),
      list[0].peer.frame(1, 'a'),
      list[0].peer.frame(2, Buffer.alloc(70000)),
      list[0].peer.frame(1, 'a')
    );
    list[1].peer.write(list[1].peer.frame(1, 'b'));
    list[2].peer.write(list[2].peer.frame(1, 'c'));
    await t.poll(() => count === 6);
  }
});

for (const way of ['nothing', 'the original']) {
  scenarios.push({
    title: `many compressed messages, and a pause() that does ${way}`,
    async run(WebSocket, log, t) {
      const [{ ws, peer }] = await ends(t, 1, DEFLATE);
      let count = 0;
      ws.on('message', () => count++);
      ws._socket.pause = function () {
        return way === 'nothing' ? this : net.Socket.prototype.pause.call(this);
      };
      const frames = [];
      for (let i = 0; i < 1000; i++) {
        frames.push(peer.frame(2, deflate(Buffer.alloc(40000)), { rsv: 4 }));
      }
      peer.write(...frames);
      await t.poll(() => count === 1000);
      log('count', count);
    }
  });
}

for (const way of ['resets', 'is busy']) {
  scenarios.push({
    title: `the answer to a close frame, and a server that ${way} then`,
    async run(WebSocket, log, t) {
      const [{ ws, peer }] = await ends(t, 1);
      const socket = way === 'resets' ? ws._socket : null;
      let end = 0;
      ws.on('message', () => {
        process.nextTick(() => {
          if (way === 'resets') {
            socket.resetAndDestroy();
            return;
          }
          //
          // The peer is in this process, and looked at afterwards.
          //
          end = Date.now() + 30;
          while (Date.now() < end);
          const bytes = Buffer.alloc(100);
          const count = fs.readSync(peer.socket._handle.fd, bytes);
          log('in the meantime', bytes.subarray(0, count));
        });
      });
      peer.write(peer.frame(1, 'text'), peer.closeFrame(1000));
      await peer.closed;
      await t.over(ws);
      peer.report(log);
    }
  });
}

for (const action of ['end', 'destroy']) {
  scenarios.push({
    title: `${action}() of the receiver`,
    async run(WebSocket, log, t) {
      const [{ ws, peer }] = await ends(t, 1);
      t.watch(ws, log);
      ws._receiver[action]();
      peer.write(peer.frame(1, 'one'), peer.frame(1, 'two'));
      await t.sleep(20);
      log('paused', ws._socket.isPaused());
      peer.write(peer.frame(1, 'three'));
      await t.sleep(20);
      ws.terminate();
      await t.sleep(20);
    }
  });
}

//
// What a listener feeds to the connection comes after what was read before.
//
const FEEDS = {
  'writes to the receiver': (ws, bytes) => ws._receiver.write(bytes),
  'emits as data of the socket': (ws, bytes) => ws._socket.emit('data', bytes),
  'puts back into the socket': (ws, bytes) => ws._socket.unshift(bytes)
};

for (const role of ['server', 'client']) {
  for (const name of Object.keys(FEEDS)) {
    for (const isCompressed of [false, true]) {
      //
      // Known to come at once.
      //
      if (!isCompressed && name !== 'writes to the receiver') continue;

      const kind = isCompressed ? 'a compressed message' : 'messages';

      scenarios.push({
        title: `a frame that a listener ${name}, before ${kind}, ${role}`,
        async run(WebSocket, log, t) {
          const { ws, peer } = await t.end(role, {
            options: { perMessageDeflate: true },
            headers: DEFLATE
          });
          const frames = [peer.frame(1, 'one')];
          if (isCompressed) {
            frames.push(peer.frame(1, deflate('two'), { rsv: 4 }));
          }
          frames.push(peer.frame(1, 'three'), peer.frame(1, 'four'));
          let count = 0;
          ws.on('message', (data) => {
            log('message', data);
            count++;
          });
          ws.once('message', () => FEEDS[name](ws, peer.frame(1, 'fed')));
          peer.write(...frames);
          await t.poll(() => count > frames.length);
          peer.write(peer.frame(1, 'last'));
          await t.poll(() => count > frames.length + 1);
        }
      });
    }
  }
}

module.exports = scenarios;
