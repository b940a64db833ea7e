'use strict';

const assert = require('node:assert/strict');
const zlib = require('node:zlib');
const { it } = require('node:test');

const { Receiver } = require('..');

const { closePayload, deflate, frame, masked } = require('./helpers/frames');
const { KEY, upgradeRequest } = require('./helpers/handshake');
const {
  FORMS,
  client,
  closed,
  connect,
  messages,
  serve
} = require('./helpers/pair');
const { delay, once, suite, until } = require('./helpers/suite');
const { RawPeer, rawServer } = require('./helpers/wire');

const MAX_PAYLOAD = 1000;

/**
 * Describes an error of the receiver.
 *
 * @param {String} code The error code, without its prefix
 * @param {String} message The message
 * @param {Number} status The close code which the peer gets
 * @param {Function} [type=RangeError] The class of the error
 * @return {Object} The description
 */
function failure(code, message, status, type = RangeError) {
  return { code: `WS_ERR_${code}`, message, status, type };
}

const invalidFrame = (code, message, status = 1002, type) =>
  failure(code, `Invalid WebSocket frame: ${message}`, status, type);
const opcode = (value) =>
  invalidFrame('INVALID_OPCODE', `invalid opcode ${value}`);
const controlLength = (length) =>
  invalidFrame(
    'INVALID_CONTROL_PAYLOAD_LENGTH',
    `invalid payload length ${length}`
  );
const closeCode = (code) =>
  invalidFrame('INVALID_CLOSE_CODE', `invalid status code ${code}`);

const noMask = invalidFrame('EXPECTED_MASK', 'MASK must be set');
const rsv1 = invalidFrame('UNEXPECTED_RSV_1', 'RSV1 must be clear');
const rsv23 = invalidFrame('UNEXPECTED_RSV_2_3', 'RSV2 and RSV3 must be clear');
const noFin = invalidFrame('EXPECTED_FIN', 'FIN must be set');
const utf8 = invalidFrame(
  'INVALID_UTF8',
  'invalid UTF-8 sequence',
  1007,
  Error
);
const tooLong = failure(
  'UNSUPPORTED_MESSAGE_LENGTH',
  'Max payload size exceeded',
  1009
);
const unsupported = failure(
  'UNSUPPORTED_DATA_PAYLOAD_LENGTH',
  'Unsupported WebSocket frame: payload length > 2^53 - 1',
  1009
);

/**
 * What a client may send that it must not: the title, the bytes, and the
 * error of the server.
 */
