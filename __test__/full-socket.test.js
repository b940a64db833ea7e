'use strict';

const assert = require('node:assert/strict');
const { it } = require('node:test');

const { Sender } = require('..');

const { connect, serve } = require('./helpers/pair');
const { once, suite, until } = require('./helpers/suite');

const SMALL = 16300;
const LARGE = 17000;

/**
 * Makes a frame of a server.
 *
 * @param {Number} size The length of the payload in bytes
 * @return {Buffer} The frame
 */
function frame(size) {
  return Buffer.concat(
    Sender.frame(Buffer.alloc(size, size & 0xff), { fin: true, opcode: 2 })
  );
}

/**
 * Opens a connection whose client does not read.
 *
 * @param {TestContext} t The context of the test
 * @return {Promise<Object>} The server's WebSocket, the client, and the lengths
 *     of the messages that arrive at the client once it reads
 */
async function stuck(t) {
  const { wss, url } = await serve(t);
  const connection = once(wss, 'connection');
  const client = await connect(t, url);
  const [ws] = await connection;
  const lengths = [];

  client.on('message', (data) => {
    assert.equal(data[0], data.length & 0xff);
    assert.equal(data[data.length - 1], data.length & 0xff);
    lengths.push(data.length);
  });
  client.pause();

  return { client, lengths, ws };
}

suite('full socket', () => {
  for (const [title, write] of [
    ['sendFrame()', (ws, bytes) => ws._sender.sendFrame([bytes])],
    ['write() of the socket', (ws, bytes) => ws._socket.write(bytes)]
  ]) {
    it(`keeps frames whole and in order (${title})`, async (t) => {
      const { client, lengths, ws } = await stuck(t);
      let rounds = 0;

      while (ws.bufferedAmount === 0 && rounds < 5000) {
        ws._sender.sendFrame([frame(SMALL)]);
        write(ws, frame(LARGE));
        rounds++;
        await new Promise(setImmediate);
      }

      assert.ok(ws.bufferedAmount > 0, 'the socket is to be full');
      client.resume();
      await until(() => lengths.length === 2 * rounds, 'all has arrived');
      assert.deepEqual(
        lengths,
        Array.from({ length: 2 * rounds }, (_, i) => (i % 2 ? LARGE : SMALL))
      );
    });
  }

  it('sends all of a queue of many buffers', async (t) => {
    const { client, lengths, ws } = await stuck(t);

    for (let i = 0; i < 500; i++) {
      ws._sender.sendFrame([frame(SMALL)]);
      ws._sender.sendFrame(
        Sender.frame(Buffer.alloc(LARGE, LARGE & 0xff), {
          fin: true,
          opcode: 2
        })
      );
    }

    await new Promise(setImmediate);
    assert.ok(ws.bufferedAmount > 0, 'the socket is to be full');
    client.resume();
    await until(() => lengths.length === 1000, 'all has arrived');
  });
});
