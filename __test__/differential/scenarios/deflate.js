'use strict';

const zlib = require('zlib');

const { deflate } = require('../../helpers/frames');
const { describe } = require('../recorder');

const SERVER_OPTIONS = [
  false,
  true,
  { threshold: 0 },
  { threshold: 50, serverNoContextTakeover: true },
  { threshold: 0, clientNoContextTakeover: true, serverMaxWindowBits: 10 },
  { threshold: 0, clientMaxWindowBits: 9, concurrencyLimit: 2 }
];

const CLIENT_OPTIONS = [
  false,
  true,
  { threshold: 0 },
  { threshold: 50, clientNoContextTakeover: true },
  { threshold: 0, serverNoContextTakeover: true, clientMaxWindowBits: 10 },
  { threshold: 0, serverMaxWindowBits: 9 }
];

const DATA = [
  ['a short text', 'short'],
  ['a long text', 'long '.repeat(500)],
  ['short bytes', Buffer.from([1, 2, 3])],
  ['long bytes', Buffer.alloc(5000, 7)],
  ['an empty text', ''],
  ['a wide text', '\u4e16\u754c '.repeat(100)]
];

/**
 * Inflates the frames that a raw peer got, with the context that the parameters
 * ask for.
 *
 * @param {Object[]} frames The frames
 * @return {Buffer[]} The messages
 */
function inflateAll(frames) {
  const tail = Buffer.from([0, 0, 0xff, 0xff]);
  let history = Buffer.alloc(0);
  return frames.map(({ rsv, payload }) => {
    if (rsv !== 4) return payload;
    const data = zlib.inflateRawSync(Buffer.concat([payload, tail]), {
      finishFlush: zlib.constants.Z_SYNC_FLUSH,
      ...(history.length ? { dictionary: history } : {})
    });
    history = Buffer.concat([history, data]).subarray(-32768);
    return data;
  });
}

const scenarios = [];

for (const server of SERVER_OPTIONS) {
  for (const client of CLIENT_OPTIONS) {
    //
    // Such an offer is refused, which is a matter of the handshake.
    //
    if (server.serverMaxWindowBits > client.serverMaxWindowBits) continue;

    scenarios.push({
      title:
        `an echo with perMessageDeflate ${describe(server)} and ` +
        `${describe(client)}`,
      async run(WebSocket, log, t) {
        const ends = await t.pair({
          server: { perMessageDeflate: server },
          client: { perMessageDeflate: client }
        });
        log('extensions', ends.server.extensions, ends.client.extensions);
        const deflate = ends.client._extensions['permessage-deflate'];
        log('params', deflate && deflate.params);
        ends.server.on('message', (data, isBinary) => {
          log.channel('server')('message', data, isBinary);
          ends.server.send(data, { binary: isBinary });
        });
        for (const [name, data] of DATA) {
          ends.client.send(data, (err) => log(`sent ${name}`, err));
          const [echo, isBinary] = await t.once(ends.client, 'message');
          log(name, echo, isBinary);
        }
        ends.client.close(1000);
        await t.over(ends.client);
        await t.over(ends.server);
      }
    });
  }
}