const BAD_FRAMES = [
  ['a text frame without a mask', frame(1, 'a'), noMask],
  ['a ping without a mask', frame(9), noMask],
  ['RSV1 without an extension', masked(1, 'a', { rsv: 4 }), rsv1],
  ['RSV2', masked(1, 'a', { rsv: 2 }), rsv23],
  ['RSV3', masked(2, 'a', { rsv: 1 }), rsv23],
  ['RSV1 and RSV2', masked(2, 'a', { rsv: 6 }), rsv23],
  ['RSV1 in a ping', masked(9, 'a', { rsv: 4 }), rsv1],
  ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map((value) => [
    `opcode ${value}`,
    masked(value, 'a'),
    opcode(value)
  ]),
  ['a continuation of nothing', masked(0, 'a'), opcode(0)],
  [
    'a new text message amid another',
    Buffer.concat([masked(2, 'a', { fin: false }), masked(1, 'b')]),
    opcode(1)
  ],
  [
    'a new binary message amid another',
    Buffer.concat([masked(1, 'a', { fin: false }), masked(2, 'b')]),
    opcode(2)
  ],
  ['a fragmented ping', masked(9, 'a', { fin: false }), noFin],
  ['a fragmented close frame', masked(8, '', { fin: false }), noFin],
  ['a ping of 126 bytes', masked(9, 'a'.repeat(126)), controlLength(126)],
  ['a pong of 65536 bytes', masked(10, 'a'.repeat(65536)), controlLength(127)],
  ['a close frame of one byte', masked(8, 'a'), controlLength(1)],
  ['a frame of 2^53 bytes', masked(2, '', { length: 2n ** 53n }), unsupported],
  [
    'a frame of 2^64 - 1 bytes',
    masked(2, '', { length: 2n ** 64n - 1n }),
    unsupported
  ],
  [
    'a frame longer than maxPayload',
    masked(2, Buffer.alloc(MAX_PAYLOAD + 1)),
    tooLong
  ],
  [
    'the mere header of a frame longer than maxPayload',
    masked(2, '', { length: MAX_PAYLOAD + 1 }).subarray(0, 4),
    tooLong
  ],
  [
    'fragments longer than maxPayload together',
    Buffer.concat([
      masked(1, 'a'.repeat(MAX_PAYLOAD), { fin: false }),
      masked(0, 'b')
    ]),
    tooLong
  ],
  ...[
    ['a stray continuation byte', [0x61, 0x80]],
    ['an overlong sequence', [0xc0, 0xaf]],
    ['a surrogate', [0xed, 0xa0, 0x80]],
    ['a code point above U+10FFFF', [0xf4, 0x90, 0x80, 0x80]],
    ['a sequence cut short', [0xe2, 0x82]],
    ['a bad byte after much text', [...Buffer.alloc(500, 'a'), 0xff]]
  ].map(([title, bytes]) => [
    `text with ${title}`,
    masked(1, Buffer.from(bytes)),
    utf8
  ]),
  [
    'text whose fragments cut a sequence short',
    Buffer.concat([
      masked(1, Buffer.from([0xe2, 0x82]), { fin: false }),
      masked(0, 'a')
    ]),
    utf8
  ],
  [
    'a close reason that is not UTF-8',
    masked(8, closePayload(1000, Buffer.from([0xff]))),
    utf8
  ],
  ...[0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65535].map((code) => [
    `close code ${code}`,
    masked(8, closePayload(code)),
    closeCode(code)
  ])
];

/**
 * Upgrade requests to refuse: the title, the request, the status, the body and
 * headers of the response, and whether it is an error for `'wsClientError'`.
 */
const BAD_REQUESTS = [
  ['another method', { method: 'POST' }, 405, 'Invalid HTTP method'],
  [
    'another protocol',
    { headers: { Upgrade: 'h2c' } },
    400,
    'Invalid Upgrade header'
  ],
  ...[undefined, '', 'short', `${KEY}=`, 'dGhlIHNhbXBsZSBub25jZ*=='].map(
    (key) => [
      `the key ${key === undefined ? 'left out' : `"${key}"`}`,
      { headers: { 'Sec-WebSocket-Key': key } },
      400,
      'Missing or invalid Sec-WebSocket-Key header'
    ]
  ),
  ...[undefined, '', '7', '12', '14', 'x'].map((version) => [
    `the version ${version === undefined ? 'left out' : `"${version}"`}`,
    { headers: { 'Sec-WebSocket-Version': version } },
    400,
    'Missing or invalid Sec-WebSocket-Version header',
    { 'sec-websocket-version': '13, 8' }
  ]),
  ['another path', { path: '/wrong' }, 400, 'Bad Request'],
  ...['a,,b', 'a, a', ',a', 'a b', '"a"'].map((value) => [
    `the subprotocols "${value}"`,
    { headers: { 'Sec-WebSocket-Protocol': value } },
    400,
    'Invalid Sec-WebSocket-Protocol header'
  ]),
  ...[
    'permessage-deflate;',
    'permessage-deflate; foo=1',
    'permessage-deflate; server_max_window_bits=7',
    'permessage-deflate; client_no_context_takeover=1'
  ].map((value) => [
    `the extensions "${value}"`,
    { headers: { 'Sec-WebSocket-Extensions': value } },
    400,
    'Invalid or unacceptable Sec-WebSocket-Extensions header'
  ])
];

/**
 * Checks that a server serves another client.
 *
 * @param {TestContext} t The context of the test
 * @param {Object} served What `serve()` gave
 */
