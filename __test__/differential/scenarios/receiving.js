'use strict';

const zlib = require('zlib');

const { closePayload, deflate, frame } = require('../../helpers/frames');

const ROLES = ['server', 'client'];
const BINARY_TYPES = ['nodebuffer', 'arraybuffer', 'fragments', 'blob'];
const DEFLATE = {
  'Sec-WebSocket-Extensions': 'permessage-deflate'
};

/**
 * Makes frames for the wire. The mask bit is set if the peer plays the client.
 *
 * @param {Boolean} mask Whether the frames are masked
 * @param {Array} list The frames as arrays of arguments of `frame()`
 * @return {Buffer} The bytes
 */
function encode(mask, list) {
  return Buffer.concat(
    list.map(([opcode, payload, options]) => {
      return frame(opcode, payload, { mask, ...options });
    })
  );
}

//
// Does not get smaller, so that a cut of the compressed data is a cut of the
// message.
//
const NOISE = deflate(
  Buffer.from(Array.from({ length: 150 }, (_, i) => (i * i * 167) >> 4))
);

const BIG = Buffer.alloc(70000, 'big ');

const MESSAGES = [
  ['a text', [[1, 'hello']]],
  ['an empty text', [[1, '']]],
  ['a text of several bytes per character', [[1, 'Grüße, 世界 🌍']]],
  ['a text with a byte order mark', [[1, '\ufeffx']]],
  ['a text of 125 bytes', [[1, 'x'.repeat(125)]]],
  ['a text of 126 bytes', [[1, 'x'.repeat(126)]]],
  ['a text of 65535 bytes', [[1, 'y'.repeat(65535)]]],
  ['a text of 65536 bytes', [[1, 'y'.repeat(65536)]]],
  ['binary data', [[2, Buffer.from([0, 1, 254, 255])]]],
  ['empty binary data', [[2, '']]],
  ['binary data of 70000 bytes', [[2, BIG]]],
  [
    'a ping and a pong',
    [
      [9, 'pi'],
      [10, 'po']
    ]
  ],
  ['an empty ping and an empty pong', [[9], [10]]],
  ['a ping of 125 bytes', [[9, 'p'.repeat(125)]]],
  ['pings whose bytes are not UTF-8', [[9, Buffer.from([0xff, 0xfe])]]],
  [
    'a text in three fragments',
    [
      [1, 'one ', { fin: false }],
      [0, 'two ', { fin: false }],
      [0, 'three']
    ]
  ],
  [
    'fragments of which some are empty',
    [
      [1, '', { fin: false }],
      [0, 'a', { fin: false }],
      [0, '', { fin: false }],
      [0, '']
    ]
  ],
  [
    'fragments that are all empty',
    [
      [2, '', { fin: false }],
      [0, '', { fin: false }],
      [0, '']
    ]
  ],
  [
    'control frames between fragments',
    [
      [1, 'a', { fin: false }],
      [9, 'ping'],
      [0, 'b', { fin: false }],
      [10, 'pong'],
      [0, 'c']
    ]
  ],
  [
    'a character that is cut by a fragment',
    [
      [1, Buffer.from([0xe4, 0xb8]), { fin: false }],
      [0, Buffer.from([0x96])]
    ]
  ],
  [
    'lengths that are longer than they need to be',
    [
      [1, 'short', { lengthBytes: 2 }],
      [2, 'short', { lengthBytes: 8 }]
    ]
  ],
  [
    'many small messages in one chunk',
    Array.from({ length: 40 }, (_, i) => [1 + (i & 1), `message ${i}`])
  ],
  [
    'messages after a message',
    [
      [1, 'a'],
      [9, 'b'],
      [2, 'c'],
      [10, 'd'],
      [1, 'e', { fin: false }],
      [0, 'f']
    ]
  ]
];

