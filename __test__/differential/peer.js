'use strict';

const { describe } = require('./recorder');
const { closePayload, frame, parseFrames } = require('../helpers/frames');

const NAMES = {
  0: 'continuation',
  1: 'text',
  2: 'binary',
  8: 'close',
  9: 'ping',
  10: 'pong'
};

/**
 * The other end of a connection as bytes: it knows what it sent and what it
 * received, and nothing happens that a scenario did not ask for.
 */
class Peer {
  /**
   * Wraps a socket.
   *
   * @param {net.Socket} socket The socket
   * @param {Boolean} masks Whether the frames of this peer are masked, which is
   *     to say whether this peer plays the client
   */
  constructor(socket, masks) {
    this.socket = socket;
    this.masks = masks;
    this.bytes = Buffer.alloc(0);
    this.chunks = [];
    this.missing = 0;
    this.frames = [];
    this.head = null;
    this.waiting = [];
    this.fenced = false;

    socket.setNoDelay(true);
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      this.chunks.push(chunk);
      this.missing -= chunk.length;
      //
      // A big frame is put together once and not anew for each chunk.
      //
      if (this.missing < 65536) this.parse();
    });

    this.ended = new Promise((resolve) => socket.once('end', resolve));
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.parse();
        this.check();
        resolve();
      });
    });
  }

  /**
   * Takes the HTTP head and the complete frames from what has arrived.
   */
  parse() {
    this.bytes = Buffer.concat([this.bytes, ...this.chunks]);
    this.chunks = [];

    if (this.head === null) {
      const index = this.bytes.indexOf('\r\n\r\n');
      if (index === -1) return;
      this.head = this.bytes.toString('latin1', 0, index + 4);
      this.bytes = this.bytes.subarray(index + 4);
    }

    const { frames, rest, missing } = parseFrames(this.bytes);
    for (const item of frames) {
      if (item.opcode === 10 && item.payload.equals(Buffer.from('fence'))) {
        this.fenced = true;
      } else {
        this.frames.push(item);
      }
    }
    this.bytes = rest;
    this.missing = missing;
    this.check();
  }

  /**
   * Wakes those who wait for something that is now true, or that can't become
   * true any more.
   */
  check() {
    this.waiting = this.waiting.filter(({ condition, resolve }) => {
      if (!condition() && !this.socket.destroyed) return true;
      resolve();
      return false;
    });
  }

  /**
   * Waits until a condition on what has arrived holds or the socket is closed.
   *
   * @param {Function} condition The condition
   * @return {Promise} Resolved when it holds
   */
  when(condition) {
    return new Promise((resolve) => {
      this.waiting.push({ condition, resolve });
      this.check();
    });
  }

  /**
   * Waits for the HTTP head.
   *
   * @return {Promise<String>} The head
   */
  async upgraded() {
    await this.when(() => this.head !== null);
    return this.head;
  }

  /**
   * Waits until a number of frames have arrived in all.
   *
   * @param {Number} count The number of frames
   * @return {Promise} Resolved when they have arrived
   */
  until(count) {
    return this.when(() => this.frames.length >= count);
  }

  /**
   * Makes a frame, masked if this peer must mask.
   *
   * @param {Number} opcode The opcode
   * @param {(Buffer|String)} [payload] The payload
   * @param {Object} [options] Options of `frame()`
   * @return {Buffer} The frame
   */
  frame(opcode, payload, options) {
    return frame(opcode, payload, { mask: this.masks, ...options });
  }

  /**
   * Makes a close frame.
   *
   * @param {Number} [code] The status code
   * @param {(Buffer|String)} [reason] The reason
   * @return {Buffer} The frame
   */
  closeFrame(code, reason) {
    return this.frame(8, closePayload(code, reason));
  }

  /**
   * Writes everything given with a single call, so that it arrives as one
   * chunk if it is small.
   *
   * @param {...(Buffer|String)} parts The bytes
   */
  write(...parts) {
    this.socket.write(Buffer.concat(parts.map((part) => Buffer.from(part))));
  }

  /**
   * Sends a ping and waits for its pong: everything sent before has then been
   * dealt with by the other side.
   *
   * @return {Promise} Resolved when the pong has arrived
   */
  async fence() {
    this.fenced = false;
    this.write(this.frame(9, 'fence'));
    await this.when(() => this.fenced);
  }

  /**
   * Writes the frames that have arrived, and what does not make a frame, to a
   * log.
   *
   * @param {Function} log The log
   * @param {Number} [from=0] Index of the first frame
   */
  report(log, from = 0) {
    for (const item of this.frames.slice(from)) {
      const flags =
        (item.fin ? '' : ' unfinished') +
        (item.rsv ? ` rsv=${item.rsv}` : '') +
        (item.mask ? ' masked' : '');
      const name = NAMES[item.opcode] || `opcode ${item.opcode}`;
      log(`peer got ${name}${flags}`, item.payload);
    }

    if (this.bytes.length) log(`peer got rest ${describe(this.bytes)}`);
  }
}

module.exports = { Peer };