async function assertServing(t, { wss, url }) {
  const connection = once(wss, 'connection');
  const ws = client(
    t,
    url.startsWith('ws+unix:') ? `${url}:/chat` : `${url}/chat`
  );
  const [peer] = await connection;
  const received = messages(ws);

  peer.on('message', (data) => peer.send(`echo ${data}`));
  await once(ws, 'open');
  ws.send('hello');
  assert.deepEqual(await received, ['echo hello']);
  ws.terminate();
}

/**
 * Opens a connection for bad frames and gathers what becomes of it.
 *
 * @param {TestContext} t The context of the test
 * @param {Object} served What `serve()` gave
 * @return {Promise<Object>} The client, the WebSocket, and a list of its events
 */
async function open(t, served) {
  const connection = once(served.wss, 'connection');
  const peer = await RawPeer.open(t, served.target, { path: '/chat' });
  const [ws] = await connection;
  const events = [];

  ws.on('message', (data) => events.push(['message', data.toString()]));
  ws.on('error', (err) => events.push(['error', err]));
  ws.on('close', (code, reason) =>
    events.push(['close', code, reason.toString()])
  );
  return { peer, ws, events };
}

/**
 * Checks the end of a connection that got a bad frame.
 *
 * @param {Object} connection What `open()` gave
 * @param {Object} expected The expected error
 * @param {Array} [before] The events expected before the error
 */
async function assertFailed({ peer, ws, events }, expected, before = []) {
  assert.deepEqual(await peer.closeFrame(), {
    code: expected.status,
    reason: ''
  });
  await peer.end();
  await until(() => ws.readyState === 3, 'the server side has closed');

  const index = before.length;

  assert.deepEqual(events.slice(0, index), before);
  assert.deepEqual(
    events.slice(index).map(([name]) => name),
    ['error', 'close']
  );

  const [, err] = events[index];

  assert.equal(Object.getPrototypeOf(err), expected.type.prototype);
  assert.equal(err.message, expected.message);
  assert.equal(err.code, expected.code);
  assert.deepEqual(events[index + 1], ['close', 1006, '']);
}

