'use strict';

const assert = require('node:assert/strict');
const path = require('node:path');
const zlib = require('node:zlib');
const { it } = require('node:test');

const { PerMessageDeflate } = require('..');

const { Child } = require('./helpers/child');
const { delay, suite } = require('./helpers/suite');

const TRAILER = Buffer.from([0, 0, 0xff, 0xff]);

/** A frame of RFC 7692, section 7.2.3.1. */
const COMPRESSED = 'c107f248cdc9c90700';

const TEXT = 'It was the best of times, it was the worst of times. ';

/**
 * Makes the server's side of the extension, as if it had been negotiated.
 *
 * @param {Object} [zlibDeflateOptions] Options of zlib
 * @param {Object} [params] What has been negotiated
 * @return {PerMessageDeflate} The extension
 */
function extension(zlibDeflateOptions, params = {}) {
  const made = new PerMessageDeflate({ isServer: true, zlibDeflateOptions });

  made.params = params;
  return made;
}

/**
 * Compresses a message, or a fragment of one.
 *
 * @param {PerMessageDeflate} deflate The extension
 * @param {(Buffer|String)} data The data
 * @param {Boolean} [fin=true] Whether it is the last fragment
 * @return {Promise<Buffer>} The result
 */
function compress(deflate, data, fin = true) {
  return new Promise((resolve, reject) => {
    deflate.compress(data, fin, (err, result) => {
      if (err) reject(err);
      else resolve(result);
    });
  });
}

/**
 * Decompresses messages as a peer does that keeps the context.
 *
 * @param {Buffer[]} messages The messages
 * @param {Object} [options] Options of zlib
 * @return {Buffer} What they say, joined
 */
function inflate(messages, options) {
  const data = messages.flatMap((message) => [message, TRAILER]);

  return zlib.inflateRawSync(Buffer.concat(data), {
    finishFlush: zlib.constants.Z_SYNC_FLUSH,
    ...options
  });
}

/**
 * Makes bytes that nothing can compress.
 *
 * @param {Number} length How many
 * @return {Buffer} The bytes
 */
function noise(length) {
  const bytes = Buffer.alloc(length);
  let state = length + 1;

  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }

  return bytes;
}

