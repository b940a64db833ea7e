'use strict';

const assert = require('node:assert/strict');
const { createHash, randomBytes } = require('node:crypto');
const { it } = require('node:test');
const { Duplex, Readable } = require('node:stream');
const { pipeline } = require('node:stream/promises');

const WebSocket = require('..');

const { masked } = require('./helpers/frames');
const {
  client,
  closed,
  messages,
  pair,
  unusedPort
} = require('./helpers/pair');
const { serve } = require('./helpers/pair');
const { once, suite } = require('./helpers/suite');
const { RawPeer } = require('./helpers/wire');

const { createWebSocketStream } = WebSocket;

/**
 * Computes the digest of some data.
 *
 * @param {Buffer} data The data
 * @return {String} The digest
 */
function digest(data) {
  return createHash('sha256').update(data).digest('hex');
}

suite('stream', () => {
  it('is a Duplex with the options it is given', async (t) => {
    const { ws } = await pair(t);
    const stream = createWebSocketStream(ws, {
      encoding: 'utf8',
      highWaterMark: 10,
      objectMode: true
    });

    assert.ok(stream instanceof Duplex);
    assert.equal(stream.readableHighWaterMark, 10);
    assert.equal(stream.readableObjectMode, false);
    assert.equal(stream.readableEncoding, 'utf8');
    stream.destroy();
    await once(stream, 'close');
  });

  it('carries much data both ways, whole and in order', async (t) => {
    const { ws, peer } = await pair(t);
    const data = randomBytes(8 << 20);
    const chunks = [];
    const back = createWebSocketStream(peer);
    const there = createWebSocketStream(ws);

    // An echo server made of streams.
    const echo = pipeline(back, back);

    await Promise.all([
      pipeline(
        Readable.from(
          (function* parts() {
            for (let i = 0; i < data.length; i += 100000) {
              yield data.subarray(i, i + 100000);
            }
          })()
        ),
        there,
        { end: false }
      ),
      (async () => {
        let length = 0;

        for await (const chunk of there) {
          chunks.push(chunk);
          length += chunk.length;
          if (length === data.length) break;
        }
      })()
    ]);
    assert.equal(digest(Buffer.concat(chunks)), digest(data));
    await echo.catch(() => {});
  });

  it('gives one chunk per message', async (t) => {
    const { ws, peer } = await pair(t);
    const stream = createWebSocketStream(ws, { readableObjectMode: true });
    const chunks = [];

    peer.send('text');
    peer.send(Buffer.from('bytes'));
    peer.send('');
    peer.send('more');
    peer.close();
    for await (const chunk of stream) chunks.push(chunk);
    assert.deepEqual(chunks, ['text', Buffer.from('bytes'), '', 'more']);
  });

  it('sends what is written before the connection is open', async (t) => {
    const { wss, url } = await serve(t);
    const connection = once(wss, 'connection');
    const stream = createWebSocketStream(client(t, url));

    stream.write('early');
    stream.end('last');

    const [peer] = await connection;
    const received = messages(peer, 2);

    peer.on('close', () => {});
    assert.deepEqual((await received).map(String), ['early', 'last']);
    stream.resume();
    await once(stream, 'close');
  });

  it('closes the WebSocket when it ends', async (t) => {
    const { ws, peer } = await pair(t);
    const stream = createWebSocketStream(ws);
    const ends = [closed(ws), closed(peer)];
    const events = [];

    for (const event of ['finish', 'end', 'close']) {
      stream.on(event, () => events.push(event));
    }

    const close = once(stream, 'close');

    stream.resume();
    stream.end();
    assert.deepEqual(await Promise.all(ends), [
      { code: 1005, reason: '' },
      { code: 1005, reason: '' }
    ]);
    await close;
    assert.deepEqual(events, ['finish', 'end', 'close']);
  });

  it('makes the peer wait while it is not read', async (t) => {
    const { wss, target } = await serve(t);
    const connection = once(wss, 'connection');
    const peer = await RawPeer.open(t, target);
    const [ws] = await connection;
    const stream = createWebSocketStream(ws);
    const bytes = masked(2, Buffer.alloc(1 << 20));
    let length = 0;

    for (let i = 0; i < 32; i++) peer.write(bytes);
    await once(stream, 'readable');
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(ws.isPaused, true);
    assert.ok(peer.socket.writableLength > 8 << 20);

    for await (const chunk of stream) {
      length += chunk.length;
      if (length === 32 << 20) break;
    }

    assert.equal(length, 32 << 20);
  });

  it('terminates the WebSocket when it is destroyed', async (t) => {
    const { ws, peer } = await pair(t);
    const stream = createWebSocketStream(ws);
    const end = closed(peer);
    const error = new Promise((resolve) => {
      stream.on('error', resolve);
    });

    stream.destroy(new Error('enough'));
    assert.equal((await error).message, 'enough');
    assert.equal((await end).code, 1006);
  });

  it('emits the errors of the WebSocket', async (t) => {
    const { wss, target } = await serve(t);
    const connection = once(wss, 'connection');
    const peer = await RawPeer.open(t, target);
    const [ws] = await connection;
    const stream = createWebSocketStream(ws);
    const error = new Promise((resolve) => {
      stream.on('error', resolve);
    });

    peer.write(masked(5, ''));
    assert.equal(
      (await error).message,
      'Invalid WebSocket frame: invalid opcode 5'
    );
    assert.deepEqual(await peer.closeFrame(), { code: 1002, reason: '' });

    const failed = createWebSocketStream(
      client(t, `ws://127.0.0.1:${await unusedPort()}`)
    );
    const [err] = await once(failed, 'error');

    assert.equal(err.code, 'ECONNREFUSED');
  });
});