suite('bad input', () => {
  for (const form of FORMS) {
    it(`fails a connection of the '${form}' form on bad frames`, async (t) => {
      const served = await serve(t, {
        form,
        path: '/chat',
        maxPayload: MAX_PAYLOAD
      });
      const other = await open(t, served);

      for (const [title, bytes, expected] of BAD_FRAMES) {
        try {
          const connection = await open(t, served);

          connection.peer.write(
            Buffer.concat([masked(1, 'good'), bytes, masked(1, 'ignored')])
          );
          await assertFailed(connection, expected, [['message', 'good']]);
        } catch (err) {
          err.message = `${title}: ${err.message}`;
          throw err;
        }
      }

      // Neither those who were there before nor those who come are disturbed.
      other.ws.send('undisturbed');
      assert.equal(
        (await other.peer.frame()).payload.toString(),
        'undisturbed'
      );
      assert.deepEqual(other.events, []);
      await assertServing(t, served);
    });

    it(`refuses bad handshakes in the '${form}' form`, async (t) => {
      const served = await serve(t, {
        form,
        path: '/chat',
        perMessageDeflate: true
      });

      served.wss.on('connection', (ws, req) => {
        assert.equal(req.headers.bad, undefined, 'a bad client was accepted');
      });

      for (const [title, request, status, body, headers] of BAD_REQUESTS) {
        try {
          const peer = RawPeer.connect(t, served.target);

          peer.write(
            upgradeRequest({
              path: '/chat',
              ...request,
              headers: { ...request.headers, Bad: 'yes' }
            })
          );

          const response = await peer.response();

          assert.equal(response.status, status);
          assert.equal(response.body, body);
          assert.equal(response.headers.connection, 'close');
          assert.equal(response.headers['content-type'], 'text/html');
          assert.equal(
            response.headers['sec-websocket-version'],
            headers && headers['sec-websocket-version']
          );
          await peer.end();
        } catch (err) {
          err.message = `${title}: ${err.message}`;
          throw err;
        }
      }

      await assertServing(t, served);
    });

    it(`answers what is no HTTP with 400 in the '${form}' form`, async (t) => {
      const served = await serve(t, { form, path: '/chat' });

      for (const bytes of [
        'hello\r\n\r\n',
        '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
        'GET /chat HTTP/1.1\r\nUpgrade websocket\r\n\r\n',
        `GET /chat HTTP/1.1\r\nHost: x\r\nA\0b: c\r\n\r\n`
      ]) {
        const peer = RawPeer.connect(t, served.target);

        peer.write(Buffer.from(bytes, 'latin1'));
        assert.equal((await peer.response()).status, 400, bytes);
        await peer.end();
      }

      const long = RawPeer.connect(t, served.target);

      long.write(`GET /chat HTTP/1.1\r\nLong: ${'x'.repeat(100000)}\r\n\r\n`);
      assert.equal((await long.response()).status, 431);
      await assertServing(t, served);
    });

    it(`survives truncated streams in the '${form}' form`, async (t) => {
      const served = await serve(t, { form, path: '/chat' });
      const head = upgradeRequest({ path: '/chat' });

      served.wss.on('error', assert.fail);

      for (const cut of [1, 20, head.length - 1]) {
        const peer = RawPeer.connect(t, served.target);

        peer.socket.end(head.slice(0, cut));
        await peer.end();
      }

      assert.equal(served.wss.clients.size, 0);

      const message = masked(1, 'a'.repeat(300));

      for (const cut of [0, 1, 2, 3, 4, 7, 8, 100, message.length - 1]) {
        for (const method of ['end', 'destroy', 'resetAndDestroy']) {
          // A Unix socket knows no reset.
          if (method === 'resetAndDestroy' && form === 'unix') continue;

          const { peer, ws, events } = await open(t, served);
          const end = closed(ws);

          await new Promise((resolve) => {
            peer.socket.write(message.subarray(0, cut), resolve);
          });
          peer.socket[method]();
          assert.deepEqual(await end, { code: 1006, reason: '' });
          assert.deepEqual(events, [['close', 1006, '']], `${method} ${cut}`);
          if (method === 'end') await peer.end();
        }
      }

      await until(() => !served.wss.clients.size, 'no client is left');
      await assertServing(t, served);
    });
  }

  it('limits the fragments of a message', async (t) => {
    const served = await serve(t, { path: '/chat', maxFragments: 3 });
    const expected = failure(
      'TOO_MANY_BUFFERED_PARTS',
      'Too many message fragments',
      1008
    );
    const part = (opcode, fin) => masked(opcode, 'a', { fin });
    const good = await open(t, served);

    good.peer.write(
      Buffer.concat([part(1, false), part(0, false), part(0, true)])
    );
    await until(() => good.events.length, 'the message came');
    assert.deepEqual(good.events, [['message', 'aaa']]);

    const bad = await open(t, served);

    bad.peer.write(
      Buffer.concat([
        part(1, false),
        part(0, false),
        part(0, false),
        part(0, true)
      ])
    );
    await assertFailed(bad, expected);
    await assertServing(t, served);
  });

  it('limits the chunks in which a frame may come', async (t) => {
    const served = await serve(t, { path: '/chat', maxBufferedChunks: 3 });
    const connection = await open(t, served);
    const bytes = masked(1, 'a'.repeat(20));

    for (let i = 0; i < 20 && !connection.events.length; i++) {
      connection.peer.write(bytes.subarray(i, i + 1));
      await delay(10);
    }

    await assertFailed(
      connection,
      failure('TOO_MANY_BUFFERED_PARTS', 'Too many buffered chunks', 1008)
    );
    await assertServing(t, served);
  });

  it('puts messages together that come in chunks', async () => {
    const text = 'ä'.repeat(2500);
    const bytes = frame(1, text);
    const invalid = frame(1, Buffer.alloc(5000, 0xff));
    const cases = [
      [bytes, 4999, {}, text],
      [Buffer.concat([frame(9, 'x'), bytes, bytes]), 3001, {}, text],
      [bytes, 1000, { maxPayload: 4999 }, 1009],
      [bytes, 1000, { maxBufferedChunks: 6 }, text],
      [bytes, 1000, { maxBufferedChunks: 5 }, 1008],
      [invalid, 1000, {}, 1007],
      [invalid, 1000, { skipUTF8Validation: true }, '\ufffd'.repeat(5000)]
    ];

    for (const [data, size, options, expected] of cases) {
      const receiver = new Receiver(options);
      const result = new Promise((resolve) => {
        receiver.on('message', (message) => resolve(message.toString()));
        receiver.on('error', (err) => {
          const symbols = Object.getOwnPropertySymbols(err);

          resolve(err[symbols.find((it) => String(it).includes('status'))]);
        });
      });

      for (let i = 0; i < data.length; i += size) {
        receiver.write(data.subarray(i, i + size));
        await delay(1);
      }

      assert.equal(await result, expected);
    }
  });

  it('limits the length of a message after decompression', async (t) => {
    const served = await serve(t, {
      path: '/chat',
      maxPayload: MAX_PAYLOAD,
      perMessageDeflate: true
    });
    const flushed = (data) =>
      zlib.deflateRawSync(data, { finishFlush: zlib.constants.Z_SYNC_FLUSH });
    const request = {
      path: '/chat',
      headers: { 'Sec-WebSocket-Extensions': 'permessage-deflate' }
    };

    for (const [frames, expected] of [
      [[masked(1, deflate('a'.repeat(1000)), { rsv: 4 })], null],
      [[masked(1, deflate('a'.repeat(1001)), { rsv: 4 })], tooLong],
      [[masked(2, deflate(Buffer.alloc(1 << 24)), { rsv: 4 })], tooLong],
      [
        [
          masked(2, flushed(Buffer.alloc(600)), { rsv: 4, fin: false }),
          masked(0, deflate(Buffer.alloc(600)))
        ],
        tooLong
      ],
      [[masked(1, deflate(Buffer.from([0xff])), { rsv: 4 })], utf8]
    ]) {
      const connection = once(served.wss, 'connection');
      const peer = await RawPeer.open(t, served.target, request);
      const [ws] = await connection;
      const events = [];

      ws.on('error', (err) => events.push(['error', err]));
      ws.on('message', (data) => events.push(['message', data.length]));
      ws.on('close', (code) => events.push(['close', code, '']));
      peer.write(Buffer.concat(frames));

      if (expected) {
        await assertFailed({ peer, ws, events }, expected);
      } else {
        await until(() => events.length, 'the message came');
        assert.deepEqual(events, [['message', 1000]]);
      }
    }

    await assertServing(t, served);
  });

  it('fails on data that can not be decompressed', async (t) => {
    const served = await serve(t, { path: '/chat', perMessageDeflate: true });

    for (const [bytes, message] of [
      [[0x07], 'invalid block type'],
      [[0x00, 0x01, 0x00, 0x00, 0x00], 'invalid stored block lengths'],
      [[0x4b, 0x04, 0x42, 0xff], 'invalid distance too far back']
    ]) {
      const connection = once(served.wss, 'connection');
      const peer = await RawPeer.open(t, served.target, {
        path: '/chat',
        headers: { 'Sec-WebSocket-Extensions': 'permessage-deflate' }
      });
      const [ws] = await connection;
      const error = once(ws, 'error');

      peer.write(masked(2, Buffer.from(bytes), { rsv: 4 }));

      const [err] = await error;

      assert.equal(err.constructor, Error);
      assert.equal(err.message, message);
      assert.equal(err.code, 'Z_DATA_ERROR');
      assert.equal(err.errno, -3);
      assert.deepEqual(await peer.closeFrame(), { code: 1007, reason: '' });
    }

    await assertServing(t, served);
  });

  it('fails a client on bad frames of the server', async (t) => {
    const cases = [
      [
        'a masked frame',
        masked(1, 'a'),
        invalidFrame('UNEXPECTED_MASK', 'MASK must be clear')
      ],
      ['RSV1', frame(1, '', { rsv: 4 }), rsv1],
      ['RSV2', frame(1, '', { rsv: 2 }), rsv23],
      ['opcode 5', frame(5), opcode(5)],
      ['a continuation of nothing', frame(0), opcode(0)],
      ['a fragmented pong', frame(10, '', { fin: false }), noFin],
      ['a ping of 126 bytes', frame(9, 'a'.repeat(126)), controlLength(126)],
      ['bad text', frame(1, Buffer.from([0xc3])), utf8],
      ['close code 1005', frame(8, closePayload(1005)), closeCode(1005)],
      ['too much', frame(2, '', { length: MAX_PAYLOAD + 1 }), tooLong],
      ['2^63 bytes', frame(2, '', { length: 2n ** 63n }), unsupported]
    ];

    for (const [title, bytes, expected] of cases) {
      let peer;
      const url = await rawServer(t, (raw) => {
        peer = raw;
      });
      const ws = await connect(t, url, {
        maxPayload: MAX_PAYLOAD,
        perMessageDeflate: false
      });
      const events = [];

      ws.on('error', (err) => events.push(['error', err]));
      ws.on('close', (code, reason) =>
        events.push(['close', code, reason.toString()])
      );
      peer.write(bytes);

      try {
        const { mask, payload } = await peer.frame();

        assert.notEqual(mask, null);
        assert.equal(payload.readUInt16BE(0), expected.status);
        peer.socket.end();
        await until(() => events.length === 2, 'the client has closed');

        const err = events[0][1];

        assert.equal(Object.getPrototypeOf(err), expected.type.prototype);
        assert.equal(err.message, expected.message);
        assert.equal(err.code, expected.code);
        assert.deepEqual(events[1], ['close', 1006, '']);
      } catch (err) {
        err.message = `${title}: ${err.message}`;
        throw err;
      }
    }
  });

  it('ignores what comes after a close frame', async (t) => {
    const served = await serve(t, { path: '/chat' });
    const { peer, ws, events } = await open(t, served);

    peer.write(
      Buffer.concat([
        masked(8, closePayload(1000, 'bye')),
        masked(1, 'late'),
        masked(3, 'bad')
      ])
    );
    assert.deepEqual(await peer.closeFrame(), { code: 1000, reason: 'bye' });
    peer.socket.end();
    await until(() => ws.readyState === 3, 'the server side has closed');
    assert.deepEqual(events, [['close', 1000, 'bye']]);
  });

  it('takes frames cut at every byte', async (t) => {
    const served = await serve(t, { path: '/chat' });
    const { peer, events } = await open(t, served);
    const bytes = Buffer.concat([
      masked(1, 'cut', { fin: false }),
      masked(9, 'ping'),
      masked(0, ' anywhere ü'),
      masked(2, Buffer.alloc(200, 'x'))
    ]);

    for (const byte of bytes) {
      peer.write(Buffer.from([byte]));
      await new Promise(setImmediate);
    }

    await until(() => events.length === 2, 'both messages came');
    assert.deepEqual(events, [
      ['message', 'cut anywhere ü'],
      ['message', 'x'.repeat(200)]
    ]);
    assert.equal((await peer.frame()).payload.toString(), 'ping');
  });

  it('skips the validation of UTF-8 if it is told to', async (t) => {
    const served = await serve(t, { skipUTF8Validation: true });
    const { peer, ws } = await open(t, served);
    const message = once(ws, 'message');

    peer.write(masked(1, Buffer.from([0xff, 0xfe])));
    assert.deepEqual((await message)[0], Buffer.from([0xff, 0xfe]));

    const end = once(ws, 'close');

    peer.write(masked(8, closePayload(1000, Buffer.from([0xff]))));
    assert.deepEqual(await end, [1000, Buffer.from([0xff])]);
  });

  it('refuses a bad handshake with the same bytes in every form', async (t) => {
    const responses = new Set();

    for (const form of FORMS) {
      const { target } = await serve(t, { form, path: '/chat' });
      const peer = RawPeer.connect(t, target);

      peer.write(upgradeRequest({ headers: { 'Sec-WebSocket-Key': 'x' } }));
      responses.add(JSON.stringify(await peer.response()));
    }

    assert.equal(responses.size, 1, [...responses].join('\n'));
  });
});
