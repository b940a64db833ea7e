'use strict';

const { Writable } = require('stream');

const ChunkDecoder = require('./chunk-decoder');
const EventQueue = require('./event-queue');
const Fault = require('./fault');
const InflatedMessage = require('./inflated-message');
const PerMessageDeflate = require('./permessage-deflate');
const binding = require('./binding');
const decoderOptions = require('./decoder-options');
const emitMessage = require('./emit-message');
const inflation = require('./inflation');
const originals = require('./originals');
const { BINARY_TYPES, EMPTY_BUFFER, kWebSocket } = require('./constants');
const { CLOSED } = require('./ready-states');
const { convert } = require('./binary-message');
const { isValidUTF8 } = require('./validation');
const { setImmediate } = require('./scheduling');
const {
  BINARY,
  CLOSE,
  COMPRESSED_FRAME,
  ERROR,
  FIN,
  FRAGMENTS,
  INFLATED,
  IS_BINARY,
  PING,
  PONG,
  ROW,
  TEXT,
  WHO_INFLATES
} = require('./inbox');

/** The decoder stands in for these, and for no others. */
const { decompress, _decompress } = PerMessageDeflate.prototype;

/** A binary message that is to wait, of the type that it has when it comes. */
const CONVERTED = -1;

const INVALID_UTF8 = Fault.named('InvalidUtf8');
const TOO_LONG = Fault.named('UnsupportedMessageLength');

//
// The values that `_state` has with ws, as far as they stand for something here.
//
const GET_INFO = 0;
const INFLATING = 5;
const DEFER_EVENT = 6;

/**
 * As much of this as was read is written to a receiver to make it work off what
 * it holds. So the stream does not finish before that, and asks for a pause when
 * it holds too much.
 */
const HELD = Buffer.alloc(64 * 1024);

/**
 * How many turns of the event loop pass for each frame of a compressed message. It
 * is decompressed already, but with ws that takes three trips to the thread pool,
 * and programs can tell: by what else happens meanwhile, such as the end of the
 * connection.
 */
const INFLATING_TURNS = 3;

/**
 * How many bytes of decompressed messages a receiver may hold before it asks for
 * a pause: a few bytes can become many, and they are held for some turns.
 */
const MOST_HELD = 64 * 1024;

/**
 * The receiving end of a connection: a writable stream of bytes that emits the
 * messages in them. A `ChunkDecoder` decodes the bytes.
 *
 * The native driver does not write bytes but hands over events that are decoded
 * already; see `receive()`.
 *
 * @extends Writable
 */
class Receiver extends Writable {
  /**
   * Creates a Receiver instance.
   *
   * @param {Object} [options] Options object
   * @param {Boolean} [options.allowSynchronousEvents=true] Whether several
   *     `'message'`, `'ping'`, and `'pong'` events may be emitted in a tick
   * @param {String} [options.binaryType=nodebuffer] The type of binary messages
   * @param {Object} [options.extensions] The negotiated extensions
   * @param {Boolean} [options.isServer=false] Whether this is the server's side
   * @param {Number} [options.maxBufferedChunks=0] How many chunks may wait for
   *     the rest of a frame, 0 for no limit
   * @param {Number} [options.maxFragments=0] How many frames a message may have,
   *     0 for no limit
   * @param {Number} [options.maxPayload=0] How many bytes a message may have, 0
   *     for no limit
   * @param {Boolean} [options.skipUTF8Validation=false] Whether text and close
   *     reasons are not checked
   */
  constructor(options = {}) {
    super();

    const { allowSynchronousEvents } = options;

    this._allowSynchronousEvents =
      allowSynchronousEvents === undefined ? true : allowSynchronousEvents;
    this._binaryType = options.binaryType || BINARY_TYPES[0];
    this._extensions = options.extensions || {};
    this._isServer = !!options.isServer;
    this._maxBufferedChunks = options.maxBufferedChunks | 0;
    this._maxFragments = options.maxFragments | 0;
    this._maxPayload = options.maxPayload | 0;
    this._skipUTF8Validation = !!options.skipUTF8Validation;
    this[kWebSocket] = undefined;

    this._connection = null;
    this._decoder = new ChunkDecoder(this);

    this._errored = false;
    this._state = GET_INFO;

    //
    // The events that were decoded but not emitted yet, and the callback of the
    // pending write.
    //
    this._held = new EventQueue();
    this._callback = null;

    //
    // Whether an event is being emitted outside of a write.
    //
    this._isEmitting = false;

    //
    // The message that the extension decompresses, if it is asked.
    //
    this._inflated = null;
  }

