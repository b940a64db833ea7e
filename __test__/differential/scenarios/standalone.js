'use strict';

const { createHash } = require('crypto');
const { Duplex, Writable } = require('stream');

const { describe } = require('../recorder');
const {
  closePayload,
  deflate: deflateMessage,
  frame,
  parseFrames
} = require('../../helpers/frames');

/**
 * Logs every event of a Receiver.
 *
 * @param {Function} log The log
 * @param {Receiver} receiver The receiver
 * @return {Receiver} The same receiver
 */
function watch(log, receiver) {
  for (const event of [
    'message',
    'ping',
    'pong',
    'conclude',
    'error',
    'drain',
    'finish',
    'close'
  ]) {
    receiver.on(event, (...args) => log(event, ...args));
  }

  return receiver;
}

/**
 * Waits until a Receiver has nothing left to do.
 *
 * @param {Object} t The toolbox
 * @param {Receiver} receiver The receiver
 * @return {Promise} Resolved then
 */
async function settle(t, receiver) {
  await t.turn(2);
  while (receiver._writableState.length > 0 && !receiver.errored) {
    await t.turn();
  }
  await t.turn(2);
}

/**
 * A socket that keeps what is written to it.
 */
class Sink extends Duplex {
  /**
   * Creates a Sink.
   *
   * @param {Function} [log] Is told every write
   * @param {Boolean} [slow] Whether writes are completed only when told
   */
  constructor(log, slow) {
    super();
    this.log = log;
    this.slow = slow;
    this.pending = [];
    this.bytes = Buffer.alloc(0);
  }

  _read() {}

  _write(chunk, encoding, callback) {
    if (this.log) this.log('write', chunk, encoding);
    this.bytes = Buffer.concat([this.bytes, chunk]);
    if (this.slow) this.pending.push(callback);
    else callback();
  }
}

/**
 * Makes a PerMessageDeflate with negotiated parameters.
 *
 * @param {Function} WebSocket The class
 * @param {Object} options Its options
 * @param {Object} [params] The parameters
 * @return {PerMessageDeflate} The instance
 */
function accepted(WebSocket, options, params = {}) {
  const deflate = new WebSocket.PerMessageDeflate(options);
  deflate.accept([params]);
  return deflate;
}

const BEGINNING = [
  frame(1, 'text'),
  frame(2, Buffer.from([0, 255])),
  frame(9, 'ping'),
  frame(1, 'frag', { fin: false }),
  frame(10, 'pong'),
  frame(0, '', { fin: false }),
  frame(0, 'ments \u4e16'),
  frame(2, Buffer.alloc(300, 'abc')),
  frame(1, ''),
  frame(2, 'x', { lengthBytes: 8 })
];

const END = [frame(8, closePayload(1000, 'bye')), frame(1, 'ignored')];

const scenarios = [];

for (const size of [1, 2, 3, 5, 7, 64, 125, 1000, 65536, 100000]) {
  for (const masked of [false, true]) {
    scenarios.push({
      title:
        `Receiver: frames in chunks of ${size} bytes, ` +
        (masked ? 'masked' : 'not masked'),
      async run(WebSocket, log, t) {
        const receiver = watch(
          log,
          new WebSocket.Receiver({ isServer: masked })
        );
        const big = size < 100 ? [] : [frame(1, 'y'.repeat(66000))];
        let bytes = Buffer.concat([...BEGINNING, ...big, ...END]);
        if (masked) {
          const { frames } = parseFrames(bytes);
          bytes = Buffer.concat(
            frames.map(({ opcode, payload, fin }) =>
              frame(opcode, payload, { fin, mask: true })
            )
          );
        }
        for (let i = 0; i < bytes.length; i += size) {
          receiver.write(bytes.subarray(i, i + size));
        }
        await settle(t, receiver);
        log('state', receiver.writableEnded, receiver.destroyed);
      }
    });
  }
}

for (const isServer of [false, true]) {
  for (const masked of [false, true]) {
    scenarios.push({
      title:
        'Receiver: every pair of first bytes, ' +
        `isServer ${isServer}, masked ${masked}`,
      async run(WebSocket, log, t) {
        const list = [];
        for (const deflate of [false, true]) {
          for (let first = 0; first < 256; first++) {
            if (deflate && (first & 0x40) === 0) continue;
            for (const length of [0, 1, 125, 126, 127]) {
              const seen = [];
              const extensions = {};
              if (deflate) {
                extensions['permessage-deflate'] = accepted(WebSocket, {
                  isServer
                });
              }
              const receiver = new WebSocket.Receiver({
                isServer,
                extensions,
                maxPayload: 1000
              });
              for (const event of ['message', 'ping', 'pong', 'conclude']) {
                receiver.on(event, (...args) => seen.push(event, ...args));
              }
              receiver.on('error', (err) => seen.push(err.code, err.message));
              receiver.write(Buffer.from([first, (masked ? 128 : 0) | length]));
              receiver.write(Buffer.from([3, 232, 0, 0, 0, 0, 3, 232]));
              list.push({
                label: `${deflate} ${first} ${length}`,
                seen,
                receiver
              });
            }
          }
        }
        for (const { label, seen, receiver } of list) {
          if (receiver.writableLength) await settle(t, receiver);
          if (seen.length) log(label, seen);
          receiver.destroy();
        }
      }
    });
  }
}

