'use strict';

//
// Programs that supply, replace or configure what decompresses messages.
//

const { closePayload, deflate, frame } = require('../../helpers/frames');

const ROLES = ['server', 'client'];
const HEADERS = { 'Sec-WebSocket-Extensions': 'permessage-deflate' };

/**
 * Makes a stand-in that answers in the check phase.
 *
 * @param {Function} log The log
 * @param {Function} [convert] Makes the result from the payload
 * @return {Object} The stand-in
 */
function standIn(log, convert = (data) => Buffer.from(`<${data}>`)) {
  return {
    decompress(data, fin, callback) {
      log('decompress', data, fin);
      setImmediate(() => callback(null, convert(data)));
    }
  };
}

/**
 * Writes chunks to a receiver that has a stand-in, until it has nothing to do.
 *
 * @param {Function} WebSocket The class under test
 * @param {Function} log The log
 * @param {Object} t The toolbox
 * @param {Object} extension The stand-in
 * @param {Object} options More options of the receiver
 * @param {Buffer[]} chunks The chunks
 * @return {Promise} Resolved then
 */
async function receive(WebSocket, log, t, extension, options, chunks) {
  const receiver = new WebSocket.Receiver({
    extensions: { 'permessage-deflate': extension },
    ...options
  });
  const events = ['message', 'ping', 'pong', 'conclude', 'error', 'close'];
  for (const event of events) {
    receiver.on(event, (...args) => log(event, ...args));
  }
  for (const chunk of chunks) receiver.write(chunk);
  await t.turn(30);
  log('state', receiver._errored, receiver.destroyed);
}

const FRAGMENTS = [
  frame(2, 'a', { rsv: 4, fin: false }),
  frame(0, '', { fin: false }),
  frame(9, 'ping'),
  frame(0, 'b'),
  frame(2, 'c', { rsv: 4 }),
  frame(2, 'plain'),
  frame(1, 'text', { rsv: 4 }),
  frame(8, closePayload(1000, 'bye'))
];

const scenarios = [];

for (const binaryType of ['nodebuffer', 'arraybuffer', 'fragments', 'blob']) {
  for (const allowSynchronousEvents of [true, false]) {
    scenarios.push({
      title: `a stand-in: ${binaryType}, synchronous ${allowSynchronousEvents}`,
      async run(WebSocket, log, t) {
        const options = { binaryType, allowSynchronousEvents };
        const extension = standIn(log, (data) => Buffer.from(`${data}`));
        const whole = Buffer.concat(FRAGMENTS);
        const bytes = Array.from(whole, (byte) => Buffer.from([byte]));
        await receive(WebSocket, log, t, extension, options, [whole]);
        await receive(WebSocket, log, t, extension, options, bytes);
      }
    });
  }
}

const invalid = Buffer.from([0xc3, 0x28]);
const half = (n) => Buffer.from([[0xc3], [0xa9]][n]);

const RESULTS = {
  'the largest message': [{ maxPayload: 4 }, () => Buffer.alloc(4)],
  'a message that is too long': [{ maxPayload: 4 }, () => Buffer.alloc(5)],
  'invalid text': [{}, () => invalid],
  'invalid text that is not checked': [
    { skipUTF8Validation: true },
    () => invalid
  ],
  'an empty result': [{}, () => Buffer.alloc(0)],
  'a result that is no buffer': [{}, () => new Uint8Array([65, 66])]
};

for (const [name, [options, convert]] of Object.entries(RESULTS)) {
  scenarios.push({
    title: `a stand-in: ${name}`,
    async run(WebSocket, log, t) {
      for (const opcode of [1, 2]) {
        await receive(WebSocket, log, t, standIn(log, convert), options, [
          Buffer.concat([frame(opcode, 'abc', { rsv: 4 }), frame(1, 'after')]),
          frame(9, 'later')
        ]);
      }
    }
  });
}

