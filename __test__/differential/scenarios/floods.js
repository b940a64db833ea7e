'use strict';

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

module.exports = scenarios;