for (const role of ['server', 'client']) {
  const prefix = role === 'server' ? 'server' : 'client';
  for (const takeover of [false, true]) {
    for (const threshold of [undefined, 0, 100]) {
      scenarios.push({
        title:
          `frames of the ${role}, threshold ${threshold}, ` +
          (takeover ? 'without context takeover' : 'with context takeover'),
        async run(WebSocket, log, t) {
          const { ws, peer } = await t.end(role, {
            options: {
              perMessageDeflate: {
                threshold,
                [`${prefix}NoContextTakeover`]: takeover
              }
            },
            headers: {
              'Sec-WebSocket-Extensions':
                'permessage-deflate' +
                (takeover ? `; ${prefix}_no_context_takeover` : '')
            }
          });
          log('extensions', ws.extensions);
          const sizes = [0, 1, 99, 100, 101, 1023, 1024, 1025, 40000];
          for (const size of sizes) ws.send('z'.repeat(size));
          ws.send('first fragment '.repeat(10), { fin: false });
          ws.send('last fragment', { fin: true });
          ws.send('not compressed'.repeat(200), { compress: false });
          ws.send(Buffer.alloc(3000, 'b'));
          await peer.until(sizes.length + 4);
          for (const { fin, rsv, opcode } of peer.frames) {
            log('frame', fin, rsv, opcode);
          }
          if (!takeover) {
            const whole = peer.frames.filter((item, i) => {
              return i < sizes.length || i > sizes.length + 1;
            });
            for (const data of inflateAll(whole.slice(0, sizes.length))) {
              log('data', data);
            }
          }
          log('smaller', peer.frames[sizes.length - 1].payload.length < 1000);
        }
      });
    }
  }

  scenarios.push(
    {
      title: `many compressed messages at once keep their order, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, {
          options: { perMessageDeflate: { threshold: 0 } },
          headers: { 'Sec-WebSocket-Extensions': 'permessage-deflate' }
        });
        const order = [];
        for (let i = 0; i < 50; i++) {
          ws.send(
            `message ${i} `.repeat(i + 1),
            { compress: i % 3 > 0 },
            () => {
              order.push(i);
            }
          );
        }
        log('amount', ws.bufferedAmount);
        await peer.until(50);
        await t.turn();
        log('order', order);
        log(
          'data',
          inflateAll(peer.frames).map((data) => data.length)
        );
        log('amount', ws.bufferedAmount);
      }
    },
    {
      title: `compressed messages between other events, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, {
          options: { perMessageDeflate: true },
          headers: { 'Sec-WebSocket-Extensions': 'permessage-deflate' },
          prepare: (ws) => t.watch(ws, log)
        });
        const deflated = deflate('compressed');
        ws.on('message', (data) => {
          process.nextTick(() => log(`tick of ${data}`));
          queueMicrotask(() => log(`microtask of ${data}`));
        });
        peer.write(
          peer.frame(1, 'plain 1'),
          peer.frame(1, deflated, { rsv: 4 }),
          peer.frame(9, 'ping 1'),
          peer.frame(1, deflated, { rsv: 4 }),
          peer.frame(1, 'plain 2'),
          peer.frame(9, 'ping 2'),
          peer.closeFrame(1000, 'bye')
        );
        await t.over(ws);
        peer.report(log);
      }
    },
    {
      title: `terminate() while messages are being inflated, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, {
          options: { perMessageDeflate: true },
          headers: { 'Sec-WebSocket-Extensions': 'permessage-deflate' },
          prepare: (ws) => t.watch(ws, log)
        });
        const deflated = deflate('compressed');
        peer.write(
          peer.frame(1, 'plain'),
          peer.frame(1, deflated, { rsv: 4 }),
          peer.frame(1, 'after')
        );
        ws.once('message', () => ws.terminate());
        await t.over(ws);
        await t.sleep(10);
      }
    },
    {
      title: `terminate() with more than a read behind an inflated message, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, {
          options: { perMessageDeflate: true },
          headers: { 'Sec-WebSocket-Extensions': 'permessage-deflate' },
          prepare: (ws) => t.watch(ws, log)
        });
        ws.once('message', () => ws.terminate());
        peer.write(
          peer.frame(1, deflate('compressed'), { rsv: 4 }),
          peer.frame(2, Buffer.alloc(50000), { fin: false }),
          peer.frame(9, 'ping'),
          peer.frame(0, Buffer.alloc(20000)),
          peer.closeFrame(1001, 'bye')
        );
        await t.over(ws);
        await t.sleep(10);
      }
    },
    {
      title: `a close frame while messages are being inflated, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, {
          options: { perMessageDeflate: true },
          headers: { 'Sec-WebSocket-Extensions': 'permessage-deflate' },
          prepare: (ws) => t.watch(ws, log)
        });
        const deflated = deflate(Buffer.alloc(2000000, 'c'));
        peer.write(
          peer.frame(2, deflated, { rsv: 4 }),
          peer.closeFrame(1001, 'bye')
        );
        peer.socket.end();
        await t.over(ws);
      }
    },
    ...Object.entries({
      'too long': (peer) => [
        peer.frame(1, deflate(Buffer.alloc(2000)), { rsv: 4 })
      ],
      corrupt: (peer) => [peer.frame(1, Buffer.from([6]), { rsv: 4 })],
      'not UTF-8': (peer) => [
        peer.frame(1, deflate(Buffer.from([255])), { rsv: 4 })
      ],
      'corrupt in the second frame': (peer) => [
        peer.frame(1, deflate(Buffer.from('x')), { fin: false, rsv: 4 }),
        peer.frame(9, 'between'),
        peer.frame(0, Buffer.from([6]))
      ],
      'cut off by a close frame': (peer) => [
        peer.frame(1, deflate(Buffer.from('x')), { fin: false, rsv: 4 }),
        peer.closeFrame(1001, 'bye')
      ],
      'cut off by another': (peer) => [
        peer.frame(1, deflate(Buffer.from('x')), { fin: false, rsv: 4 }),
        peer.frame(1, 'y')
      ]
    }).flatMap(([what, frames]) =>
      ['uncompressed', 'compressed'].flatMap((first) =>
        ['reply', 'terminate'].map((act) => ({
          title: `a message that is ${what} behind one that is ${first}, ${act}, ${role}`,
          async run(WebSocket, log, t) {
            const { ws, peer } = await t.end(role, {
              options: { perMessageDeflate: true, maxPayload: 1000 },
              headers: { 'Sec-WebSocket-Extensions': 'permessage-deflate' },
              prepare: (ws) => t.watch(ws, log)
            });
            ws.on('message', async () => {
              await null;
              if (act === 'terminate') ws.terminate();
              else ws.send('reply');
            });
            peer.write(
              first === 'compressed'
                ? peer.frame(1, deflate(Buffer.from('a')), { rsv: 4 })
                : peer.frame(1, 'a'),
              ...frames(peer)
            );
            await t.over(ws);
            await t.turn(5);
            peer.report(log);
          }
        }))
      )
    ),
    {
      title: `replies to compressed messages, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, {
          options: { perMessageDeflate: { threshold: 0 } },
          headers: { 'Sec-WebSocket-Extensions': 'permessage-deflate' }
        });
        //
        // When the reply is compressed and when the next message is inflated
        // is a race with ws.
        //
        const sent = log.channel('sent');
        ws.on('message', (data) => {
          log('message', data);
          ws.send(`reply to ${data}`, (err) => sent(`sent ${data}`, err));
        });
        for (const text of ['a', 'b', 'c']) {
          const deflated = deflate(text);
          peer.write(peer.frame(1, deflated, { rsv: 4 }));
        }
        await peer.until(3);
        await t.turn();
        log('replies', inflateAll(peer.frames));
      }
    },
    {
      title: `a stand-in for compress() on a connection, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, {
          options: { perMessageDeflate: { threshold: 0 } },
          headers: { 'Sec-WebSocket-Extensions': 'permessage-deflate' }
        });
        const deflate = ws._extensions['permessage-deflate'];
        deflate.compress = (data, fin, callback) => {
          log('compress', data, fin);
          setImmediate(callback, null, Buffer.from('own'));
        };
        deflate.decompress = (data, fin, callback) => {
          log('decompress', data, fin);
          setImmediate(callback, null, Buffer.from('own'));
        };
        ws.on('message', (data) => log('message', data));
        ws.send('text');
        await peer.until(1);
        peer.report(log);
        ws.on('error', (err) => log('error', err));
        peer.write(peer.frame(1, 'any', { rsv: 4 }));
        await Promise.race([t.once(ws, 'message'), t.once(ws, 'error')]);
      }
    }
  );
}

module.exports = scenarios;