scenarios.push(
  {
    title: 'a stand-in: limits over fragments',
    async run(WebSocket, log, t) {
      const parts = [
        frame(1, 'a', { rsv: 4, fin: false }),
        frame(0, 'b', { fin: false }),
        frame(0, 'c'),
        frame(1, 'after')
      ];
      for (const options of [
        { maxPayload: 2 },
        { maxPayload: 6 },
        { maxPayload: 9 },
        { maxFragments: 2 },
        { maxFragments: 3 }
      ]) {
        const chunks = [Buffer.concat(parts)];
        await receive(WebSocket, log, t, standIn(log), options, chunks);
      }
    }
  },
  {
    title: 'a stand-in: a character in two fragments',
    async run(WebSocket, log, t) {
      const extension = standIn(log, (data) => half(+`${data}`));
      for (const second of ['1', '0']) {
        await receive(WebSocket, log, t, extension, {}, [
          frame(1, '0', { rsv: 4, fin: false }),
          frame(0, second)
        ]);
      }
    }
  },
  {
    title: 'a stand-in: an error of the protocol behind it',
    async run(WebSocket, log, t) {
      await receive(WebSocket, log, t, standIn(log), {}, [
        Buffer.concat([frame(1, 'a', { rsv: 4 }), frame(3, 'x')])
      ]);
      for (const first of [
        frame(9, 'a', { rsv: 4 }),
        frame(0, 'a', { rsv: 4 }),
        frame(1, 'a', { rsv: 6 })
      ]) {
        await receive(WebSocket, log, t, standIn(log), {}, [first]);
      }
    }
  },
  {
    title: 'a stand-in: masked frames on the side of the server',
    async run(WebSocket, log, t) {
      const mask = true;
      const options = { isServer: true };
      await receive(WebSocket, log, t, standIn(log), options, [
        frame(1, 'a'.repeat(300), { rsv: 4, mask }),
        frame(1, 'b'.repeat(70000), { rsv: 4, mask })
      ]);
    }
  },
  {
    title: 'a stand-in that calls back at once',
    async run(WebSocket, log, t) {
      for (const fin of [true, false]) {
        for (const allowSynchronousEvents of [true, false]) {
          const extension = {
            decompress(data, fin, callback) {
              callback(null, Buffer.from(`<${data}>`));
            }
          };
          await receive(
            WebSocket,
            log,
            t,
            extension,
            { allowSynchronousEvents },
            [
              Buffer.concat([
                frame(2, 'a', { rsv: 4, fin }),
                frame(9, 'ping'),
                frame(fin ? 1 : 0, 'b')
              ])
            ]
          );
        }
      }
    }
  },
  {
    title: 'a stand-in that fails later',
    async run(WebSocket, log, t) {
      const extension = {
        decompress(data, fin, callback) {
          setImmediate(callback, Object.assign(new Error('own'), { code: 5 }));
        }
      };
      await receive(WebSocket, log, t, extension, {}, [
        Buffer.concat([frame(1, 'a', { rsv: 4 }), frame(1, 'b')]),
        frame(1, 'c')
      ]);
    }
  },
  {
    title: 'a stand-in that calls back twice',
    async run(WebSocket, log, t) {
      const extension = {
        decompress(data, fin, callback) {
          setImmediate(() => {
            callback(null, Buffer.from('first'));
            callback(null, Buffer.from('second'));
          });
        }
      };
      await receive(WebSocket, log, t, extension, {}, [
        frame(1, 'a', { rsv: 4 })
      ]);
    }
  },
  {
    title: 'a stand-in that throws',
    async run(WebSocket, log, t) {
      const extension = {
        decompress() {
          throw new Error('own');
        }
      };
      try {
        await receive(WebSocket, log, t, extension, {}, [
          Buffer.concat([frame(1, 'a', { rsv: 4 }), frame(1, 'b')])
        ]);
      } catch (err) {
        log('thrown', err);
      }
      await t.turn(10);
    }
  },
  {
    title: 'a stand-in that never calls back',
    async run(WebSocket, log, t) {
      await receive(WebSocket, log, t, { decompress() {} }, {}, [
        Buffer.concat([frame(1, 'a', { rsv: 4 }), frame(1, 'b')]),
        frame(9, 'c')
      ]);
    }
  }
);

