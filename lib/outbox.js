'use strict';

const EventEmitter = require('events');
const { getDefaultHighWaterMark } = require('stream');
const {
  types: { isUint8Array }
} = require('util');

const Unsent = require('./unsent');
const writeMaskingKey = require('./masking-key');
const { EMPTY_BUFFER } = require('./constants');
const { headerLength, writeHeader } = require('./frame-header');
const { mask } = require('./buffer-util');
const { findReplacedTick, nextTick } = require('./scheduling');

const { emit } = EventEmitter.prototype;

//
// The flags of `src/engine/outbox.rs`.
//
const RAW = 0x100;
const MASK = 0x200;

const ROW = 4;

//
// What is handed over in one go at the most. If there is a lot to send, frames
// for the same connection that came about at different times go together.
//
const MAX_ROWS = 8 * 1024;
const SLAB_SIZE = 1024 * 1024;

/**
 * Payloads of up to so many bytes are copied and wait for others. From there on
 * that costs more than a system call of their own.
 */
const SMALL = 24 * 1024;

/**
 * The same for strings, in UTF-16 code units. Each has at most three bytes in
 * UTF-8, so the length of the frame is one of 16 bits.
 */
const SMALL_STRING = Math.floor(0xffff / 3);

/** Room before a payload for its frame header. */
const HEADER = 14;

/** The masking key of the frame that is being sent. */
const sharedKey = Buffer.alloc(4);

const typedArray = Object.getPrototypeOf(
  Object.getPrototypeOf(Buffer.prototype)
);
const { get: lengthOf } = Object.getOwnPropertyDescriptor(typedArray, 'length');
const { set } = typedArray;

/**
 * The frames that were sent in a tick, waiting to be handed to the addon in one
 * go: rows, and a slab with the payloads.
 */
class Outbox {
  /**
   * Creates an Outbox instance.
   *
   * @param {Object} engine The addon's engine
   */
  constructor(engine) {
    this._engine = engine;
    this._rows = new Uint32Array(MAX_ROWS * ROW);
    this._connections = [];
    this._tickets = [];
    this._pairs = new Uint32Array(MAX_ROWS);
    this._slab = EMPTY_BUFFER;
    this._used = 0;
    this._count = 0;
    this._scheduled = false;
    this._flush = () => {
      this._scheduled = false;
      this.flush();
    };

    //
    // The last text that was queued, and where it lies: one that is sent to
    // many connections is encoded once. The frames share their header, too.
    //
    this._text = '';
    this._textFirstByte = 0;
    this._textOffset = 0;
    this._textLength = -1;

    //
    // The same for one that is not small. It lies at the beginning of the slab.
    //
    this._longText = '';
    this._longTextLength = -1;

    /**
     * Whether a batch of events is being dispatched. What is sent meanwhile is
     * flushed by whoever dispatches.
     */
    this.dispatching = false;

    /**
     * How often ticks have run: a connection that is full is so until then.
     * Whoever dispatches a batch counts here.
     */
    this.round = 0;
    this._advance = () => this.advance();

    /** Whose sockets count as full in this round, while nobody waits for more. */
    this._full = [];

    /**
     * Whether somebody looks at the `write()` of a socket, and is not about to call
     * it.
     */
    this.isLooking = false;

    /** Whether the process exits. */
    this.isExiting = false;
  }

