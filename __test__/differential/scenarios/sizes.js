'use strict';

const ROLES = ['server', 'client'];

//
// Around the places where an implementation may do something else: the lengths
// of frame headers, the sizes of pools, slabs and of the reads of a socket.
//
const EDGES = [
  0, 1, 2, 3, 4, 7, 8, 15, 16, 17, 23, 24, 31, 32, 33, 47, 48, 63, 64, 65, 125,
  126, 127, 128, 255, 256, 1023, 1024, 1025, 2048, 4095, 4096, 4097, 5460, 5461,
  5462, 8191, 8192, 8193, 16383, 16384, 16385, 32767, 32768, 32769, 65521,
  65535, 65536, 65537, 131071, 131072, 131073, 262144
];

/**
 * Makes bytes of which each place tells where it is.
 *
 * @param {Number} length The length
 * @param {Number} [seed=0] Makes them differ
 * @return {Buffer} The bytes
 */
function pattern(length, seed = 0) {
  const bytes = Buffer.alloc(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + (i >> 8) + seed) & 0x7f;
  return bytes;
}

const scenarios = [];

for (const role of ROLES) {
  for (const [name, make] of [
    ['Buffers', (length) => pattern(length)],
    ['strings', (length) => pattern(length).toString('latin1')],
    [
      'strings of two bytes per character',
      (length) => '\u00fc'.repeat(length >> 1) + 'x'.repeat(length & 1)
    ],
    [
      'strings of three bytes per character',
      (length) => '\u4e16'.repeat(Math.floor(length / 3))
    ],
    ['views', (length) => new Uint16Array(pattern(length & ~1).buffer)]
  ]) {
    scenarios.push({
      title: `the ${role} sends ${name} of many lengths in one tick`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role);
        const done = [];
        for (const length of EDGES) {
          ws.send(make(length), () => done.push(length));
          ws.send('between');
          log('amount', length < 4096 ? ws.bufferedAmount : length);
        }
        await peer.until(EDGES.length * 2);
        await t.poll(() => done.length === EDGES.length);
        log('done', done);
        peer.report(log);
      }
    });
  }

  scenarios.push(
    {
      title: `the ${role} receives messages of many lengths in one go`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role);
        ws.on('message', (data, isBinary) => log('message', data, isBinary));
        peer.write(
          ...EDGES.flatMap((length) => [
            peer.frame(2, pattern(length)),
            peer.frame(1, pattern(length, 7))
          ])
        );
        await peer.fence();
      }
    },
    {
      title: `the ${role} receives fragments of many lengths`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role);
        ws.on('message', (data, isBinary) => log('message', data, isBinary));
        ws.binaryType = 'fragments';
        for (const opcode of [1, 2]) {
          peer.write(
            ...EDGES.map((length, i) =>
              peer.frame(i === 0 ? opcode : 0, pattern(length), { fin: false })
            ),
            peer.frame(0, 'end')
          );
        }
        await peer.fence();
      }
    },
    {
      title: `the ${role} sends 3000 small messages in one tick`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role);
        const order = [];
        for (let i = 0; i < 3000; i++) {
          if (i % 5 === 0) ws.ping(`${i}`, undefined, () => order.push(i));
          else if (i % 3 === 0)
            ws.send(Buffer.from(`${i}`), () => order.push(i));
          else ws.send(`message ${i % 50}`, () => order.push(i));
        }
        await peer.until(3000);
        await t.poll(() => order.length === 3000);
        log(
          'in order',
          order.every((value, i) => value === i)
        );
        peer.report(log);
      }
    },
    {
      title: `the ${role} receives 3000 small messages in one chunk`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role);
        ws.on('message', (data, isBinary) => log('message', data, isBinary));
        ws.on('pong', (data) => log('pong', data));
        const frames = [];
        for (let i = 0; i < 3000; i++) {
          frames.push(peer.frame(i % 7 === 0 ? 10 : 1 + (i & 1), `${i}`));
        }
        peer.write(...frames);
        await peer.fence();
      }
    },
    {
      title: `the ${role} answers 1000 messages of one chunk`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role);
        let sent = 0;
        ws.on('message', (data, isBinary) => {
          ws.send(data, { binary: isBinary }, () => sent++);
        });
        const frames = [];
        for (let i = 0; i < 1000; i++) {
          frames.push(peer.frame(1 + (i & 1), `message ${i}`));
        }
        peer.write(...frames);
        await peer.until(1000);
        await t.poll(() => sent === 1000);
        peer.report(log);
      }
    },
    {
      title: `the ${role} answers 500 pings of one chunk`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, {
          options: { maxPendingAutoPongs: 0 }
        });
        let pings = 0;
        ws.on('ping', () => pings++);
        peer.write(
          ...Array.from({ length: 500 }, (_, i) => peer.frame(9, `${i}`))
        );
        await peer.until(500);
        log('pings', pings);
        peer.report(log);
      }
    },
    {
      title: `messages that a program keeps stay as they are, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role);
        const kept = [];
        ws.on('message', (data) => kept.push(data));
        for (let round = 0; round < 20; round++) {
          peer.write(
            ...Array.from({ length: 100 }, (_, i) =>
              peer.frame(2, pattern((i * 37) % 900, round))
            )
          );
          await peer.fence();
        }
        log('kept', kept.length);
        let same = 0;
        for (const [i, data] of kept.entries()) {
          const expected = pattern(((i % 100) * 37) % 900, Math.floor(i / 100));
          if (data.equals(expected)) same++;
        }
        log('same', same);
        for (let i = 0; i < kept.length; i += 2) kept[i].fill(0xff);
        same = 0;
        for (let i = 1; i < kept.length; i += 2) {
          const expected = pattern(((i % 100) * 37) % 900, Math.floor(i / 100));
          if (kept[i].equals(expected)) same++;
        }
        log('same after the others were changed', same);
      }
    },
    {
      title: `a message is sent back and then changed, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role);
        ws.on('message', (data) => {
          ws.send(data);
          data.fill('x');
          ws.send(data);
        });
        for (const length of [1, 100, 1000]) {
          peer.write(peer.frame(2, pattern(length)), peer.frame(2, 'next'));
        }
        await peer.until(12);
        peer.report(log);
      }
    },
    {
      title: `more fragments than the default of maxFragments, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, {
          prepare: (ws) => t.watch(ws, log)
        });
        const frames = [peer.frame(1, 'a', { fin: false })];
        for (let i = 0; i < 16384; i++) {
          frames.push(peer.frame(0, i % 1000 ? '' : 'x', { fin: false }));
        }
        peer.write(...frames);
        await peer.until(1);
        peer.socket.end();
        await t.over(ws);
        peer.report(log);
      }
    },
    {
      title: `the peer ends before it reads what is queued, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, {
          prepare: (ws) => t.watch(ws, log)
        });
        peer.socket.allowHalfOpen = true;
        peer.socket.pause();
        const data = pattern(4 * 1024 * 1024);
        ws.send(data, (err) => log('callback 1', err));
        ws.send('last', (err) => log('callback 2', err));
        peer.socket.end();
        await t.poll(() => ws.readyState === 2);
        peer.socket.resume();
        await t.over(ws);
        await peer.ended;
        peer.report(log);
      }
    },
    {
      title: `the peer's close frame comes before queued data is out, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, {
          prepare: (ws) => t.watch(ws, log)
        });
        peer.socket.pause();
        ws.send(pattern(16 * 1024 * 1024), (err) => log('callback 1', err));
        ws.send('last', (err) => log('callback 2', err));
        peer.write(peer.closeFrame(1000, 'bye'));
        await t.poll(() => ws.readyState === 2);
        ws.send('late', (err) => log('callback 3', err));
        await t.turn();
        peer.socket.resume();
        await peer.until(3);
        peer.socket.end();
        await t.over(ws);
        peer.report(log);
      }
    },
    ...[
      [[], [1, 40000, 2]],
      [[], [12356, 25804, 164, 138]],
      [[300000], Array(12).fill(3000)],
      [[300000], [3000, 3000, 30000, 10]]
    ].map(([first, lengths]) => ({
      title: `the ticks between ${lengths}, in one write after ${first}, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role);
        let steps = [];
        ws.on('message', (data) => {
          steps.push(data.length);
          process.nextTick(() => steps.push('tick'));
        });
        for (let i = 0; i < 4; i++) {
          for (const list of [first, lengths]) {
            steps = [];
            peer.write(...list.map((length) => peer.frame(2, pattern(length))));
            await t.poll(() => steps.length === list.length * 2);
            if (list === lengths) log('steps', steps.join(' '));
          }
        }
      }
    })),
    {
      title: `many connections that open, talk and close, ${role}`,
      async run(WebSocket, log, t) {
        let closed = 0;
        let messages = 0;
        for (let i = 0; i < 40; i++) {
          const { ws, peer } = await t.end(role);
          ws.on('message', () => messages++);
          ws.on('close', () => closed++);
          ws.send(`hello ${i}`);
          peer.write(peer.frame(1, `hi ${i}`));
          await peer.until(1);
          if (i % 4 === 0) {
            await peer.fence();
            ws.terminate();
          } else if (i % 4 === 1) peer.write(peer.closeFrame(1000));
          else if (i % 4 === 2) peer.socket.end();
          else {
            ws.close();
            await peer.until(2);
            peer.write(peer.closeFrame());
          }
          await t.over(ws);
          await peer.closed;
        }
        log('closed', closed, messages);
      }
    }
  );
}

module.exports = scenarios;