  /**
   * The length of the message being received, as far as it is known.
   *
   * @type {Number}
   */
  get _totalPayloadLength() {
    return this._connection === null
      ? this._decoder.totalPayloadLength
      : this._connection.totalPayloadLength();
  }

  /**
   * Implements `Writable.prototype._write()`.
   *
   * @param {Buffer} chunk The chunk of data to write
   * @param {String} encoding The character encoding of `chunk`
   * @param {Function} cb Callback
   * @private
   */
  _write(chunk, encoding, cb) {
    //
    // The stream goes on with chunks that have waited until it has told of the error.
    //
    if (this._errored) return;

    const isHeld = chunk.buffer === HELD.buffer;

    this._callback = cb;
    this._decoder.begin(isHeld ? EMPTY_BUFFER : chunk);
    if (this._isEmitting) return;

    //
    // What a listener writes comes after what was read before.
    //
    if (!isHeld && this._connection !== null) {
      this._connection.afterRows(() => this._run());
    } else {
      this._run();
    }
  }

  /**
   * Whether there is nothing to do, and nobody would see what the stream gets.
   *
   * @type {Boolean}
   */
  get canTake() {
    const { corked, ending, length, writing } = this._writableState;

    return (
      length === 0 &&
      corked === 0 &&
      !writing &&
      !ending &&
      !this._isEmitting &&
      !this._errored &&
      !this.destroyed &&
      this._connection === null &&
      this.write === write &&
      this._write === _write
    );
  }

  /**
   * Takes a chunk in memory that is used again. The stream is passed by where it
   * would only take time; see `canTake`.
   *
   * @param {Buffer} memory The memory, which begins with the chunk
   * @param {Number} length The length of the chunk
   * @return {Boolean} What `write()` would return
   * @public
   */
  take(memory, length) {
    return this._decoder.take(memory, length);
  }

  /**
   * Takes events of the native driver. They are emitted at once, unless they
   * must wait for their turn.
   *
   * @param {Inbox} batch The inbox
   * @param {Number} i The index of the first word of the first row
   * @param {Number} end The index after the last row
   * @param {Number} bytes How many bytes were read
   * @public
   */
  receive(batch, i, end, bytes) {
    let fragments = null;

    //
    // If it was the extension that failed, the decoder does not know.
    //
    if (this.errored) return;

    //
    // Nothing comes any more, and whoever writes more makes a mistake.
    //
    if (this.writableEnded || this.destroyed) {
      this._hold(bytes);
      return;
    }

    for (; i < end; i += ROW) {
      const word = batch.rows[i + 1];
      const kind = word & 0xff;
      const detail = word >>> 8;
      const data = batch.payload(i);

      if (kind === FRAGMENTS) {
        fragments = data;
        continue;
      }

      if (
        this._callback === null &&
        this._isDue(kind) &&
        !this._isTooLong(kind, data)
      ) {
        try {
          this._emit(kind, detail, data, fragments);
        } catch (err) {
          //
          // As if each event had been delivered by a callback of its own.
          //
          binding.fatalException(err);
        }
      } else {
        this._keep(kind, detail, data, fragments);

        if (this._callback === null || bytes !== 0) {
          this._hold(bytes);
          bytes = 0;
        } else if (
          this._held.bytesBehind > MOST_HELD &&
          !this.writableNeedDrain
        ) {
          this._hold(HELD.length);
        }
      }

      fragments = null;
    }

    if (this._decoder.isStuck) {
      this._decoder.isStuck = false;
      this._run();
    }
  }