scenarios.push({
  title: 'Receiver: maxBufferedChunks, a message in pieces',
  async run(WebSocket, log, t) {
    for (const isServer of [true, false]) {
      const whole = frame(2, Buffer.alloc(2000), { mask: isServer });
      for (const cuts of [[], [2], [4], [8], [9], [4, 9], [9, 12, 13]]) {
        for (const maxBufferedChunks of [1, 2, 3]) {
          const receiver = watch(
            log,
            new WebSocket.Receiver({ isServer, maxBufferedChunks })
          );
          log(`server ${isServer}, ${cuts}, limit ${maxBufferedChunks}`);
          let start = 0;
          for (const cut of [...cuts, whole.length]) {
            // ws unmasks in place.
            receiver.write(Buffer.from(whole.subarray(start, cut)));
            start = cut;
          }
          await settle(t, receiver);
        }
      }
    }
  }
});

scenarios.push(
  ...[true, false].flatMap((allowSynchronousEvents) => [
    {
      title: `Receiver: write callbacks, allowSynchronousEvents ${allowSynchronousEvents}`,
      async run(WebSocket, log, t) {
        const receiver = watch(
          log,
          new WebSocket.Receiver({ allowSynchronousEvents })
        );
        process.nextTick(() => log('tick'));
        setImmediate(() => log('immediate'));
        log(
          'write',
          receiver.write(
            Buffer.concat([frame(1, 'a'), frame(9, 'b'), frame(2, 'c')]),
            (err) => log('callback 1', err)
          )
        );
        log(
          'write',
          receiver.write(frame(1, 'd'), (err) => log('callback 2', err))
        );
        log(
          'write',
          receiver.write(Buffer.alloc(0), (err) => log('callback 3', err))
        );
        receiver.end(frame(10, 'e'), () => log('ended'));
        await settle(t, receiver);
      }
    },
    {
      title: `Receiver: a violation between messages, allowSynchronousEvents ${allowSynchronousEvents}`,
      async run(WebSocket, log, t) {
        const receiver = watch(
          log,
          new WebSocket.Receiver({ allowSynchronousEvents })
        );
        receiver.write(
          Buffer.concat([frame(1, 'a'), frame(3, 'b'), frame(1, 'c')]),
          (err) => log('callback 1', err && err.code)
        );
        receiver.write(frame(1, 'd'), (err) => {
          log('callback 2', err && err.code);
        });
        await settle(t, receiver);
        log('errored', receiver.errored && receiver.errored.code);
        log('destroyed', receiver.destroyed, receiver._errored);
        receiver.write(frame(1, 'e'), (err) => {
          log('callback 3', err && err.code);
        });
        await settle(t, receiver);
      }
    },
    {
      title: `Receiver: an exception in a listener, allowSynchronousEvents ${allowSynchronousEvents}`,
      async run(WebSocket, log, t) {
        t.onUncaught = (err, origin) => log(origin, err);
        const receiver = new WebSocket.Receiver({ allowSynchronousEvents });
        receiver.on('message', (data) => {
          log('message', data);
          throw new Error('thrown');
        });
        t.attempt(log, 'write', () => receiver.write(frame(1, 'a')));
        await t.turn(2);
      }
    },
    {
      title: `Receiver: writes in a listener, allowSynchronousEvents ${allowSynchronousEvents}`,
      async run(WebSocket, log, t) {
        const receiver = watch(
          log,
          new WebSocket.Receiver({ allowSynchronousEvents })
        );
        receiver.once('message', () => {
          receiver.write(frame(1, 'written in the listener'));
          log('in the listener');
        });
        receiver.write(Buffer.concat([frame(1, 'a'), frame(1, 'b')]));
        await settle(t, receiver);
      }
    },
    {
      title: `Receiver: end() and destroy() in a listener, allowSynchronousEvents ${allowSynchronousEvents}`,
      async run(WebSocket, log, t) {
        for (const method of ['end', 'destroy']) {
          const receiver = watch(
            log,
            new WebSocket.Receiver({ allowSynchronousEvents })
          );
          receiver.once('message', () => receiver[method]());
          receiver.write(Buffer.concat([frame(1, 'a'), frame(1, 'b')]));
          receiver.write(frame(1, 'c'), (err) => log('callback', err));
          await settle(t, receiver);
        }
      }
    }
  ]),
  {
    title: 'Receiver: what can be written to it',
    async run(WebSocket, log, t) {
      const receiver = watch(log, new WebSocket.Receiver());
      receiver.write(new Uint8Array(frame(1, 'a')));
      receiver.write('\u0001b', 'latin1');
      receiver.write('8101', 'hex');
      receiver.write('c', 'utf8');
      receiver.write(Buffer.alloc(0));
      for (const value of [null, undefined, 5, {}, true]) {
        t.attempt(log, describe(value), () => receiver.write(value));
      }
      await settle(t, receiver);
    }
  },
  {
    title: 'Receiver: _write() called by hand',
    async run(WebSocket, log, t) {
      const receiver = watch(log, new WebSocket.Receiver());
      receiver._write(frame(1, 'a'), 'buffer', (err) => log('callback', err));
      receiver._write(frame(9, 'b').subarray(0, 2), 'buffer', () => {
        log('callback of a part');
      });
      receiver._write(frame(9, 'b').subarray(2), undefined, () => {
        log('callback of the rest');
      });
      receiver._write(frame(3, 'c'), 'buffer', (err) => {
        log('callback', err && err.code);
      });
      await settle(t, receiver);
    }
  },
  {
    title: 'Receiver: end() in the middle of a frame',
    async run(WebSocket, log, t) {
      for (const length of [0, 1, 2, 4, 6]) {
        const receiver = watch(log, new WebSocket.Receiver());
        receiver.end(frame(1, 'hello').subarray(0, length));
        await settle(t, receiver);
      }
    }
  },
  {
    title: 'Receiver: highWaterMark, needDrain and drain',
    async run(WebSocket, log, t) {
      const receiver = watch(
        log,
        new WebSocket.Receiver({ allowSynchronousEvents: false })
      );
      log('mark', receiver.writableHighWaterMark, receiver.writableObjectMode);
      const big = frame(2, Buffer.alloc(20000));
      log('write', receiver.write(Buffer.concat([big, big])));
      log('drain', receiver.writableNeedDrain, receiver.writableLength);
      log('write', receiver.write(frame(1, 'a')));
      log('length', receiver.writableLength);
      await settle(t, receiver);
      log('drain', receiver.writableNeedDrain, receiver.writableLength);
    }
  },
  {
    title: 'Receiver: drain while a message is being inflated',
    async run(WebSocket, log, t) {
      const deflate = accepted(WebSocket, { isServer: false });
      const receiver = watch(
        log,
        new WebSocket.Receiver({
          extensions: { 'permessage-deflate': deflate }
        })
      );
      const noise = createHash('sha512').update('x').digest();
      const data = Buffer.concat(Array(4000).fill(noise));
      const compressed = deflateMessage(data, { level: 0 });
      log('write', receiver.write(frame(2, compressed, { rsv: 4 })));
      log('need', receiver.writableNeedDrain);
      await t.once(receiver, 'drain');
      log('need', receiver.writableNeedDrain);
      deflate.cleanup();
    }
  },
  {
    title: 'Receiver: UTF-8 that is cut at every place',
    async run(WebSocket, log, t) {
      const texts = [
        'a\u00fc\u4e16\u{1f30d}z',
        [0x61, 0xc0, 0x80],
        [0x61, 0xed, 0xa0, 0x80, 0x62],
        [0xf4, 0x90, 0x80, 0x80],
        [0xf0, 0x9f, 0x8c],
        [0xe4, 0xb8, 0x41, 0x41],
        [0xf8, 0x88, 0x80, 0x80, 0x80],
        [0xef, 0xbf, 0xbf, 0xef, 0xbb, 0xbf]
      ];
      for (const text of texts) {
        const bytes = Buffer.from(text);
        for (const prefix of [0, 40]) {
          const data = Buffer.concat([Buffer.alloc(prefix, 'x'), bytes]);
          for (let i = prefix; i <= data.length; i++) {
            const fragments = Buffer.concat([
              frame(1, data.subarray(0, i), { fin: false }),
              frame(0, data.subarray(i)),
              frame(1, 'next')
            ]);
            for (let cut = 1; cut < fragments.length; cut += 3) {
              const seen = [];
              const receiver = new WebSocket.Receiver();
              receiver.on('message', (message) => seen.push(`${message}`));
              receiver.on('error', (err) => seen.push(err.code));
              receiver.write(fragments.subarray(0, cut));
              receiver.write(fragments.subarray(cut));
              await null;
              log(`${data.length} ${i} ${cut}`, seen);
            }
          }
        }
      }
      await t.turn(2);
    }
  },
  {
    title: 'Receiver: compressed frames in chunks of every size',
    async run(WebSocket, log, t) {
      const data = 'compressed data, '.repeat(30);
      const compressed = deflateMessage(data);
      const bytes = Buffer.concat([
        frame(1, compressed, { rsv: 4 }),
        frame(2, compressed.subarray(0, 9), { rsv: 4, fin: false }),
        frame(9, 'between'),
        frame(0, compressed.subarray(9), { fin: false }),
        frame(0, ''),
        frame(1, 'plain'),
        frame(8, closePayload(1000))
      ]);
      for (const size of [1, 2, 3, 10, 50, 1000]) {
        const deflate = accepted(WebSocket, { isServer: true });
        const receiver = watch(
          log,
          new WebSocket.Receiver({
            extensions: { 'permessage-deflate': deflate }
          })
        );
        const finished = t.once(receiver, 'finish');
        for (let i = 0; i < bytes.length; i += size) {
          receiver.write(bytes.subarray(i, i + size));
        }
        await finished;
        deflate.cleanup();
      }
    }
  },
  {
    title: 'Receiver: limits',
    async run(WebSocket, log, t) {
      for (const [options, parts] of [
        [{ maxPayload: 5 }, [frame(2, '123456')]],
        [{ maxPayload: 5 }, [frame(2, '123', { fin: false }), frame(0, '456')]],
        [{ maxPayload: 5 }, [frame(2, '12345'), frame(9, '123456')]],
        [{ maxFragments: 1 }, [frame(2, 'a', { fin: false }), frame(0, 'b')]],
        [{ maxFragments: 1 }, [frame(2, 'a'), frame(2, 'b')]],
        [
          { maxBufferedChunks: 2 },
          [
            frame(1, 'abcd').subarray(0, 3),
            frame(1, 'abcd').subarray(3, 4),
            frame(1, 'abcd').subarray(4, 5),
            frame(1, 'abcd').subarray(5)
          ]
        ],
        [
          { maxBufferedChunks: 2 },
          [
            frame(1, 'ab'),
            frame(1, 'cd').subarray(0, 3),
            frame(1, 'cd').subarray(3),
            frame(1, 'ef').subarray(0, 1),
            frame(1, 'ef').subarray(1)
          ]
        ]
      ]) {
        const receiver = watch(log, new WebSocket.Receiver(options));
        log('options', options);
        for (const part of parts) receiver.write(part);
        await settle(t, receiver);
      }
    }
  },
  {
    title: 'Receiver: binary types',
    async run(WebSocket, log, t) {
      for (const binaryType of [
        'nodebuffer',
        'arraybuffer',
        'fragments',
        'x'
      ]) {
        const receiver = watch(log, new WebSocket.Receiver({ binaryType }));
        receiver.write(
          Buffer.concat([
            frame(2, 'whole'),
            frame(2, ''),
            frame(2, 'a', { fin: false }),
            frame(0, 'b')
          ])
        );
        receiver._binaryType = 'arraybuffer';
        receiver.write(frame(2, 'changed'));
        await settle(t, receiver);
      }
    }
  },
  {
    title: 'Receiver: buffers that a listener keeps stay as they are',
    async run(WebSocket, log, t) {
      const receiver = new WebSocket.Receiver({ isServer: true });
      const kept = [];
      receiver.on('message', (data) => kept.push(data));
      const chunk = Buffer.concat([
        frame(1, 'first', { mask: true }),
        frame(2, 'second', { mask: true })
      ]);
      receiver.write(chunk);
      for (let i = 0; i < 50; i++) {
        receiver.write(frame(2, Buffer.alloc(2000, i), { mask: true }));
      }
      await settle(t, receiver);
      log('kept', kept[0], kept[1], kept[2][0], kept[51][1999]);
      kept[0].fill('x');
      log('others', kept[1], kept[2][0]);
    }
  },
  {
    title: 'Receiver: the extension in the place of a stand-in',
    async run(WebSocket, log, t) {
      const receiver = watch(
        log,
        new WebSocket.Receiver({
          extensions: {
            'permessage-deflate': {
              decompress(data, fin, callback) {
                log('decompress', data, fin);
                setImmediate(callback, null, Buffer.from(`<${data}>`));
              }
            }
          }
        })
      );
      receiver.write(
        Buffer.concat([
          frame(1, 'a', { rsv: 4 }),
          frame(1, 'plain'),
          frame(1, 'b', { rsv: 4, fin: false }),
          frame(9, 'ping'),
          frame(0, 'c')
        ])
      );
      await settle(t, receiver);
    }
  },
  {
    title: 'Receiver: a stand-in for the extension that fails',
    async run(WebSocket, log, t) {
      const receiver = watch(
        log,
        new WebSocket.Receiver({
          extensions: {
            'permessage-deflate': {
              decompress(data, fin, callback) {
                callback(new Error('own failure'));
              }
            }
          }
        })
      );
      receiver.write(Buffer.concat([frame(1, 'a', { rsv: 4 }), frame(1, 'b')]));
      await settle(t, receiver);
    }
  },
  {
    title: 'Sender.frame(): every option',
    async run(WebSocket, log) {
      const { Sender } = WebSocket;
      const generateMask = (key) => key.set([1, 2, 3, 4]);
      const datas = {
        text: () => 'text',
        empty: () => '',
        wide: () => 'h\u00e9',
        buffer: () => Buffer.from('buffer'),
        nothing: () => Buffer.alloc(0),
        uint8: () => new Uint8Array([1, 2, 3]),
        126: () => Buffer.alloc(126, 'a'),
        65536: () => Buffer.alloc(65536, 'b'),
        'long text': () => 'c'.repeat(300)
      };
      for (const [name, make] of Object.entries(datas)) {
        for (const mask of [false, true]) {
          for (const readOnly of [false, true]) {
            for (const [fin, rsv1, opcode] of [
              [true, false, 1],
              [false, true, 2],
              [true, true, 0],
              [undefined, undefined, 10]
            ]) {
              const data = make();
              const list = Sender.frame(data, {
                fin,
                rsv1,
                opcode,
                mask,
                readOnly,
                generateMask
              });
              log(`${name} ${mask} ${readOnly} ${fin} ${opcode}`, list, data);
            }
          }
        }
      }
    }
  },
  {
    title: 'Sender.frame(): masks',
    async run(WebSocket, log, t) {
      const { Sender } = WebSocket;
      const own = Buffer.alloc(4);
      log(
        'own buffer',
        Sender.frame(Buffer.from('data'), {
          fin: true,
          opcode: 2,
          mask: true,
          maskBuffer: own,
          generateMask(key) {
            log('same', key === own);
            key.fill(5);
          }
        }),
        own
      );
      log(
        'zero',
        Sender.frame('text', {
          fin: true,
          opcode: 1,
          mask: true,
          readOnly: true,
          generateMask: (key) => key.fill(0)
        })
      );
      const random = Sender.frame(Buffer.alloc(4), {
        fin: true,
        opcode: 2,
        mask: true
      });
      log('random', random.length, random[0].length, random[1].length);
      t.attempt(log, 'no options', () => Sender.frame('x'));
      t.attempt(log, 'no data', () => Sender.frame(undefined, {}));
      t.attempt(log, 'a number', () => Sender.frame(5, { opcode: 1 }));
    }
  },
  {
    title: 'Sender.frame(): bytes of the user',
    async run(WebSocket, log) {
      const { Sender } = WebSocket;
      const generateMask = (key) => key.fill(1);
      for (const readOnly of [false, true]) {
        const data = Buffer.from('abc');
        const list = Sender.frame(data, {
          fin: true,
          opcode: 2,
          mask: true,
          readOnly,
          generateMask
        });
        log(`readOnly ${readOnly}`, data, list, list.includes(data));
      }
      const data = Buffer.from('abc');
      const list = Sender.frame(data, { fin: true, opcode: 2 });
      log('same object', list[1] === data);
      const text = 'abc';
      log('same text', Sender.frame(text, { fin: true, opcode: 1 }));
    }
  },
  {
    title: 'Sender: all its methods on a stream',
    async run(WebSocket, log, t) {
      const sink = new Sink(log);
      const sender = new WebSocket.Sender(sink);
      const callback = (name) => (err) => log(`callback of ${name}`, err);
      sender.send('text', { fin: true }, callback('send'));
      sender.send(Buffer.from('data'), { fin: true, binary: true });
      sender.send('a', { fin: false }, callback('fragment'));
      sender.send('b', { fin: true }, callback('last fragment'));
      sender.ping('ping', false, callback('ping'));
      sender.pong(Buffer.from('pong'), false, callback('pong'));
      sender.ping('', false);
      sender.close(1000, 'bye', false, callback('close'));
      sender.close(undefined, undefined, false);
      await t.turn(2);
      log('state', sender._bufferedBytes, sender._queue, sender._state);
    }
  },
  {
    title: 'Sender: what its methods refuse',
    async run(WebSocket, log, t) {
      const sender = new WebSocket.Sender(new Sink());
      t.attempt(log, 'close', () => sender.close(1));
      t.attempt(log, 'close', () => sender.close(1000, 'x'.repeat(124)));
      t.attempt(log, 'ping', () => sender.ping('x'.repeat(126), false));
      t.attempt(log, 'pong', () => sender.pong(Buffer.alloc(126), false));
      t.attempt(log, 'send', () => sender.send(undefined, { fin: true }));
      t.attempt(log, 'send', () => sender.send({}, { fin: true }));
      t.attempt(log, 'send', () => sender.send('no options'));
      t.attempt(log, 'send', () => sender.send(5, { fin: true }));
    }
  },
  {
    title: 'Sender: a stream that does not complete writes',
    async run(WebSocket, log, t) {
      const sink = new Sink(undefined, true);
      const sender = new WebSocket.Sender(sink);
      for (let i = 0; i < 4; i++) {
        sender.send(`message ${i}`, { fin: true }, () => log(`sent ${i}`));
      }
      log('length', sink.writableLength, sender._bufferedBytes);
      while (sink.pending.length) {
        log('complete');
        sink.pending.shift()();
        await t.turn();
      }
      log('bytes', sink.bytes);
    }
  },
  {
    title: 'Sender: a stream that was destroyed',
    async run(WebSocket, log, t) {
      const sink = new Sink();
      sink.on('error', (err) => log('error', err));
      const sender = new WebSocket.Sender(sink);
      sink.destroy();
      sender.send('x', { fin: true }, (err) => log('callback', err));
      sender.ping('', false, (err) => log('callback', err));
      await t.turn(2);
    }
  },
  {
    title: 'Sender: sendFrame() with lists of one, two and more buffers',
    async run(WebSocket, log, t) {
      const sink = new Sink(log);
      const sender = new WebSocket.Sender(sink);
      sender.sendFrame([Buffer.from('one')], () => log('callback 1'));
      sender.sendFrame([Buffer.from('a'), 'two'], () => log('callback 2'));
      sender.sendFrame([Buffer.from('x'), Buffer.from('y'), Buffer.from('z')]);
      await t.turn();
      log('bytes', sink.bytes);
    }
  },
  {
    title: 'Sender: onerror and a Blob that fails',
    async run(WebSocket, log, t) {
      const sender = new WebSocket.Sender(new Sink());
      sender.onerror = function (err) {
        log('onerror', err, this === sender);
      };
      const blob = new Blob(['x']);
      blob.arrayBuffer = () => Promise.reject(new Error('unreadable'));
      sender.send(blob, { fin: true }, (err) => log('callback', err));
      sender.ping('p', false, (err) => log('ping callback', err));
      await t.turn(3);
      log('queue', sender._queue.length, sender._state, sender._bufferedBytes);
    }
  },
  {
    title: 'Sender: a stand-in for the extension',
    async run(WebSocket, log, t) {
      const sink = new Sink(log);
      const sender = new WebSocket.Sender(sink, {
        'permessage-deflate': {
          params: { server_no_context_takeover: true },
          _threshold: 5,
          _isServer: true,
          compress(data, fin, callback) {
            log('compress', data, fin);
            setImmediate(callback, null, Buffer.from(`<${data}>`));
          }
        }
      });
      sender.send('abcd', { fin: true, compress: true });
      sender.send('abcde', { fin: true, compress: true });
      sender.send('no', { fin: true, compress: false });
      sender.ping('p', false);
      sender.send('fragment', { fin: false, compress: true });
      sender.send('f', { fin: true, compress: true });
      log('buffered', sender._bufferedBytes, sender._queue.length);
      await t.turn(8);
      log('buffered', sender._bufferedBytes, sender._queue.length);
    }
  },
  ...[
    [false, {}],
    [true, {}],
    [true, { server_no_context_takeover: [true] }],
    [false, { client_no_context_takeover: [true] }],
    [true, { server_max_window_bits: ['9'] }],
    [false, { client_max_window_bits: ['9'] }]
  ].map(([isServer, params]) => ({
    title: `PerMessageDeflate: there and back, isServer ${isServer}, ${describe(
      params
    )}`,
    async run(WebSocket, log) {
      const copy = () => JSON.parse(JSON.stringify(params));
      const own = accepted(WebSocket, { isServer, threshold: 0 }, copy());
      const other = accepted(WebSocket, { isServer: !isServer }, copy());
      log('params', own.params);
      const call = (object, method, ...args) =>
        new Promise((resolve) => {
          object[method](...args, (err, data) => resolve([err, data]));
        });
      for (const [data, fin] of [
        ['hello', true],
        ['hello', true],
        [Buffer.from('a buffer'), true],
        ['first ', false],
        ['second', true],
        [Buffer.alloc(100000, 'long '), true],
        ['', true]
      ]) {
        const [err, compressed] = await call(own, 'compress', data, fin);
        log('compressed', err, compressed.length <= data.length + 10);
        const result = await call(other, 'decompress', compressed, fin);
        log('back', ...result);
      }
      own.cleanup();
      other.cleanup();
    }
  })),
  {
    title: 'PerMessageDeflate: callbacks are asynchronous and in order',
    async run(WebSocket, log, t) {
      const deflate = accepted(WebSocket, { threshold: 0 });
      let returned = false;
      deflate.compress('a', true, () => log('a', returned));
      returned = true;
      await t.sleep(20);
      let count = 0;
      for (const name of ['b', 'c', 'd']) {
        const one = accepted(WebSocket, { threshold: 0 });
        one.compress(name, true, () => count++);
      }
      await t.poll(() => count === 3);
      log('count', count);
    }
  },
  {
    title: 'PerMessageDeflate: data that can not be inflated',
    async run(WebSocket, log) {
      for (const bytes of [
        [0xff],
        [0x06],
        [0x03, 0xfe, 0x01, 0x00],
        [0x00, 0x01, 0x00, 0x00, 0x00],
        [0xed]
      ]) {
        const deflate = accepted(WebSocket, { isServer: true });
        await new Promise((resolve) => {
          deflate.decompress(Buffer.from(bytes), true, (err, data) => {
            log(describe(bytes), err, data);
            resolve();
          });
        });
        deflate.cleanup();
      }
    }
  },
  {
    title: 'PerMessageDeflate: maxPayload',
    async run(WebSocket, log) {
      for (const maxPayload of [0, 10, 99, 100, 101]) {
        const deflate = accepted(WebSocket, { isServer: true, maxPayload });
        const data = deflateMessage(Buffer.alloc(100));
        await new Promise((resolve) => {
          deflate.decompress(data, true, (err, result) => {
            log(`${maxPayload}`, err, result && result.length);
            resolve();
          });
        });
        deflate.cleanup();
      }
    }
  },
  {
    title: 'PerMessageDeflate: cleanup() while it compresses',
    async run(WebSocket, log, t) {
      const deflate = accepted(WebSocket, { threshold: 0 });
      deflate.compress('x'.repeat(1000), true, (err, data) => {
        log('callback', err, data);
      });
      deflate.cleanup();
      log('cleaned');
      await t.sleep(20);
      t.attempt(log, 'again', () => deflate.cleanup());
      log('state', deflate._deflate, deflate._inflate);
    }
  },
  {
    title: 'PerMessageDeflate: offer()',
    async run(WebSocket, log) {
      for (const server of [undefined, false, true, 10]) {
        for (const client of [undefined, null, false, true, 10, 0]) {
          for (const takeover of [undefined, false, true]) {
            const deflate = new WebSocket.PerMessageDeflate({
              serverMaxWindowBits: server,
              clientMaxWindowBits: client,
              serverNoContextTakeover: takeover,
              clientNoContextTakeover: takeover
            });
            log(describe([server, client, takeover]), deflate.offer());
          }
        }
      }
      log('none', new WebSocket.PerMessageDeflate().offer());
    }
  },
  ...[true, false].map((isServer) => ({
    title: `PerMessageDeflate: accept(), isServer ${isServer}`,
    async run(WebSocket, log) {
      const { parse } = WebSocket.extension;
      const offers = [
        '',
        ';client_max_window_bits',
        ';client_max_window_bits=8',
        ';client_max_window_bits=10',
        ';client_max_window_bits=15',
        ';client_max_window_bits=16',
        ';server_max_window_bits',
        ';server_max_window_bits=9',
        ';server_max_window_bits=15',
        ';server_max_window_bits=7',
        ';server_no_context_takeover',
        ';server_no_context_takeover=x',
        ';client_no_context_takeover',
        ';client_no_context_takeover;client_no_context_takeover',
        ';unknown',
        ';server_max_window_bits=10;client_max_window_bits=10',
        ';server_max_window_bits=10, permessage-deflate'
      ];
      for (const server of [undefined, false, true, 10]) {
        for (const client of [undefined, false, true, 10]) {
          for (const takeover of [undefined, false, true]) {
            for (const offer of offers) {
              const options = {
                isServer,
                serverMaxWindowBits: server,
                clientMaxWindowBits: client,
                serverNoContextTakeover: takeover,
                clientNoContextTakeover: takeover
              };
              const deflate = new WebSocket.PerMessageDeflate(options);
              const label = `${server} ${client} ${takeover} ${offer}`;
              const parsed = parse(`permessage-deflate${offer}`);
              try {
                const result = deflate.accept(parsed['permessage-deflate']);
                log(label, result, deflate.params === result);
              } catch (err) {
                log(label, err, deflate.params);
              }
            }
          }
        }
      }
    }
  })),
  {
    title: 'PerMessageDeflate: accept() of what is no list',
    async run(WebSocket, log) {
      for (const value of [[], undefined, null, {}, [{ x: [1] }]]) {
        for (const isServer of [false, true]) {
          const deflate = new WebSocket.PerMessageDeflate({ isServer });
          try {
            log(describe(value), deflate.accept(value));
          } catch (err) {
            log(describe(value), err.constructor.name);
          }
        }
      }
      log('name', WebSocket.PerMessageDeflate.extensionName);
    }
  },
  {
    title: 'PerMessageDeflate: zlib options',
    async run(WebSocket, log, t) {
      for (const options of [
        { zlibDeflateOptions: { level: 0 } },
        { zlibDeflateOptions: { level: 9 } },
        { zlibDeflateOptions: { level: 1, memLevel: 2, chunkSize: 1024 } },
        { zlibInflateOptions: { chunkSize: 64 } }
      ]) {
        const own = accepted(WebSocket, { ...options, threshold: 0 });
        const other = accepted(WebSocket, { ...options, isServer: true });
        const text = 'abcabcabd'.repeat(200);
        await new Promise((resolve) => {
          own.compress(text, true, (err, data) => {
            log(describe(options), err, data.length < text.length);
            other.decompress(data, true, (failure, back) => {
              log('back', failure, `${back}` === text);
              resolve();
            });
          });
        });
        own.cleanup();
        other.cleanup();
      }
      t.attempt(log, 'bad level', () => {
        const bad = accepted(WebSocket, { zlibDeflateOptions: { level: 99 } });
        bad.compress('x', true, () => log('called'));
      });
    }
  },
  {
    title: 'Receiver and Sender: piped through each other',
    async run(WebSocket, log, t) {
      for (const [isServer, mask] of [
        [true, true],
        [false, false]
      ]) {
        const receiver = watch(log, new WebSocket.Receiver({ isServer }));
        const socket = new Writable({
          write(chunk, encoding, callback) {
            receiver.write(chunk, callback);
          }
        });
        const sender = new WebSocket.Sender(socket);
        sender.send('text', { fin: true, mask });
        sender.send(Buffer.alloc(70000, 'x'), {
          fin: true,
          binary: true,
          mask
        });
        sender.ping('ping', mask);
        sender.close(1001, 'bye', mask);
        await settle(t, receiver);
      }
    }
  }
);

