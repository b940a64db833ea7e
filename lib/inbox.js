'use strict';

const { markAsUntransferable } = require('worker_threads');

const ballast = require('./ballast');
const { EMPTY_BUFFER } = require('./constants');

const FastBuffer = Buffer[Symbol.species];

//
// The row kinds and details of `src/engine/inbox.rs`.
//
const READ = 0;
const TEXT = 1;
const BINARY = 2;
const FRAGMENTS = 3;
const COMPRESSED_FRAME = 4;
const PING = 5;
const PONG = 6;
const CLOSE = 7;
const ERROR = 8;
const WHO_INFLATES = 9;
const INFLATED = 10;
const END = 11;
const FAILED = 12;
const WRITABLE = 13;
const UPGRADE = 14;
const HAND_OVER = 15;
const LISTENER_FAILED = 16;

const OWNED = 1;
const FIN = 2;
const IS_BINARY = 4;
const RANGE_ERROR = 1 << 16;

/** Words in a row; the first row of the memory is a header. */
const ROW = 4;
const ROWS = 2048;

//
// A message that is kept pins the slab in which it lies. So a slab is as large as
// so many messages are, within limits. The least is what Node's own `Buffer` pool
// has, and more if that would last for a few batches only. The most has room for
// several messages of 4, 8 or 16 KiB that are received where they stay, and for
// the headers of their frames. With less, slabs change so often that it shows;
// with more, the first of many replies wait so long that it shows, too.
//
const SLAB_MESSAGES = 16;
const SLAB_MIN = 8 * 1024;
const SLAB_MAX = 96 * 1024 + 512;
const SLAB_RESERVE = 2 * 1024;

/** How many batches a slab should last. */
const FEW = 8;
const VERY_FEW = 2;

const NONE = [];

/**
 * The memory of a batch of events: rows that are overwritten by the next batch,
 * and a slab in which payloads are never overwritten. When a slab is used up a
 * new one is taken, so that a `Buffer` which the user keeps stays valid. It holds
 * messages of many connections, so it can't be transferred to another thread:
 * the others would be lost.
 */
class Inbox {
  /**
   * Creates an Inbox instance.
   *
   * @param {Number} [headsSize=0] How many bytes there are for heads of requests
   */
  constructor(headsSize = 0) {
    this.heads = Buffer.alloc(headsSize);
    this.rows = new Uint32Array((ROWS + 1) * ROW);
    this.slab = EMPTY_BUFFER;
    this.used = 0;
    this.owned = NONE;

    //
    // That of the slab; asking for it takes a while.
    //
    this._memory = null;

    //
    // What a batch like the last one takes, for which two slabs would be two
    // turns; and what has come in the current slab.
    //
    this._need = 0;
    this._batches = 0;
    this._events = 0;
    this._hasOwned = false;

    //
    // Where the payloads of the current batch begin.
    //
    this.base = 0;
  }

  /**
   * Sees to it that the slab has room. It may also have been detached, since
   * the user can transfer the memory of a message to another thread.
   *
   * @return {Boolean} Whether the slab is a new one
   * @public
   */
  prepare() {
    const room = this.slab.length - this.used;
    const isUsedUp = room < Math.max(SLAB_RESERVE, this._need);

    if (isUsedUp) {
      this.slab = Buffer.allocUnsafeSlow(this._nextSize());
      ballast.add(this.slab.length);
      this._memory = this.slab.buffer;
      markAsUntransferable(this._memory);
      this.used = 0;
    }

    this.base = this.used;
    return isUsedUp;
  }

  /**
   * Decides how large the next slab is.
   *
   * @return {Number} The size in bytes
   * @private
   */
  _nextSize() {
    let least = SLAB_MIN;

    if (this._batches < FEW) least *= 2;
    if (this._batches < VERY_FEW) least *= 2;

    const size = this._hasOwned
      ? SLAB_MAX
      : Math.ceil((this.used / this._events) * SLAB_MESSAGES);

    this._batches = this._events = 0;
    this._hasOwned = false;

    return Math.min(Math.max(size || 0, least, this._need), SLAB_MAX);
  }

  /**
   * Takes note of what a batch has used, and takes the payloads that have memory
   * of their own: where they come from keeps those of the last batch only.
   *
   * @param {(Engine|Decoder|NativeConnection)} source What has written the batch
   * @public
   */
  commit(source) {
    const owned = this.rows[3];

    this._need = Math.min(this.rows[1] + SLAB_RESERVE, SLAB_MAX);
    this.used = this.base + this.rows[1];
    this.owned = NONE;
    this._events += this.rows[0];

    if (this.rows[1] !== 0) this._batches++;

    if (owned !== 0) {
      this._hasOwned = true;
      this.owned = [];

      for (let i = 0; i < owned; i++) {
        const data = source.takeOwned(i);

        this.owned.push(data);
        ballast.add(data.length);
      }
    }
  }

  /**
   * Lets go of a batch that has been read.
   *
   * @public
   */
  release() {
    this.owned = NONE;
  }

  /**
   * Makes a `Buffer` of the payload of a row.
   *
   * @param {Number} i The index of the first word of the row
   * @return {Buffer} The payload
   * @public
   */
  payload(i) {
    const length = this.rows[i + 3];
    if (length === 0) return EMPTY_BUFFER;

    const offset = this.rows[i + 2];
    const kind = this.rows[i + 1];

    if ((kind & 0xff) <= COMPRESSED_FRAME && (kind >>> 8) & OWNED) {
      return this.owned[offset];
    }

    return new FastBuffer(this._memory, this.base + offset, length);
  }
}

module.exports = {
  BINARY,
  CLOSE,
  COMPRESSED_FRAME,
  END,
  ERROR,
  FAILED,
  FIN,
  FRAGMENTS,
  HAND_OVER,
  INFLATED,
  IS_BINARY,
  Inbox,
  LISTENER_FAILED,
  PING,
  PONG,
  RANGE_ERROR,
  READ,
  ROW,
  TEXT,
  UPGRADE,
  WHO_INFLATES,
  WRITABLE,
  isDecoded
};

/**
 * Whether a row is about what the decoder has found.
 *
 * @param {Number} kind The kind of the row
 * @return {Boolean} `true` if it is
 * @public
 */
function isDecoded(kind) {
  return kind !== READ && kind < END;
}
