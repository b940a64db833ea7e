'use strict';

const { closePayload, deflate } = require('../../helpers/frames');

const SEEDS = 30;
const ROUNDS = 12;

/**
 * Makes a generator of numbers that is the same for the same seed.
 *
 * @param {Number} seed The seed
 * @return {Function} Gives an integer below its argument
 */
function generator(seed) {
  let state = seed * 2654435761 + 1;
  return (limit) => {
    state = (Math.imul(state ^ (state >>> 15), 2246822519) + 374761393) | 0;
    return ((state ^ (state >>> 13)) >>> 0) % limit;
  };
}

/**
 * Makes a text of some length.
 *
 * @param {Function} random The generator
 * @return {String} The text
 */
function text(random) {
  const length = [0, 1, 5, 60, 126, 500, 3000, 9000, 70000][random(9)];
  const letters = ['a', '\u00e9', '\u4e16', 'xyz'][random(4)];
  return letters.repeat(Math.ceil(length / Buffer.byteLength(letters)));
}

/**
 * Makes the frames of one message, fragmented and with control frames between
 * as it comes.
 *
 * @param {Peer} peer The peer
 * @param {Function} random The generator
 * @param {Boolean} compress Whether messages may be compressed
 * @return {Buffer[]} The frames
 */
function message(peer, random, compress) {
  const opcode = 1 + random(2);
  const compressed = compress && random(2) === 1;
  const data = text(random);
  let rest = compressed ? deflate(data) : Buffer.from(data);
  const frames = [];
  let first = true;
  while (random(3) === 0) {
    const size = random(rest.length + 1);
    frames.push(
      peer.frame(first ? opcode : 0, rest.subarray(0, size), {
        fin: false,
        rsv: first && compressed ? 4 : 0
      })
    );
    if (random(2) === 0) frames.push(peer.frame(9 + random(2), `${size}`));
    rest = rest.subarray(size);
    first = false;
  }
  frames.push(
    peer.frame(first ? opcode : 0, rest, {
      rsv: first && compressed ? 4 : 0
    })
  );
  return frames;
}

/**
 * Lets the WebSocket send something.
 *
 * @param {WebSocket} ws The WebSocket
 * @param {Function} random The generator
 * @param {Function} callback The callback
 */
function send(ws, random, callback) {
  const data = text(random);
  switch (random(7)) {
    case 0:
      ws.send(data, callback);
      break;
    case 1:
      ws.send(Buffer.from(data), callback);
      break;
    case 2:
      ws.send(data, { binary: true }, callback);
      break;
    case 3:
      ws.send(data.slice(0, 7), { fin: false });
      ws.send(new Uint8Array(Buffer.from(data)), { fin: true }, callback);
      break;
    case 4:
      ws.ping(data.slice(0, 30), undefined, callback);
      break;
    case 5:
      ws.pong(Buffer.from(data.slice(0, 30)), undefined, callback);
      break;
    case 6:
      ws.send(data, { compress: false }, callback);
  }
}

const scenarios = [];

for (const role of ['server', 'client']) {
  for (const compress of [false, true]) {
    for (let seed = 1; seed <= SEEDS; seed++) {
      scenarios.push({
        title:
          `random operations ${seed}, ${role}` + (compress ? ', deflate' : ''),
        async run(WebSocket, log, t) {
          const random = generator(seed * 4 + (compress ? 2 : 0));
          const { ws, peer } = await t.end(role, {
            options: {
              allowSynchronousEvents: random(3) > 0,
              perMessageDeflate: compress && { threshold: random(2) * 1024 }
            },
            headers: compress && {
              'Sec-WebSocket-Extensions': 'permessage-deflate'
            },
            prepare: (ws) => t.watch(ws, log.channel('events'))
          });
          const sent = log.channel('sent');
          ws.binaryType = ['nodebuffer', 'arraybuffer', 'fragments'][random(3)];
          if (random(3) === 0) {
            ws.on('message', () => ws.send('reply', () => sent('reply')));
          }
          let count = 0;
          let done = 0;
          for (let round = 0; round < ROUNDS; round++) {
            const bytes = [];
            for (let i = random(6); i > 0; i--) {
              const id = ++count;
              send(ws, random, (err) => {
                done++;
                sent(`${id}`, err);
              });
              bytes.push(...message(peer, random, compress));
            }
            if (random(4) === 0) {
              ws.pause();
              if (bytes.length) peer.write(...bytes);
              await t.turn(random(3));
              ws.resume();
            } else {
              const whole = Buffer.concat(bytes);
              const cut = random(whole.length + 1);
              peer.write(whole.subarray(0, cut));
              await t.turn(random(2));
              peer.write(whole.subarray(cut));
            }
            await peer.fence();
            await t.poll(() => done === count);
            log(`round ${round}`, ws.bufferedAmount, ws.readyState);
          }
          switch (random(5)) {
            case 0:
              ws.close(1000 + random(4), text(random).slice(0, 20));
              break;
            case 1:
              peer.write(peer.frame(8, closePayload(3000 + random(2000))));
              break;
            case 2:
              peer.write(peer.frame(1, 'before'), peer.frame(3 + random(5)));
              break;
            case 3:
              peer.socket.end();
              break;
            case 4:
              ws.terminate();
          }
          await t.turn(2);
          if (ws.readyState === 2 && !peer.socket.destroyed) {
            peer.write(peer.frame(8, closePayload(1000)));
            await peer.when(() =>
              peer.frames.some(({ opcode }) => opcode === 8)
            );
            peer.socket.end();
          }
          await t.over(ws);
          const frames = log.channel('frames');
          if (compress) {
            for (const { opcode, rsv, fin } of peer.frames) {
              frames('frame', opcode, rsv, fin);
            }
          } else peer.report(frames);
        }
      });
    }
  }
}

module.exports = scenarios;