//
// Every line is a violation of the protocol, with what comes before it in the
// same chunk and after it, which must not be looked at.
//
const VIOLATIONS = [
  ['RSV2', [[1, 'a', { rsv: 2 }]]],
  ['RSV3', [[1, 'a', { rsv: 1 }]]],
  ['RSV1 without extension', [[1, 'a', { rsv: 4 }]]],
  ['all reserved bits', [[2, 'a', { rsv: 7 }]]],
  ['RSV1 on a ping', [[9, 'a', { rsv: 4 }]]],
  ['RSV1 on a close frame', [[8, closePayload(1000), { rsv: 4 }]]],
  ['opcode 3', [[3, 'a']]],
  ['opcode 7', [[7, 'a']]],
  ['opcode 11', [[11, 'a']]],
  ['opcode 15', [[15, 'a']]],
  ['an unfinished frame of opcode 5', [[5, 'a', { fin: false }]]],
  ['a continuation of nothing', [[0, 'a']]],
  ['an unfinished continuation of nothing', [[0, 'a', { fin: false }]]],
  [
    'a text inside a message',
    [
      [1, 'a', { fin: false }],
      [1, 'b']
    ]
  ],
  [
    'binary data inside a message',
    [
      [1, 'a', { fin: false }],
      [2, 'b']
    ]
  ],
  ['an unfinished ping', [[9, 'a', { fin: false }]]],
  ['an unfinished close frame', [[8, '', { fin: false }]]],
  ['a ping of 126 bytes', [[9, 'p'.repeat(126)]]],
  ['a pong of 70000 bytes', [[10, 'p'.repeat(70000)]]],
  ['a close frame of 126 bytes', [[8, closePayload(1000, 'p'.repeat(124))]]],
  ['a close frame of one byte', [[8, 'a']]],
  ...[0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535].map((code) => [
    `the close code ${code}`,
    [[8, closePayload(code, 'reason')]]
  ]),
  [
    'a close reason that is not UTF-8',
    [[8, closePayload(1000, Buffer.from([0x61, 0xff]))]]
  ],
  ['a text that is not UTF-8', [[1, Buffer.from([0x61, 0xc0, 0xaf])]]],
  [
    'a long text that is not UTF-8',
    [[1, Buffer.concat([Buffer.alloc(100, 'x'), Buffer.from([0xed, 0xa0])])]]
  ],
  ['a text that ends in a character', [[1, Buffer.from([0x61, 0xe4, 0xb8])]]],
  [
    'a fragmented text that is not UTF-8',
    [
      [1, Buffer.from([0x61, 0xff]), { fin: false }],
      [9, 'still heard'],
      [0, 'b']
    ]
  ],
  ['a wrong mask bit', [[1, 'a', { flip: true }]]],
  ['a wrong mask bit on a ping', [[9, 'a', { flip: true }]]],
  ['a wrong mask bit and a wrong opcode', [[3, 'a', { flip: true }]]],
  ['a wrong mask bit and RSV2', [[1, 'a', { flip: true, rsv: 2 }]]],
  ['a wrong mask bit and a long ping', [[9, 'p'.repeat(126), { flip: true }]]]
];

const scenarios = [];