  /**
   * Holds an event.
   *
   * @param {Number} kind The kind of the row
   * @param {Number} detail The detail of the row
   * @param {Buffer} data The payload
   * @param {(Buffer|null)} fragments The lengths of the fragments, if there are
   *     several
   * @private
   */
  _keep(kind, detail, data, fragments) {
    this._held.push({ kind, detail, data, fragments });
    if (kind === INFLATED) inflation.add(detail);
  }

  /**
   * Works off what is held, now or when the pending write is done. Until then no
   * more is read than with ws, where the stream would hold the bytes.
   *
   * @param {Number} bytes How many bytes the events have come in
   * @return {Boolean} What `write()` returns
   * @private
   */
  _hold(bytes) {
    const connection = this._connection;
    const hasRoom = this.write(HELD.subarray(0, bytes));

    if (!hasRoom && connection !== null) connection.choke();
    return hasRoom;
  }

  /**
   * Whether a part of a chunk is still to be decoded.
   *
   * @type {Boolean}
   */
  get isDecoding() {
    return this._decoder.isDecoding;
  }

  /**
   * Whether events are still to be emitted.
   *
   * @type {Boolean}
   */
  get isHolding() {
    return this._callback !== null;
  }

  /**
   * Whether an event is to be emitted in the tick in which its turn comes.
   *
   * @param {Number} kind The kind of the row
   * @return {Boolean} `true` if it is
   * @private
   */
  _isDue(kind) {
    if (kind === CLOSE) return true;

    return (
      this._allowSynchronousEvents &&
      (kind <= BINARY || kind === PING || kind === PONG)
    );
  }

  /**
   * Whether an event is a message that is too long since the limit was changed,
   * by a listener of the one before.
   *
   * @param {Number} kind The kind of the row
   * @param {Buffer} data The payload
   * @return {Boolean} `true` if it is
   * @private
   */
  _isTooLong(kind, data) {
    return (
      kind <= BINARY && data.length > this._maxPayload && this._maxPayload > 0
    );
  }

  /**
   * Works off what there is. What listeners throw is an uncaught exception like
   * any other, but what was received after that is not lost.
   *
   * @private
   */
  _run() {
    //
    // If chunks are waiting, it is the stream that has called, in a loop which an
    // exception would leave for good.
    //
    const isDone = this._writableState.bufferProcessing
      ? this._workInLoop()
      : this._workAlone();

    if (!isDone) return;

    const cb = this._callback;

    this._callback = null;
    cb();
  }

  /**
   * Works, and goes on later after an exception.
   *
   * @return {Boolean} `false` if an event must wait
   * @private
   */
  _workAlone() {
    let isThrown = true;

    try {
      const isDone = this._work();

      isThrown = false;
      return isDone;
    } finally {
      if (isThrown && this._canGoOn) setImmediate(() => this._run());
    }
  }

  /**
   * Works, and goes on at once after an exception.
   *
   * @return {Boolean} `false` if an event must wait
   * @private
   */
  _workInLoop() {
    for (;;) {
      try {
        return this._work();
      } catch (err) {
        if (!this._canGoOn) throw err;
        binding.fatalException(err);
      }
    }
  }

  /**
   * Whether there is something to go on with after an exception. If it was the
   * extension that has thrown, it may still call back.
   *
   * @type {Boolean}
   */
  get _canGoOn() {
    return this._state === GET_INFO && this._callback !== null;
  }

  /**
   * Emits events until there are no more, or one must wait.
   *
   * @return {Boolean} `false` if one must wait
   * @private
   */
  _work() {
    do {
      while (!this._held.isEmpty) {
        if (!this._process()) return false;
      }

      this._state = GET_INFO;

      //
      // The engine does not wait: what it has of a connection is decoded now.
      //
      if (
        this.isDecoding &&
        this._connection === null &&
        (this._decoder.isInflating || inflation.isMuch())
      ) {
        this._decoder.isInflating = false;
        inflation.postpone(() => this._run());
        return false;
      }
    } while (this._decoder.decode());

    return !this._decoder.isStuck;
  }