suite('compression', () => {
  const messages = [
    Buffer.alloc(0),
    Buffer.from('x'),
    Buffer.from(TEXT),
    noise(700),
    Buffer.from(TEXT.repeat(70)),
    noise(4096),
    noise(4097),
    Buffer.from(TEXT.repeat(2000)),
    Buffer.alloc(0),
    Buffer.from(TEXT),
    noise(300000),
    Buffer.from(TEXT)
  ];

  for (const level of [undefined, -1, 0, 1, 6, 9]) {
    for (const windowBits of [8, 9, 12, 15]) {
      it(`is understood by zlib: level ${level}, window ${windowBits}`, async () => {
        const deflate = extension(
          { level, memLevel: 7, chunkSize: 1024 },
          { server_max_window_bits: windowBits }
        );
        const compressed = [];

        for (const message of messages) {
          compressed.push(await compress(deflate, message));
        }

        deflate.cleanup();
        assert.ok(
          inflate(compressed, { windowBits: Math.max(windowBits, 9) }).equals(
            Buffer.concat(messages)
          )
        );
      });
    }
  }

  it('is understood without a context, by itself', async () => {
    const params = { server_no_context_takeover: true };
    const [one, other] = [extension({}, params), extension({}, params)];

    for (const message of messages) {
      for (const deflate of [one, other]) {
        const compressed = await compress(deflate, message);

        assert.ok(inflate([compressed]).equals(message));
      }
    }

    one.cleanup();
    other.cleanup();
  });

  it('keeps the fragments of messages of several connections apart', async () => {
    for (const params of [{}, { server_no_context_takeover: true }]) {
      const all = [extension({}, params), extension({}, params)];
      const sent = all.map(() => []);

      for (let i = 0; i < 4; i++) {
        for (const [index, deflate] of all.entries()) {
          const fragment = `${index}${TEXT}`.repeat(i === 2 ? 200 : 1);
          const result = await compress(deflate, fragment, i === 3);

          sent[index].push(i === 3 ? result : result.subarray(0, -4));
        }
      }

      for (const [index, fragments] of sent.entries()) {
        const text = `${index}${TEXT}`;

        assert.equal(
          inflate(fragments).toString(),
          text.repeat(2) + text.repeat(200) + text
        );
        all[index].cleanup();
      }
    }
  });

  it('keeps the order of calls that do not wait for each other', async () => {
    const deflate = extension();
    const order = [];
    const results = await Promise.all(
      messages.map(async (message, index) => {
        const result = await compress(deflate, message);

        order.push(index);
        return result;
      })
    );

    deflate.cleanup();
    assert.deepEqual(order, [...messages.keys()]);
    assert.ok(inflate(results).equals(Buffer.concat(messages)));
  });

  it('refers to earlier messages only if a context is kept', async () => {
    for (const isForgotten of [false, true]) {
      const deflate = extension(
        {},
        { server_no_context_takeover: isForgotten }
      );
      const first = await compress(deflate, noise(1000));
      const second = await compress(deflate, noise(1000));

      assert.equal(second.length < 20, !isForgotten);
      assert.equal(second.length === first.length, isForgotten);
      deflate.cleanup();
    }
  });

  it('takes the options that only zlib has', async () => {
    const dictionary = noise(500);
    const deflate = extension({ dictionary });
    const compressed = await compress(deflate, dictionary);

    assert.ok(compressed.length < 20);
    assert.ok(inflate([compressed], { dictionary }).equals(dictionary));
    deflate.cleanup();
    assert.throws(
      () => extension({ level: 10 }).compress('x', true, () => {}),
      { code: 'ERR_OUT_OF_RANGE' }
    );
  });

  it('calls nobody after the end, whatever it is doing', async () => {
    for (const data of ['x', TEXT.repeat(2000)]) {
      const deflate = extension();
      const calls = [];

      deflate.compress(data, true, (err) => calls.push(err.message));
      deflate.cleanup();
      await delay(50);
      assert.deepEqual(calls, [
        'The deflate stream was closed while data was being processed'
      ]);
    }
  });

  it('lets what a callback throws be an uncaught exception', async (t) => {
    const child = new Child(t, process.execPath, [
      '-e',
      `const { PerMessageDeflate } = require(${JSON.stringify(
        path.join(__dirname, '..')
      )});

       process.on('uncaughtException', (err) => console.log(err.message));
       for (const noContext of [false, true]) {
         for (const length of [1, 10000]) {
           const deflate = new PerMessageDeflate({ isServer: true });

           deflate.params = { server_no_context_takeover: noContext };
           deflate.compress('x'.repeat(length), true, () => {
             deflate.compress('x'.repeat(length), true, (err) => {
               console.log(err);
             });
             throw new Error('thrown');
           });
         }
       }`
    ]);

    await child.ended();
    assert.equal(child.stderr, '');
    assert.deepEqual(child.lines.sort(), [
      ...Array(4).fill('null'),
      ...Array(4).fill('thrown')
    ]);
  });

  it('reports each exception of a listener of compressed messages', async (t) => {
    for (const replace of [false, true]) {
      const child = new Child(t, process.execPath, [
        '-e',
        `const { PerMessageDeflate, Receiver } = require(${JSON.stringify(
          path.join(__dirname, '..')
        )});
         const extension = new PerMessageDeflate({ isServer: false });

         extension.params = {};
         // Then it is the extension that decompresses.
         if (${replace}) extension.decompress = extension.decompress.bind(extension);

         const receiver = new Receiver({
           extensions: { 'permessage-deflate': extension }
         });

         receiver.on('message', (data) => {
           throw new Error(data.toString());
         });
         process.on('uncaughtException', (err) => console.log(err.message));
         receiver.write(Buffer.from('${COMPRESSED}', 'hex'));
         receiver.write(Buffer.from('810162', 'hex'));
         receiver.write(Buffer.from('810163', 'hex'));`
      ]);

      await child.ended();
      assert.equal(child.stderr, '');
      assert.deepEqual(child.lines, ['Hello', 'b', 'c']);
    }
  });

  it('refers to what a whole window before a long message said', async () => {
    const deflate = extension();
    const [long, short] = [noise(20000), noise(3000)];

    await compress(deflate, long);
    assert.ok((await compress(deflate, long)).length < 1000);
    await compress(deflate, short);
    assert.ok((await compress(deflate, short)).length < 100);
    assert.ok((await compress(deflate, long)).length < 1000);
    deflate.cleanup();
  });

  it('has no more calls under way than the limit says', async (t) => {
    const child = new Child(t, process.execPath, [
      '-e',
      `const { PerMessageDeflate } = require(${JSON.stringify(
        path.join(__dirname, '..')
      )});
       const { _compress } = PerMessageDeflate.prototype;
       let most = 0;
       let running = 0;

       PerMessageDeflate.prototype._compress = function (data, fin, callback) {
         most = Math.max(most, ++running);
         _compress.call(this, data, fin, (...args) => {
           running--;
           callback(...args);
         });
       };

       for (let i = 0; i < 8; i++) {
         const deflate = new PerMessageDeflate({
           concurrencyLimit: i === 0 ? 3 : 5,
           isServer: true
         });

         deflate.params = {};
         deflate.compress('x'.repeat(10000), true, () => {
           if (i === 7) console.log(most);
         });
       }`
    ]);

    assert.equal(await child.next(), 3);
  });

  it('takes little memory for each connection', async () => {
    const all = [];
    const before = process.memoryUsage.rss();

    for (let i = 0; i < 400; i++) {
      const deflate = extension();

      await compress(deflate, TEXT);
      all.push(deflate);
    }

    // A compressor for each would take 100 MiB.
    assert.ok(process.memoryUsage.rss() - before < 30 * 1024 * 1024);
    for (const deflate of all) deflate.cleanup();
  });
});