//
// What has waited behind a message when an error is found is not emitted.
//
for (const isServer of [true, false]) {
  scenarios.push({
    title: `Receiver: chunks that wait behind an error, ${isServer ? 'server' : 'client'}`,
    async run(WebSocket, log, t) {
      const extensions = {
        'permessage-deflate': accepted(WebSocket, { isServer })
      };
      const receiver = watch(
        log,
        new WebSocket.Receiver({ extensions, isServer })
      );
      const parts = [
        frame(1, deflateMessage('compressed'), { mask: isServer, rsv: 4 }),
        frame(1, Buffer.alloc(2000, 0xff), { mask: isServer }),
        frame(1, 'after', { mask: isServer }),
        frame(9, '', { mask: isServer })
      ];
      receiver.write(parts[0]);
      receiver.write(parts[1].subarray(0, 1500));
      receiver.write(parts[1].subarray(1500));
      receiver.write(parts[2]);
      receiver.write(parts[3]);
      await settle(t, receiver);
    }
  });

  scenarios.push({
    title: `Receiver: short messages in pieces, ${isServer ? 'server' : 'client'}`,
    async run(WebSocket, log, t) {
      const receiver = watch(log, new WebSocket.Receiver({ isServer }));
      const bytes = Buffer.concat([
        frame(1, 'header and payload', { mask: isServer }),
        frame(2, Buffer.alloc(300, 'x'), { mask: isServer }),
        frame(1, Buffer.alloc(1000, 'y'), { mask: isServer }),
        frame(9, 'ping', { mask: isServer }),
        frame(1, '\u00e4\u20ac', { mask: isServer })
      ]);
      for (const size of [1, 2, 3, 6, 8, 10, 100, 400]) {
        for (let i = 0; i < bytes.length; i += size) {
          receiver.write(Buffer.from(bytes.subarray(i, i + size)));
          if (i % 5 === 0) log('length', receiver._totalPayloadLength);
        }
      }
      const broken = frame(1, Buffer.from([0x61, 0xff]), { mask: isServer });
      receiver.write(broken.subarray(0, -1));
      receiver.write(broken.subarray(-1));
      await settle(t, receiver);
    }
  });
}

module.exports = scenarios;