  /**
   * Queues a frame whose header is yet to be written.
   *
   * @param {NativeConnection} connection The connection
   * @param {Number} firstByte The first byte of the frame
   * @param {*} data The payload
   * @param {Boolean} mask Whether to mask it
   * @param {Function} [cb] Callback
   * @return {Boolean} `false` if this is not the way to send it
   * @public
   */
  send(connection, firstByte, data, mask, cb) {
    if (typeof data === 'string') {
      if (data.length > SMALL_STRING) {
        return this._sendText(connection, firstByte, data, mask, cb);
      }

      if (
        !mask &&
        data === this._text &&
        firstByte === this._textFirstByte &&
        this._textLength !== -1
      ) {
        this._push(
          connection,
          firstByte,
          this._textOffset,
          this._textLength,
          pairSize(data, this._textLength, mask),
          cb
        );
        return true;
      }

      if (!this._reserve(connection, data.length * 3)) return false;

      const offset = this._used + headerRoom(data.length, mask);
      const length = data.length === 0 ? 0 : this._slab.utf8Write(data, offset);

      if (!mask) {
        this._text = data;
        this._textFirstByte = firstByte;
        this._textOffset = offset;
        this._textLength = length;
      }

      this._add(connection, firstByte, data, offset, length, mask, cb);
      return true;
    }

    if (!isUint8Array(data)) return false;

    //
    // A subclass may say something else.
    //
    const length = lengthOf.call(data);

    //
    // Its memory may have been given away. For other arrays than a `Buffer` that is
    // an error of ws's way.
    //
    if (length === 0 && !Buffer.isBuffer(data)) return false;

    if (length > SMALL) {
      return (
        data.length === length &&
        this._sendDirect(connection, firstByte, data, data, mask, cb)
      );
    }

    if (!this._reserve(connection, length)) return false;

    const offset = this._used + headerLength(length) + (mask ? 4 : 0);

    if (length !== 0) set.call(this._slab, data, offset);
    this._add(connection, firstByte, data, offset, length, mask, cb);
    return true;
  }

  /**
   * Sends a string that is not small.
   *
   * @param {NativeConnection} connection The connection
   * @param {Number} firstByte The first byte of the frame
   * @param {String} data The payload
   * @param {Boolean} mask Whether to mask it
   * @param {Function} [cb] Callback
   * @return {Boolean} `false` if this is not the way to send it
   * @private
   */
  _sendText(connection, firstByte, data, mask, cb) {
    if (data.length * 3 > SLAB_SIZE - HEADER) {
      const bytes = Buffer.from(data);

      return this._sendDirect(connection, firstByte, data, bytes, mask, cb);
    }

    //
    // The slab is memory that the processor has at hand; new memory would cost
    // more than what is done with it.
    //
    if (this._longTextLength === -1 || data !== this._longText) {
      this.flush();
      if (!this._reserve(connection, data.length * 3)) return false;
      this._longText = data;
      this._longTextLength = this._slab.utf8Write(data, 0);
    }

    const bytes = this._slab.subarray(0, this._longTextLength);

    return this._sendDirect(connection, firstByte, data, bytes, mask, cb);
  }

  /**
   * Hands a frame to the kernel at once.
   *
   * @param {NativeConnection} connection The connection
   * @param {Number} firstByte The first byte of the frame
   * @param {(String|Uint8Array)} data What was sent
   * @param {Uint8Array} bytes The payload that it makes. If it lies in the slab
   *     it must be copied to be kept.
   * @param {Boolean} mask Whether to mask it
   * @param {Function} [cb] Callback
   * @return {Boolean} `false` if this is not the way to send it
   * @private
   */
  _sendDirect(connection, firstByte, data, bytes, mask, cb) {
    this.flush();
    if (!connection.isClear) return false;

    const { id } = connection;
    const key = mask ? sharedKey : null;

    if (mask) writeMaskingKey(key, 0);

    const sent = mask
      ? this._engine.sendMasked(id, firstByte, bytes, key.readUInt32LE(0))
      : this._engine.sendFrame(id, firstByte, bytes);

    if (sent <= 0) {
      connection.failure = -sent;
      return false;
    }

    const size = headerLength(bytes.length) + (mask ? 4 : 0);

    connection.bytesWritten += sent;

    if (sent === size + bytes.length) {
      this._fill(connection, pairSize(data, bytes.length, mask));
      if (typeof cb === 'function') {
        queue(createTicket(this, connection, cb));
      }
      return true;
    }

    const done = Math.max(sent - size, 0);
    const list = [bytes.subarray(done)];

    if (mask) list[0] = toMasked(list[0], key, done);
    else if (bytes.buffer === this._slab.buffer) list[0] = Buffer.from(list[0]);

    if (sent < size) {
      const header = Buffer.allocUnsafe(size);

      writeHeader(header, firstByte, bytes.length, key);
      list.unshift(header.subarray(sent));
    }

    const pair = pairSize(data, bytes.length, mask);
    const whole = size + bytes.length;

    connection.writer.writeRest(list, pair || whole, list.length > 1, cb, null);
    return true;
  }