for (const role of ROLES) {
  const mask = role === 'server';

  for (const [name, list] of MESSAGES) {
    scenarios.push({
      title: `the ${role} receives ${name}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, {
          prepare: (ws) => t.watch(ws, log)
        });
        peer.write(encode(mask, list));
        await peer.fence();
        log('state', ws.readyState, ws.bufferedAmount);
        peer.report(log);
      }
    });
  }

  for (const binaryType of BINARY_TYPES) {
    scenarios.push({
      title: `the ${role} receives with the binary type ${binaryType}`,
      async run(WebSocket, log, t) {
        const pending = [];
        const { peer } = await t.end(role, {
          prepare: (ws) => {
            ws.binaryType = binaryType;
            ws.on('message', (data, isBinary) => {
              log('message', data, isBinary, Object.keys(data).length);
              if (data instanceof Blob) {
                pending.push(
                  data.arrayBuffer().then((bytes) => Buffer.from(bytes))
                );
              }
            });
            ws.addEventListener('message', (event) => log('event', event));
          }
        });
        peer.write(
          encode(mask, [
            [2, 'whole'],
            [2, ''],
            [2, 'one', { fin: false }],
            [0, '', { fin: false }],
            [0, 'two'],
            [1, 'text'],
            [1, 'te', { fin: false }],
            [0, 'xt']
          ])
        );
        peer.write(encode(mask, [[2, BIG]]));
        await peer.fence();
        log('blobs', await Promise.all(pending));
      }
    });
  }

  scenarios.push(
    {
      title: `the ${role} changes the binary type between messages`,
      async run(WebSocket, log, t) {
        const { peer } = await t.end(role, {
          prepare: (ws) => {
            ws.on('message', (data) => {
              log('message', data, ws.binaryType, ws._receiver._binaryType);
              if (ws.binaryType === 'nodebuffer') ws.binaryType = 'arraybuffer';
              else if (ws.binaryType === 'arraybuffer') {
                ws.binaryType = 'fragments';
              } else ws.binaryType = 'nonsense';
            });
          }
        });
        peer.write(
          encode(mask, [
            [2, 'a'],
            [2, 'b'],
            [2, 'c'],
            [2, 'd']
          ])
        );
        await peer.fence();
      }
    },
    {
      title: `the ${role} receives messages together with the handshake`,
      async run(WebSocket, log, t) {
        const { peer } = await t.end(role, {
          first: encode(mask, [
            [1, 'first'],
            [9, 'second'],
            [2, 'third']
          ]),
          prepare: (ws) => t.watch(ws, log)
        });
        await peer.fence();
        peer.report(log);
      }
    },
    {
      title: `the ${role} receives a part of a frame with the handshake`,
      async run(WebSocket, log, t) {
        const bytes = encode(mask, [
          [1, 'first'],
          [2, 'a frame that is cut']
        ]);
        const { peer } = await t.end(role, {
          first: bytes.subarray(0, 20),
          prepare: (ws) => t.watch(ws, log)
        });
        peer.write(bytes.subarray(20));
        await peer.fence();
      }
    },
    {
      title: `the ${role} receives a violation together with the handshake`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, {
          first: encode(mask, [
            [1, 'first'],
            [3, 'second']
          ]),
          prepare: (ws) => t.watch(ws, log)
        });
        await peer.until(1);
        peer.socket.end();
        await t.over(ws);
        peer.report(log);
      }
    },
    {
      title: `the ${role} receives a close frame together with the handshake`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, {
          first: encode(mask, [
            [1, 'first'],
            [8, closePayload(1001, 'bye')]
          ]),
          prepare: (ws) => t.watch(ws, log)
        });
        await peer.until(1);
        peer.socket.end();
        await t.over(ws);
        peer.report(log);
      }
    }
  );

  for (const [name, list] of VIOLATIONS) {
    scenarios.push({
      title: `the ${role} receives ${name}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, {
          prepare: (ws) => {
            t.watch(ws, log);
            ws.on('error', () => {
              log('in the error handler', {
                received: ws._closeFrameReceived,
                sent: ws._closeFrameSent,
                emitted: ws._errorEmitted
              });
            });
          }
        });
        const frames = list.map(([opcode, payload, options]) => {
          const flip = options && options.flip;
          return frame(opcode, payload, { ...options, mask: mask !== !!flip });
        });
        peer.write(
          encode(mask, [[1, 'before']]),
          ...frames,
          encode(mask, [[1, 'after']])
        );
        await peer.until(1);
        peer.write(encode(mask, [[1, 'late']]));
        peer.write(encode(mask, [[8, closePayload(1000)]]));
        await t.over(ws);
        peer.report(log);
        log('code', ws._closeCode, ws._closeMessage);
      }
    });
  }

  for (const [name, options, list] of [
    ['maxPayload at once', { maxPayload: 10 }, [[2, '12345678901']]],
    [
      'maxPayload with fragments',
      { maxPayload: 10 },
      [
        [2, '123456', { fin: false }],
        [9, 'x'.repeat(20)],
        [0, '12345']
      ]
    ],
    ['maxPayload by far', { maxPayload: 10 }, [[2, BIG]]],
    ['maxPayload of the default', {}, []],
    [
      'maxFragments',
      { maxFragments: 2 },
      [
        [1, 'a', { fin: false }],
        [0, 'b', { fin: false }],
        [0, 'c']
      ]
    ],
    [
      'maxFragments with empty frames',
      { maxFragments: 2 },
      [
        [1, '', { fin: false }],
        [0, '', { fin: false }],
        [0, '']
      ]
    ]
  ]) {
    scenarios.push({
      title: `the ${role} receives more than ${name}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, {
          options,
          prepare: (ws) => t.watch(ws, log)
        });
        const bytes = list.length
          ? encode(mask, list)
          : Buffer.from([0x82, mask ? 0xff : 0x7f, 0, 0, 0, 0, 6, 64, 0, 1]);
        peer.write(encode(mask, [[1, 'before']]), bytes);
        await peer.when(() => peer.frames.some(({ opcode }) => opcode === 8));
        peer.write(encode(mask, [[8, closePayload(1000)]]));
        await t.over(ws);
        peer.report(log);
      }
    });
  }

  for (const compress of [false, true]) {
    for (const [verb, limit, size] of [
      ['raised', 1000, 500],
      ['raised too little', 400, 500],
      ['lowered', 10, 50]
    ]) {
      scenarios.push({
        title:
          `the ${role} receives a message after a listener has ${verb} ` +
          `maxPayload${compress ? ', permessage-deflate negotiated' : ''}`,
        async run(WebSocket, log, t) {
          const { ws, peer } = await t.end(role, {
            options: { maxPayload: 100, perMessageDeflate: compress },
            headers: compress && {
              'Sec-WebSocket-Extensions': 'permessage-deflate'
            },
            prepare: (ws) => t.watch(ws, log)
          });
          ws.once('message', () => (ws._receiver._maxPayload = limit));
          peer.write(
            encode(mask, [
              [1, 'first'],
              [2, Buffer.alloc(size)],
              [1, 'last']
            ])
          );
          if (size < limit) {
            await peer.fence();
          } else {
            await t.turn(3);
            await peer.when(() =>
              peer.frames.some(({ opcode }) => opcode === 8)
            );
            peer.write(encode(mask, [[8, closePayload(1000)]]));
            await t.over(ws);
          }
          peer.report(log);
        }
      });
    }
  }

  scenarios.push(
    {
      title: `the ${role} receives exactly maxPayload and maxFragments`,
      async run(WebSocket, log, t) {
        const { peer } = await t.end(role, {
          options: { maxPayload: 10, maxFragments: 3 },
          prepare: (ws) => t.watch(ws, log)
        });
        peer.write(
          encode(mask, [
            [2, '1234567890'],
            [1, '12345', { fin: false }],
            [0, '', { fin: false }],
            [0, '67890'],
            [1, 'next', { fin: false }],
            [0, 'next', { fin: false }],
            [0, 'ne']
          ])
        );
        await peer.fence();
        peer.report(log);
      }
    },
    {
      title: `the ${role} receives a length of more than 2^53 - 1`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, {
          options: { maxPayload: 0 },
          prepare: (ws) => t.watch(ws, log)
        });
        peer.write(
          Buffer.from([0x82, mask ? 0xff : 0x7f, 0, 0x20, 0, 0, 0, 0, 0, 0])
        );
        await peer.until(1);
        peer.socket.end();
        await t.over(ws);
        peer.report(log);
      }
    },
    {
      title: `the ${role} waits when a length of 2^53 - 1 is announced`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, {
          options: { maxPayload: 0 },
          prepare: (ws) => t.watch(ws, log)
        });
        peer.write(
          encode(mask, [[1, 'before']]),
          Buffer.from([
            0x82,
            mask ? 0xff : 0x7f,
            0,
            0x1f,
            ...Array(6).fill(0xff),
            ...Array(20).fill(0)
          ])
        );
        await t.once(ws, 'message');
        log('payload', ws._receiver._totalPayloadLength);
        log('state', ws.readyState);
        peer.socket.end();
        await t.over(ws);
        peer.report(log);
      }
    },
    {
      title: `the ${role} skips the validation of UTF-8`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, {
          options: { skipUTF8Validation: true },
          prepare: (ws) => t.watch(ws, log)
        });
        peer.write(
          encode(mask, [
            [1, Buffer.from([0xff, 0xfe])],
            [8, closePayload(1000, Buffer.from([0xff]))]
          ])
        );
        await t.over(ws);
        peer.report(log);
      }
    },
    {
      title: `the ${role} receives compressed messages`,
      async run(WebSocket, log, t) {
        const { peer } = await t.end(role, {
          options: { perMessageDeflate: true },
          headers: DEFLATE,
          prepare: (ws) => t.watch(ws, log)
        });
        const long = deflate('compress me '.repeat(50));
        peer.write(
          encode(mask, [
            [1, deflate('hello'), { rsv: 4 }],
            [1, 'not compressed'],
            [2, deflate('binary'), { rsv: 4 }],
            [9, 'ping'],
            [1, long.subarray(0, 5), { rsv: 4, fin: false }],
            [9, 'between'],
            [0, long.subarray(5, 5), { fin: false }],
            [0, long.subarray(5)],
            [1, Buffer.from([0]), { rsv: 4 }]
          ])
        );
        await peer.fence();
        peer.report(log);
      }
    },
    ...[
      [
        'compressed data that is no such thing',
        [[1, Buffer.from([0xff, 0xff, 0xff, 0xff]), { rsv: 4 }]]
      ],
      [
        'compressed data that is cut',
        [[1, deflate('x'.repeat(500)).subarray(0, 3), { rsv: 4 }]]
      ],
      ['an empty compressed message', [[1, '', { rsv: 4 }]]],
      [
        'compressed text that is not UTF-8',
        [[1, deflate(Buffer.from([0x61, 0xff])), { rsv: 4 }]]
      ],
      [
        'RSV1 on a continuation',
        [
          [1, deflate('a'), { rsv: 4, fin: false }],
          [0, 'a', { rsv: 4 }]
        ]
      ],
      ['RSV1 on a ping with the extension', [[9, 'a', { rsv: 4 }]]],
      [
        'a compressed message that is too large',
        [[2, deflate(Buffer.alloc(200)), { rsv: 4 }]]
      ],
      [
        'compressed fragments that are too large',
        [
          [2, NOISE.subarray(0, 90), { rsv: 4, fin: false }],
          [9, 'between'],
          [0, NOISE.subarray(90)]
        ]
      ],
      [
        'a reference into the message before',
        [[1, Buffer.from([0x4b, 0x84, 0x13, 0x00]), { rsv: 4 }]]
      ],
      ['a final block', [[1, zlib.deflateRawSync('final'), { rsv: 4 }]]],
      [
        'a reference beyond what was received',
        [[1, Buffer.from([0x03, 0xfe, 0x01, 0x00]), { rsv: 4 }]]
      ]
    ].map(([name, list]) => ({
      title: `the ${role} with permessage-deflate receives ${name}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role, {
          options: { perMessageDeflate: true, maxPayload: 100 },
          headers: DEFLATE,
          prepare: (ws) => t.watch(ws, log)
        });
        peer.write(
          encode(mask, [[1, deflate('before'), { rsv: 4 }]]),
          encode(mask, list),
          encode(mask, [[1, 'after']])
        );
        peer.write(encode(mask, [[8, closePayload(1000)]]));
        await t.over(ws);
        peer.report(log);
      }
    }))
  );
}

module.exports = scenarios;