  /**
   * Processes the first of the waiting events.
   *
   * @return {Boolean} `false` if this ends the run
   * @private
   */
  _process() {
    const event = this._held.shift();
    const { kind, detail, data } = event;

    if (this._isTooLong(kind, data)) {
      this._callback(this._toError(TOO_LONG));
      return false;
    }

    //
    // Text that had to be decompressed has waited long enough.
    //
    const isLate = this._state === INFLATING && kind === TEXT;

    this._state = GET_INFO;

    if (isLate || this._isDue(kind)) {
      this._emit(kind, detail, data, event.fragments);
      return true;
    }

    if (kind === WHO_INFLATES) {
      this._decideInflating();
      return true;
    }

    if (kind === COMPRESSED_FRAME) {
      this._decompress(detail, data);
    } else if (kind === ERROR) {
      this._callback(this._toError(new Fault(detail, data)));
    } else if (kind === INFLATED) {
      this._state = INFLATING;
      this._goOnLater(INFLATING_TURNS);
    } else {
      this._state = DEFER_EVENT;
      this._defer(
        kind === BINARY
          ? {
              kind: CONVERTED,
              data: convert(this._binaryType, data, event.fragments)
            }
          : event
      );
    }

    return false;
  }

  /**
   * Tells the decoder whether it decompresses what is received, in place of the
   * extension. It asks when the first compressed frame comes: a program may
   * replace the extension or parts of it until then.
   *
   * @private
   */
  _decideInflating() {
    this._decoder.decideInflating(
      isReplaceable(this._extensions[PerMessageDeflate.extensionName])
    );
  }

  /**
   * Has a frame of a compressed message decompressed by the extension.
   *
   * @param {Number} detail The detail of the row
   * @param {Buffer} data The payload
   * @private
   */
  _decompress(detail, data) {
    const extension = this._extensions[PerMessageDeflate.extensionName];
    const cb = this._callback;
    let hasGoneOn = false;

    this._state = INFLATING;

    extension.decompress(data, (detail & FIN) !== 0, (err, part) => {
      //
      // From an error on the write stays pending, so that nothing is emitted.
      //
      if (err) {
        cb(err);
        return;
      }

      try {
        err = this._addInflated(detail, part);
        if (err !== null) cb(err);
      } catch (thrown) {
        binding.fatalException(thrown);
      }

      if (!this._errored && this._state !== DEFER_EVENT) {
        hasGoneOn = true;
        this._state = GET_INFO;
        this._callback = cb;
        this._run();
      }
    });

    //
    // With ws the write ends twice if the extension has called back at once, and
    // the stream fails.
    //
    if (hasGoneOn && !this._errored) cb();
  }

  /**
   * Takes what a frame of a compressed message has become. If that completes the
   * message, it is emitted.
   *
   * @param {Number} detail The detail of the frame's row
   * @param {Buffer} part The decompressed payload
   * @return {(Error|null)} What is wrong with the message, if anything is
   * @private
   */
  _addInflated(detail, part) {
    const inflated = this._inflated || new InflatedMessage();

    if (!inflated.add(part, this._maxPayload)) {
      return this._toError(TOO_LONG);
    }

    if ((detail & FIN) === 0) {
      this._inflated = inflated;
      return null;
    }

    this._inflated = null;

    const { data, fragments } = inflated;

    if ((detail & IS_BINARY) === 0) {
      if (!this._skipUTF8Validation && !isValidUTF8(data)) {
        return this._toError(INVALID_UTF8);
      }

      this._emit(TEXT, 0, data, fragments);
    } else if (this._allowSynchronousEvents) {
      this._emit(BINARY, 0, data, fragments);
    } else {
      this._state = DEFER_EVENT;
      this._defer({
        kind: CONVERTED,
        data: convert(this._binaryType, data, fragments)
      });
    }

    return null;
  }

  /**
   * Goes on in a later turn of the event loop, unless the connection is closed by
   * then: with ws that has closed the decompressor, too.
   *
   * @param {Number} turns How many turns to wait
   * @private
   */
  _goOnLater(turns) {
    setImmediate(() => {
      if (turns > 1) this._goOnLater(turns - 1);
      else if (!this._isClosed) this._run();
    });
  }

