'use strict';

const assert = require('node:assert/strict');
const net = require('node:net');
const { createHash } = require('node:crypto');

const { within } = require('./suite');

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
const MASK = Buffer.from([0x12, 0x34, 0x56, 0x78]);

/**
 * Makes the bytes of a frame. Nothing is checked: most of the frames made here
 * break the rules. (RFC 6455, section 5.2)
 *
 * @param {Object} options The fields of the frame
 * @param {Boolean} [options.fin=true] The FIN bit
 * @param {Boolean} [options.rsv1=false] The RSV1 bit
 * @param {Boolean} [options.rsv2=false] The RSV2 bit
 * @param {Boolean} [options.rsv3=false] The RSV3 bit
 * @param {Number} options.opcode The opcode
 * @param {(Buffer|Boolean)} [options.mask=false] The masking key, or whether to
 *     use one
 * @param {(Buffer|String)} [options.payload] The payload
 * @param {(BigInt|Number)} [options.length] The length to claim, if it is not
 *     that of the payload
 * @return {Buffer} The frame
 * @public
 */
function frame(options) {
  const payload = Buffer.from(options.payload || '');
  const length = options.length === undefined ? payload.length : options.length;
  const masked = options.mask ? 0x80 : 0;
  const first =
    (options.fin === false ? 0 : 0x80) |
    (options.rsv1 ? 0x40 : 0) |
    (options.rsv2 ? 0x20 : 0) |
    (options.rsv3 ? 0x10 : 0) |
    options.opcode;
  const parts = [];

  if (length < 126) {
    parts.push(Buffer.from([first, masked | Number(length)]));
  } else if (length < 65536) {
    const head = Buffer.from([first, masked | 126, 0, 0]);

    head.writeUInt16BE(Number(length), 2);
    parts.push(head);
  } else {
    const head = Buffer.alloc(10);

    head[0] = first;
    head[1] = masked | 127;
    head.writeBigUInt64BE(BigInt(length), 2);
    parts.push(head);
  }

  if (masked) {
    const key = options.mask === true ? MASK : options.mask;

    parts.push(
      key,
      payload.map((byte, i) => byte ^ key[i & 3])
    );
  } else {
    parts.push(payload);
  }

  return Buffer.concat(parts);
}

/**
 * Makes the bytes of a masked frame, as a client sends it.
 *
 * @param {Number} opcode The opcode
 * @param {(Buffer|String)} [payload] The payload
 * @param {Object} [options] Other fields of the frame
 * @return {Buffer} The frame
 * @public
 */
function masked(opcode, payload, options) {
  return frame({ mask: true, opcode, payload, ...options });
}

/**
 * Makes the payload of a close frame.
 *
 * @param {Number} code The close code
 * @param {(Buffer|String)} [reason] The reason
 * @return {Buffer} The payload
 * @public
 */
function closePayload(code, reason = '') {
  const head = Buffer.alloc(2);

  head.writeUInt16BE(code);
  return Buffer.concat([head, Buffer.from(reason)]);
}

/**
 * Makes the head of an upgrade request.
 *
 * @param {Object} [options] What differs from a good request
 * @param {String} [options.method=GET] The method
 * @param {String} [options.path=/] The path
 * @param {Object} [options.headers] The headers to add, replace or (when
 *     `undefined`) leave out
 * @return {String} The head
 * @public
 */
function upgradeRequest({ method = 'GET', path = '/', headers } = {}) {
  const all = {
    Host: 'localhost',
    Upgrade: 'websocket',
    Connection: 'Upgrade',
    'Sec-WebSocket-Key': KEY,
    'Sec-WebSocket-Version': '13',
    ...headers
  };
  const lines = [`${method} ${path} HTTP/1.1`];

  for (const [name, value] of Object.entries(all)) {
    if (value !== undefined) lines.push(`${name}: ${value}`);
  }

  return lines.join('\r\n') + '\r\n\r\n';
}

/**
 * Computes the value of the `Sec-WebSocket-Accept` header.
 *
 * @param {String} key The value of the `Sec-WebSocket-Key` header
 * @return {String} The value
 * @public
 */
function acceptKey(key) {
  return createHash('sha1')
    .update(key + GUID)
    .digest('base64');
}

/**
 * A peer made of a bare socket, which sends the bytes it is told to send and
 * takes apart what comes back with a parser of its own.
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
    const bytes = this._bytes;
    let offset = 2;

    if (bytes.length < offset) return;

    let length = bytes[1] & 0x7f;

    if (length === 126) {
      if (bytes.length < 4) return;
      length = bytes.readUInt16BE(2);
      offset = 4;
    } else if (length === 127) {
      if (bytes.length < 10) return;
      length = Number(bytes.readBigUInt64BE(2));
      offset = 10;
    }

    let mask = null;

    if (bytes[1] & 0x80) {
      mask = Buffer.from(bytes.subarray(offset, offset + 4));
      offset += 4;
    }

    if (bytes.length < offset + length) {
      this._missing = offset + length - bytes.length;
      return;
    }

    const payload = Buffer.from(bytes.subarray(offset, offset + length));

    if (mask) {
      for (let i = 0; i < payload.length; i++) payload[i] ^= mask[i & 3];
    }

    this._bytes = bytes.subarray(offset + length);
    return {
      fin: (bytes[0] & 0x80) !== 0,
      rsv1: (bytes[0] & 0x40) !== 0,
      opcode: bytes[0] & 0x0f,
      mask,
      payload
    };
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

/**
 * Makes the response which accepts an upgrade request.
 *
 * @param {String} head The head of the request
 * @param {Object} [headers] The headers to add or replace
 * @return {String} The head of the response
 * @public
 */
function acceptUpgrade(head, headers) {
  const [, key] = head.match(/^sec-websocket-key: (.*)\r$/im);
  const all = {
    Upgrade: 'websocket',
    Connection: 'Upgrade',
    'Sec-WebSocket-Accept': acceptKey(key),
    ...headers
  };
  const lines = ['HTTP/1.1 101 Switching Protocols'];

  for (const [name, value] of Object.entries(all)) {
    if (value !== undefined) lines.push(`${name}: ${value}`);
  }

  return lines.join('\r\n') + '\r\n\r\n';
}

module.exports = {
  KEY,
  RawPeer,
  acceptKey,
  acceptUpgrade,
  closePayload,
  frame,
  masked,
  rawServer,
  upgradeRequest
};