  /**
   * Queues bytes as they are.
   *
   * @param {NativeConnection} connection The connection
   * @param {(Buffer|String)[]} list The bytes
   * @param {Function} [cb] Callback
   * @return {Boolean} `false` if this is not the way to send them
   * @public
   */
  sendRaw(connection, list, cb) {
    let length = 0;

    for (let i = 0; i < list.length; i++) {
      if (typeof list[i] === 'string') {
        const bytes = Buffer.byteLength(list[i]);

        //
        // What has to wait is counted by its code units, and not put together again.
        //
        if (bytes !== list[i].length) return false;

        length += bytes;
      } else if (isUint8Array(list[i])) {
        length += lengthOf.call(list[i]);
      } else {
        return false;
      }
    }

    if (length > SMALL) return false;

    if (!this._reserve(connection, length)) return false;

    const start = this._used;
    let offset = start;

    for (let i = 0; i < list.length; i++) {
      if (typeof list[i] === 'string') {
        offset += this._slab.utf8Write(list[i], offset);
      } else if (lengthOf.call(list[i]) !== 0) {
        set.call(this._slab, list[i], offset);
        offset += lengthOf.call(list[i]);
      }
    }

    const pair = list.length === 2 ? list[0].length + list[1].length : 0;

    this._used = offset;
    this._push(connection, RAW, start, offset - start, pair, cb);
    return true;
  }

  /**
   * Hands everything that waits to the kernel, as far as it takes it. The rest
   * goes through the sockets' own queues.
   *
   * @public
   */
  flush() {
    const count = this._count;
    if (count === 0) return;

    this._count = 0;
    this._textLength = -1;

    const rows = this._rows;
    const unsent = this._engine.flush(count);
    let rest = null;

    for (let i = 0; i < count; i++) {
      const row = i * ROW;

      this._connections[i].bytesWritten += rows[row + 1];

      if (unsent !== 0 && rows[row + 3] !== 0) {
        if (rest === null) rest = [];
        if (rows[row] !== 0) this._connections[i].failure = rows[row];

        const size = rows[row + 1] + rows[row + 3];
        const pair = this._pairs[i];
        const bytes = this._slab.subarray(
          rows[row + 2],
          rows[row + 2] + rows[row + 3]
        );

        rest.push({
          connection: this._connections[i],
          list:
            pair === 0 || pair === size || rows[row + 1] !== 0
              ? [Buffer.from(bytes)]
              : toPieces(bytes),
          isFailed: this._connections[i].failure !== 0,
          pair,
          size,
          ticket: this._tickets[i]
        });
      }

      this._connections[i] = null;
      this._tickets[i] = null;
    }

    //
    // The memory is used again: what the sockets are to keep has been copied.
    //
    this._used = 0;
    if (rest === null) return;

    for (const { connection, isFailed, list, pair, size, ticket } of rest) {
      const cb = takeCallback(ticket, isFailed);

      connection.writer.writeRest(list, pair || size, pair !== 0, cb, ticket);
    }
  }

  /**
   * Lets go of the engine, which is closed. Nothing is sent through this any more.
   *
   * @public
   */
  close() {
    this._engine = null;
    this._slab = EMPTY_BUFFER;
  }

  /**
   * Does what a stream does when so much is written in two pieces, corked, that
   * it counts as full: even if the kernel takes all of it, `'drain'` is emitted.
   *
   * @param {NativeConnection} connection The connection
   * @param {Number} pair The size of both, 0 if there is one piece only
   * @private
   */
  _fill(connection, pair) {
    const { socket } = connection;
    if (pair === 0) return;

    if (socket !== null) {
      if (pair >= socket._writableState.highWaterMark) this.fill(connection);
      return;
    }

    //
    // It may be looked at before the tick is over.
    //
    if (pair < getDefaultHighWaterMark(false)) return;

    connection.fullIn = this.round;
    if (!this.dispatching) nextTick(this._advance);
  }

  /**
   * Has a socket count as full until the next tick.
   *
   * @param {NativeConnection} connection The connection of the socket
   * @public
   */
  fill(connection) {
    connection.socket._writableState.needDrain = true;

    if (this.dispatching && !isAwaited(connection.socket)) {
      this._full.push(connection);
    } else {
      nextTick(empty, this, connection);
    }
  }

  /**
   * Takes note that ticks are about to run. To be called by whoever dispatches a
   * batch.
   *
   * @public
   */
  advance() {
    this.round++;

    while (this._full.length > 0) {
      const connection = this._full.pop();

      //
      // Without a listener there is nothing to be done in a tick of its own; and if
      // the kernel does not take it all, the socket will be told.
      //
      if (isAwaited(connection.socket)) nextTick(empty, this, connection);
      else relieve(connection);
    }
  }