for (const role of ROLES) {
  /**
   * Adds a scenario on a connection.
   *
   * @param {String} title The title, without the role
   * @param {(Object|Boolean)} perMessageDeflate The options of the extension
   * @param {Function} run The scenario
   */
  const add = (title, perMessageDeflate, run) => {
    scenarios.push({
      title: `${title}, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, {
          options: { perMessageDeflate },
          headers: HEADERS,
          prepare: (ws) => t.watch(ws, log)
        });
        await run({ ws, peer, log, t, WebSocket });
      }
    });
  };

  add('a wrapped prototype', true, async ({ ws, peer, log, t }) => {
    const { prototype } = ws._extensions['permessage-deflate'].constructor;
    for (const name of ['decompress', '_decompress']) {
      const original = prototype[name];
      prototype[name] = function (data, fin, callback) {
        log(name, data, fin);
        original.call(this, data, fin, callback);
      };
      t.defer(() => (prototype[name] = original));
    }
    peer.write(peer.frame(1, deflate('first message'), { rsv: 4 }));
    await t.once(ws, 'message');
    peer.write(
      peer.frame(1, deflate('second'), { rsv: 4 }),
      peer.frame(1, 'plain'),
      peer.closeFrame(1000, 'bye')
    );
    peer.socket.end();
    await t.over(ws);
  });

  add('options for zlib', { zlibInflateOptions: { chunkSize: 64 } }, (s) => {
    const { ws, peer, t } = s;
    peer.write(
      peer.frame(1, deflate('message '.repeat(500)), { rsv: 4 }),
      peer.closeFrame(1000)
    );
    peer.socket.end();
    return t.over(ws);
  });

  const dictionary = Buffer.from('words that both sides know');

  add('a dictionary', { zlibInflateOptions: { dictionary } }, async (s) => {
    const { ws, peer, t } = s;
    const text = 'both sides know the words';
    peer.write(peer.frame(1, deflate(text, { dictionary }), { rsv: 4 }));
    await t.once(ws, 'message');
    peer.write(peer.frame(1, Buffer.from([0, 0, 0, 0, 0]), { rsv: 4 }));
    await t.once(ws, 'error');
    peer.socket.end();
    await t.over(ws);
  });

  for (const at of ['at once', 'later']) {
    add(`a stand-in that fails ${at}`, true, async ({ ws, peer, log, t }) => {
      ws._extensions['permessage-deflate'].decompress = (data, fin, cb) => {
        log('decompress', data, fin);
        if (at === 'later') setImmediate(cb, new Error('own'));
        else cb(new Error('own'));
      };
      peer.write(
        peer.frame(1, 'before'),
        peer.frame(1, 'a', { rsv: 4 }),
        peer.frame(1, 'b')
      );
      await t.once(ws, 'error');
      peer.write(peer.frame(1, 'c'));
      await t.turn(5);
      peer.socket.end();
      await t.over(ws);
    });
  }

  add('replaced by a listener', true, async ({ ws, peer, log, t }) => {
    ws.once('message', () => {
      const { decompress } = standIn(log);
      ws._extensions['permessage-deflate'].decompress = decompress;
    });
    peer.write(
      peer.frame(1, 'before'),
      peer.frame(1, 'a', { rsv: 4 }),
      peer.frame(1, 'b'),
      peer.closeFrame(1000)
    );
    await peer.when(() => peer.frames.some(({ opcode }) => opcode === 8));
    peer.socket.end();
    await t.over(ws);
  });

  for (const action of ['pause', 'terminate', 'close']) {
    for (const own of [true, false]) {
      const whose = own ? 'stand-in' : 'extension';
      add(`${action}() before the ${whose}`, true, async (s) => {
        const { ws, peer, log, t } = s;
        if (own) {
          const { decompress } = standIn(log);
          ws._extensions['permessage-deflate'].decompress = decompress;
        }
        const data = own ? 'own' : deflate('compressed');
        ws.once('message', () => ws[action]());
        peer.write(
          peer.frame(1, 'before'),
          peer.frame(1, data, { rsv: 4 }),
          peer.frame(1, 'after')
        );
        let count = 0;
        ws.on('message', () => count++);
        await t.poll(() => count === 3);
        log('state', ws.readyState, ws.isPaused);
        ws.terminate();
        await t.over(ws);
      });
    }
  }

  add('a socket read by the program', true, async ({ ws, peer, log, t }) => {
    const { decompress } = standIn(log);
    ws._extensions['permessage-deflate'].decompress = decompress;
    ws.once('message', () => ws._socket.on('data', () => {}));
    peer.write(
      peer.frame(1, 'before'),
      peer.frame(1, 'a', { rsv: 4 }),
      peer.frame(1, 'b')
    );
    await t.once(ws, 'message');
    await t.sleep(20);
    peer.write(peer.frame(1, 'c', { rsv: 4 }), peer.closeFrame(1000));
    peer.socket.end();
    await t.over(ws);
  });

  add('many frames behind a slow stand-in', true, async (s) => {
    const { ws, peer, log, t } = s;
    let release;
    ws.removeAllListeners('message');
    ws._extensions['permessage-deflate'].decompress = (data, fin, cb) => {
      release = () => cb(null, data);
    };
    const frames = [peer.frame(1, 'slow', { rsv: 4 })];
    for (let i = 0; i < 15000; i++) frames.push(peer.frame(1, `${i}`));
    const seen = [];
    ws.on('message', (data) => seen.push(`${data}`));
    peer.write(...frames);
    await t.poll(() => release);
    await t.poll(() => ws._socket.isPaused());
    log('paused', seen.length, ws.isPaused);
    release();
    await t.poll(() => seen.length === 15001);
    const [first, ...rest] = seen;
    log(
      'in order',
      first,
      rest.every((text, i) => text === `${i}`)
    );
    await t.poll(() => !ws._socket.isPaused());
  });
}

module.exports = scenarios;