  /**
   * Whether this belongs to a connection that is closed.
   *
   * @type {Boolean}
   */
  get _isClosed() {
    const websocket = this[kWebSocket];

    return websocket !== undefined && websocket.readyState === CLOSED;
  }

  /**
   * Emits an event in the next turn of the event loop, and goes on from there.
   *
   * @param {Object} event The event
   * @private
   */
  _defer(event) {
    setImmediate(() => {
      try {
        this._emit(event.kind, event.detail, event.data, event.fragments);
      } catch (thrown) {
        binding.fatalException(thrown);
      }

      this._state = GET_INFO;
      this._run();
    });
  }

  /**
   * What the decoder has to know, as the addon wants it.
   *
   * @return {Number[]} Flags and limits
   * @private
   */
  _limits() {
    return decoderOptions(this._isServer, this._extensions, {
      maxBufferedChunks: this._maxBufferedChunks,
      maxFragments: this._maxFragments,
      maxPayload: this._maxPayload,
      skipUTF8Validation: this._skipUTF8Validation
    });
  }

  /**
   * Emits an event outside of a write. Chunks that come meanwhile, because of a
   * listener, wait for its end, as behind any other.
   *
   * @param {Number} kind The kind of the row
   * @param {Number} detail The detail of the row
   * @param {Buffer} data The payload
   * @param {(Buffer|null)} fragments The lengths of the fragments of a message, if
   *     there are several
   * @private
   */
  _emitAlone(kind, detail, data, fragments) {
    let isThrown = true;

    this._isEmitting = true;

    try {
      this._emit(kind, detail, data, fragments);
      isThrown = false;
    } finally {
      this._isEmitting = false;

      if (this._callback !== null) {
        if (isThrown) setImmediate(() => this._run());
        else this._run();
      }
    }
  }

  /**
   * Emits an event.
   *
   * @param {Number} kind The kind of the row
   * @param {Number} detail The detail of the row
   * @param {Buffer} data The payload
   * @param {(Buffer|Buffer[]|null)} fragments The fragments of a message, if there
   *     are several: their lengths, or themselves
   * @private
   */
  _emit(kind, detail, data, fragments) {
    switch (kind) {
      case TEXT:
        emitMessage(this, data, false);
        break;
      case BINARY:
        emitMessage(this, convert(this._binaryType, data, fragments), true);
        break;
      case CONVERTED:
        emitMessage(this, data, true);
        break;
      case PING:
        this.emit('ping', data);
        break;
      case PONG:
        this.emit('pong', data);
        break;
      case CLOSE:
        this.emit('conclude', detail, data);
        this.end();
        break;
    }
  }

  /**
   * Makes the error that ends the work.
   *
   * @param {Fault} fault What the peer has done wrong
   * @return {(Error|RangeError)} The error
   * @private
   */
  _toError(fault) {
    this._errored = true;
    return fault.toError(this._toError);
  }
}

//
// Programs change these, such as when a client has logged in.
//
for (const name of [
  '_maxBufferedChunks',
  '_maxFragments',
  '_maxPayload',
  '_skipUTF8Validation'
]) {
  const key = Symbol(name);

  Object.defineProperty(Receiver.prototype, name, {
    configurable: true,
    get() {
      return this[key];
    },
    set(value) {
      this[key] = value;

      const { _connection: connection, _decoder: decoder } = this;

      if (connection) connection.setLimits(...this._limits());
      else if (decoder) decoder.setLimits(this._limits());
    }
  });
}

{
  const { addListener, emit, on } = Receiver.prototype;

  originals.Receiver = { addListener, emit, on };
}

const { _write, write } = Receiver.prototype;

module.exports = Receiver;

/**
 * Whether the decoder can decompress in place of an extension without anyone
 * seeing the difference.
 *
 * @param {Object} extension The extension
 * @return {Boolean} `true` if it is what this package makes of it, has no
 *     options for zlib, and has not begun to decompress
 * @private
 */
function isReplaceable(extension) {
  return (
    extension instanceof PerMessageDeflate &&
    extension.decompress === decompress &&
    extension._decompress === _decompress &&
    !extension._inflate &&
    !extension._options.zlibInflateOptions
  );
}