  /**
   * Makes room for a payload.
   *
   * @param {NativeConnection} connection Whose it is
   * @param {Number} length The length in bytes that it may have
   * @return {Boolean} `false` if what was sent before waits in the socket's queue
   *     now, so that this must, too
   * @private
   */
  _reserve(connection, length) {
    this._longTextLength = -1;

    if (this._slab.length - this._used >= HEADER + length) return true;

    this.flush();

    if (this._slab.length < HEADER + length) {
      this._slab = Buffer.allocUnsafeSlow(SLAB_SIZE);
      this._engine.lendOutbox(this._rows, this._slab);
    }

    return connection.isClear;
  }

  /**
   * Adds a row for a payload that lies behind `_used`.
   *
   * @param {NativeConnection} connection The connection
   * @param {Number} firstByte The first byte of the frame
   * @param {(String|Uint8Array)} data What is sent
   * @param {Number} offset Where the payload begins
   * @param {Number} length Its length in bytes
   * @param {Boolean} mask Whether to mask it
   * @param {Function} [cb] Callback
   * @private
   */
  _add(connection, firstByte, data, offset, length, mask, cb) {
    const pair = pairSize(data, length, mask);
    let flags = firstByte;

    if (mask) {
      writeMaskingKey(this._slab, offset - 4);
      flags |= MASK;
    }

    this._used = offset + length;
    this._push(connection, flags, offset, length, pair, cb);
  }

  /**
   * Adds a row.
   *
   * @param {NativeConnection} connection The connection
   * @param {Number} flags The flags, with the first byte of the frame
   * @param {Number} offset Where the bytes begin
   * @param {Number} length Their length
   * @param {Number} pair The size of the frame, as a stream counts it, if it
   *     would be written in two pieces, otherwise 0
   * @param {Function} [cb] Callback
   * @private
   */
  _push(connection, flags, offset, length, pair, cb) {
    const index = this._count++;
    const row = index * ROW;

    this._rows[row] = connection.id;
    this._rows[row + 1] = flags;
    this._rows[row + 2] = offset;
    this._rows[row + 3] = length;
    this._connections[index] = connection;
    this._pairs[index] = pair;
    this._tickets[index] = null;
    this._fill(connection, pair);

    if (typeof cb === 'function') {
      const ticket = createTicket(this, connection, cb);

      this._tickets[index] = ticket;
      queue(ticket);
    }

    if (this._count === MAX_ROWS || this.isExiting) {
      this.flush();
    } else if (!this.dispatching && !this._scheduled) {
      this._scheduled = true;
      nextTick(this._flush);
    }
  }

  /**
   * Hands everything that waits to the kernel, and from now on everything at
   * once, since no tick comes any more.
   *
   * @public
   */
  exit() {
    this.isExiting = true;
    this.flush();
  }
}

module.exports = Outbox;

/**
 * Says that a socket does not count as full any more.
 *
 * @param {Outbox} outbox What waits to be handed to the kernel
 * @param {NativeConnection} connection The connection of the socket
 * @private
 */
function empty(outbox, connection) {
  outbox.flush();
  drain(connection);
}

/**
 * Emits `'drain'` if the kernel has taken everything.
 *
 * @param {NativeConnection} connection The connection of the socket, if it has one
 * @private
 */
function drain(connection) {
  const { socket } = connection;

  if (socket !== null && relieve(connection)) socket.emit('drain');
}

/**
 * Has a socket not count as full any more, unless something waits in it, or has
 * failed.
 *
 * @param {NativeConnection} connection The connection of the socket
 * @return {Boolean} Whether it counted as full
 * @private
 */
function relieve({ failure, socket }) {
  const state = socket._writableState;

  if (
    !state.needDrain ||
    state.length !== 0 ||
    state.ending ||
    state.errored ||
    failure !== 0 ||
    socket.destroyed
  ) {
    return false;
  }

  state.needDrain = false;
  return true;
}

/**
 * Whether anybody waits for a socket not to be full any more.
 *
 * @param {net.Socket} socket The socket
 * @return {Boolean} `true` if somebody does, or might
 * @private
 */
function isAwaited(socket) {
  return socket.emit !== emit || socket._events.drain !== undefined;
}

