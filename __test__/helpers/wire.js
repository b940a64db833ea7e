'use strict';

const assert = require('node:assert/strict');
const net = require('node:net');

const { parseFrames } = require('./frames');
const {
  KEY,
  acceptKey,
  acceptUpgrade,
  upgradeRequest
} = require('./handshake');
const { within } = require('./suite');

/**
 * A peer made of a bare socket, which sends the bytes it is told to send and
 * takes apart what comes back.
 */
class RawPeer {
  /**
   * Wraps a connected (or connecting) socket.
   *
   * @param {net.Socket} socket The socket
   */
  constructor(socket) {
    this.ended = false;
    this.error = null;
    this.closed = false;
    this.socket = socket;

    this._bytes = Buffer.alloc(0);
    this._chunks = [];
    this._missing = 0;
    this._wake = null;

    socket.on('data', (chunk) => {
      this._chunks.push(chunk);
      this._missing -= chunk.length;

      // Merging the chunks of a long frame one by one would take for ever.
      if (this._missing <= 0) this._notify();
    });
    socket.on('end', () => {
      this.ended = true;
      this._notify();
    });
    socket.on('error', (err) => {
      this.error = err;
    });
    socket.on('close', () => {
      this.closed = true;
      this._notify();
    });
  }

  /**
   * Connects to a server, without a handshake.
   *
   * @param {TestContext} t The context of the test
   * @param {Object} target The options for `net.connect()`
   * @return {RawPeer} The peer
   */
  static connect(t, target) {
    const peer = new RawPeer(net.connect(target));

    t.after(() => peer.socket.destroy());
    return peer;
  }

  /**
   * Connects to a server and performs the opening handshake.
   *
   * @param {TestContext} t The context of the test
   * @param {Object} target The options for `net.connect()`
   * @param {Object} [request] The options for `upgradeRequest()`
   * @return {Promise<RawPeer>} The peer
   */
  static async open(t, target, request) {
    const peer = RawPeer.connect(t, target);

    peer.write(upgradeRequest(request));

    const response = await peer.response();

    assert.equal(response.status, 101, `handshake refused: ${response.body}`);
    assert.equal(response.headers['sec-websocket-accept'], acceptKey(KEY));
    peer.headers = response.headers;
    return peer;
  }

  /**
   * The number of bytes that have come and were not asked for yet.
   *
   * @type {Number}
   */
  get unread() {
    return this._bytes.length + this._chunks.reduce((n, c) => n + c.length, 0);
  }

  /**
   * Sends bytes.
   *
   * @param {(Buffer|String)} bytes The bytes
   * @return {Boolean} Whether the socket has taken them without queueing
   */
  write(bytes) {
    return this.socket.write(bytes);
  }

  /**
   * Reads an HTTP response with its body, if it has one.
   *
   * @return {Promise<Object>} The status, headers and body
   */
  async response() {
    const end = await this._until(() => {
      const index = this._bytes.indexOf('\r\n\r\n');

      return index === -1 ? undefined : index;
    }, 'the head of an HTTP response');
    const lines = this._bytes.subarray(0, end).toString('latin1').split('\r\n');
    const [, status, statusText] = lines[0].match(/^HTTP\/1\.1 (\d+) ?(.*)$/);
    const headers = {};

    for (const line of lines.slice(1)) {
      const colon = line.indexOf(':');

      headers[line.slice(0, colon).toLowerCase()] = line
        .slice(colon + 1)
        .trim();
    }

    this._bytes = this._bytes.subarray(end + 4);

    const length = Number(headers['content-length'] || 0);

    await this._until(
      () => this._bytes.length >= length || undefined,
      'the body of an HTTP response'
    );

    const body = this._bytes.subarray(0, length).toString();

    this._bytes = this._bytes.subarray(length);
    return { status: Number(status), statusText, headers, body };
  }

  /**
   * Reads a frame.
   *
   * @return {Promise<Object>} The fields of the frame
   */
  frame() {
    return this._until(() => this._takeFrame(), 'a frame');
  }

  /**
   * Reads a close frame, skipping nothing.
   *
   * @return {Promise<Object>} The close code and the reason
   */
  async closeFrame() {
    const { opcode, payload } = await this.frame();

    assert.equal(opcode, 8, `expected a close frame, got opcode ${opcode}`);
    return payload.length
      ? {
          code: payload.readUInt16BE(0),
          reason: payload.subarray(2).toString()
        }
      : { code: 1005, reason: '' };
  }

  /**
   * Waits for the end of what the other side sends.
   *
   * @return {Promise} A promise for the end
   */
  end() {
    return this._until(
      () => this.ended || this.closed || undefined,
      'the end of the TCP stream'
    );
  }

  /**
   * Takes a frame from the bytes received so far.
   *
   * @return {(Object|undefined)} The fields of the frame, if it is complete
   */
  _takeFrame() {
    const { frames, rest, missing } = parseFrames(this._bytes, 1);

    this._bytes = rest;
    this._missing = missing;
    return frames[0];
  }

  /**
   * Waits until a function of what has been received gives a value.
   *
   * @param {Function} take The function
   * @param {String} what What is awaited, for the error message
   * @return {Promise} The value
   */
  _until(take, what) {
    const seek = async () => {
      for (;;) {
        this._bytes = Buffer.concat([this._bytes, ...this._chunks]);
        this._chunks = [];
        this._missing = 0;

        const value = take();

        if (value !== undefined) return value;

        if (this.ended || this.closed) {
          throw new Error(
            `The connection ended before ${what} ` +
              `(error: ${this.error}, bytes left: ${this._bytes.length})`
          );
        }

        await new Promise((resolve) => {
          this._wake = resolve;
        });
      }
    };

    return within(seek(), what);
  }

  /**
   * Wakes up the function that waits for bytes.
   */
  _notify() {
    if (this._wake) this._wake();
  }
}

/**
 * Starts a server made of bare sockets, which accepts every upgrade request and
 * then leaves the connection to the test.
 *
 * @param {TestContext} t The context of the test
 * @param {Function} onPeer The function to be called with a `RawPeer` after
 *     the handshake
 * @param {Function} [respond] Makes the bytes of the response from the request
 * @return {Promise<String>} The URL of the server
 * @public
 */
async function rawServer(t, onPeer, respond = acceptUpgrade) {
  const sockets = new Set();
  const server = net.createServer((socket) => {
    let head = '';

    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('data', function onData(chunk) {
      head += chunk.toString('latin1');
      if (!head.includes('\r\n\r\n')) return;
      socket.removeListener('data', onData);

      const response = respond(head);

      if (response) socket.write(response);
      if (onPeer) onPeer(new RawPeer(socket));
    });
  });

  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });

  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `ws://127.0.0.1:${server.address().port}`;
}

module.exports = { RawPeer, rawServer };