/**
 * Masks the rest of a payload.
 *
 * @param {Uint8Array} rest The rest
 * @param {Buffer} key The masking key
 * @param {Number} phase How many bytes of the payload came before it
 * @return {Buffer} The masked rest
 * @private
 */
function toMasked(rest, key, phase) {
  const masked = Buffer.allocUnsafe(rest.length);
  const rotated = Buffer.from(key.map((_, i) => key[(i + phase) & 3]));

  mask(rest, rotated, masked, 0, rest.length);
  return masked;
}

/**
 * Makes what is to be done in the tick in which a frame's callback is due.
 *
 * @param {Outbox} outbox Where the frame waits to be handed to the kernel
 * @param {NativeConnection} connection The connection that it is for
 * @param {Function} cb The callback
 * @return {Object} The ticket, for `settle()`
 * @private
 */
function createTicket(outbox, connection, cb) {
  return { outbox, connection, cb, unsent: null };
}

/**
 * Takes the callback of a frame, for somebody else to call.
 *
 * @param {(Object|null)} ticket The ticket of the frame
 * @param {Boolean} isFailed Whether the kernel has refused the frame
 * @return {(Function|undefined)} The callback, if there is one
 * @private
 */
function takeCallback(ticket, isFailed) {
  if (ticket === null) return undefined;

  const { cb } = ticket;

  ticket.cb = null;
  if (!isFailed) return cb;

  //
  // The tick of the frame comes first. It has the asynchronous context.
  //
  ticket.unsent = new Unsent(cb);
  return ticket.unsent.cb;
}

/**
 * Takes a text frame apart into the pieces in which ws would have written it: a
 * stream counts the code units of a string.
 *
 * @param {Buffer} frame The frame, which is not masked
 * @return {(Buffer|String)[]} Header and payload
 * @private
 */
function toPieces(frame) {
  const start = frame[1] === 126 ? 4 : 2;

  return [Buffer.from(frame.subarray(0, start)), frame.utf8Slice(start)];
}

/**
 * Has the callback of a frame called in a tick. While a program has replaced
 * `process.nextTick()`, as fake timers do, that is for it to say, since a stream of
 * Node.js asks it, too. The frame does not wait for that.
 *
 * @param {Object} ticket The ticket of the frame
 * @private
 */
function queue(ticket) {
  const owner = findReplacedTick();

  if (owner === null) {
    nextTick(settle, ticket);
  } else {
    nextTick(enter, ticket);
    owner.nextTick(settle, ticket);
  }
}

/**
 * Takes the asynchronous context of a frame for what the kernel did not take of it.
 *
 * @param {Object} ticket The ticket of the frame
 * @private
 */
function enter(ticket) {
  ticket.outbox.flush();

  if (ticket.unsent !== null) ticket.unsent.enter();
  ticket.unsent = null;
}

/**
 * Calls the callback of a frame, unless the kernel did not take it. As in a
 * stream, `'drain'` comes before that.
 *
 * @param {Object} ticket The ticket of the frame
 * @private
 */
function settle(ticket) {
  ticket.outbox.flush();

  drain(ticket.connection);

  const { cb } = ticket;

  if (cb !== null) cb(null);
  else if (ticket.unsent !== null) ticket.unsent.enter();
}

/**
 * Tells whether ws would write a frame in two pieces, header and payload, and of
 * what size: a stream counts the code units of a string.
 *
 * @param {(String|Uint8Array)} data What is sent
 * @param {Number} length The length of the payload in bytes
 * @param {Boolean} mask Whether it is masked
 * @return {Number} The size of both, 0 if there is one piece only
 * @private
 */
function pairSize(data, length, mask) {
  const isText = typeof data === 'string';
  if (length === 0 || (mask && !isText)) return 0;
  if (mask) return headerLength(length) + 4 + length;

  return headerLength(length) + (isText ? data.length : length);
}

/**
 * How much room to leave before a payload. It is that of its frame header where
 * that is known, so that the frames of a connection lie side by side.
 *
 * @param {Number} length The length of the payload, in bytes or characters
 * @param {Boolean} mask Whether there is a masking key
 * @return {Number} The room in bytes
 * @private
 */
function headerRoom(length, mask) {
  const room = length <= 41 ? 2 : 4;

  return mask ? room + 4 : room;
}
