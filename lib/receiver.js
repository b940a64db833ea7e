'use strict';

const { Writable } = require('stream');

const EventQueue = require('./event-queue');
const Fault = require('./fault');
const InflatedMessage = require('./inflated-message');
const PartialMessage = require('./partial-message');
const PerMessageDeflate = require('./permessage-deflate');
const WholeFrame = require('./whole-frame');
const binding = require('./binding');
const decoderOptions = require('./decoder-options');
const emitMessage = require('./emit-message');
const inflation = require('./inflation');
const originals = require('./originals');
const { BINARY_TYPES, kWebSocket } = require('./constants');
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
  Inbox,
  PING,
  PONG,
  ROW,
  TEXT,
  WHO_INFLATES
} = require('./inbox');

/** The decoder stands in for these, and for no others. */
const { decompress, _decompress } = PerMessageDeflate.prototype;

/** Bits of what its `feed()` returns, above the number of rows. */
const BETWEEN_FRAMES = 1 << 16;
const IS_INFLATING = 1 << 17;
const COUNT = 0xffff;

/**
 * Up to so many bytes of masked frames are looked at here: calling the decoder
 * takes longer than what it would do with them. What is not masked needs nothing
 * done to it, so there the number does not matter.
 */
const SHORT = 384;

/**
 * From so many bytes on a message is put together here, also if it is not the first
 * of a chunk. Of shorter ones the decoder takes many at once.
 */
const LONG = 16 * 1024;

/** A binary message that is to wait, of the type that it has when it comes. */
const CONVERTED = -1;

const INVALID_UTF8 = Fault.named('InvalidUtf8');
const TOO_LONG = Fault.named('UnsupportedMessageLength');
const TOO_MANY_CHUNKS = Fault.named('TooManyBufferedChunks');

const GET_INFO = 0;
const INFLATING = 5;
const DEFER_EVENT = 6;

/**
 * As much of this as was read is written to a receiver to make it work off what
 * it holds. So the stream does not finish before that, and asks for a pause when
 * it holds too much.
 */
const HELD = Buffer.alloc(64 * 1024);
const NOTHING = HELD.subarray(0, 0);

/** Used by all receivers in turn: rows are read before anything is emitted. */
const inbox = new Inbox();

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
 * messages in them. The bytes are decoded by the addon.
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

    this._decoder = null;
    this._connection = null;

    //
    // The decoder, if it is known to be between two messages, so that a message
    // may pass it by. There is none at first, and that may be passed by, too.
    //
    this._idleDecoder = null;

    //
    // A message that is put together here because only its beginning has come.
    //
    this._partial = null;

    this._errored = false;
    this._state = GET_INFO;

    //
    // What is being worked off: a chunk from `_offset` on, the events that were
    // decoded but not emitted yet, and the callback of the pending write.
    //
    this._chunk = NOTHING;
    this._offset = 0;
    this._held = new EventQueue();
    this._callback = null;

    //
    // Whether an event is being emitted outside of a write.
    //
    this._isEmitting = false;

    //
    // Whether the decoder takes nothing of the chunk because it waits for an answer.
    //
    this._isStuck = false;

    //
    // Whether the decoder has decompressed much of a message, and has not come to
    // its end. Then it is the turn of others.
    //
    this._isInflating = false;

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
    if (this._connection !== null) {
      return this._connection.totalPayloadLength();
    }

    if (this._partial !== null) return this._partial.data.length;

    return this._decoder === null ? 0 : this._decoder.totalPayloadLength;
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

    this._callback = cb;
    this._chunk = chunk.buffer === HELD.buffer ? NOTHING : chunk;
    this._offset = 0;
    if (this._isEmitting) return;

    //
    // What a listener writes comes after what was read before.
    //
    if (this._chunk !== NOTHING && this._connection !== null) {
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
   * Takes a chunk in memory that is used again: by the next chunk, which may come
   * while a listener runs. So nothing of it is left there when something is emitted.
   * The stream is passed by where it would only take time; see `canTake`.
   *
   * @param {Buffer} memory The memory, which begins with the chunk
   * @param {Number} length The length of the chunk
   * @return {Boolean} What `write()` would return
   * @public
   */
  take(memory, length) {
    const frame =
      this._partial === null ? this._findWhole(memory, 0, length) : null;

    if (frame !== null && frame.end === length) {
      const data = frame.copy(memory, !this._skipUTF8Validation);

      if (data !== null) {
        this._emitAlone(frame.kind, 0, data, null);
        return true;
      }
    }

    const chunk = memory.subarray(0, length);

    if (this._takePart(chunk, frame)) return true;

    return frame === null && this._partial === null && !inflation.isMuch()
      ? this._takeDecoded(chunk)
      : this.write(Buffer.from(chunk));
  }

  /**
   * Takes a chunk that is part of a message which is put together here, and not the
   * last one.
   *
   * @param {Buffer} chunk The chunk
   * @param {WholeFrame} [frame] The frame that it begins with, if it is simple
   * @return {Boolean} `false` if it is something else
   * @private
   */
  _takePart(chunk, frame) {
    const partial = this._partial;

    if (partial === null) {
      return (
        frame !== null &&
        frame.end > chunk.length &&
        this._begin(chunk, 0, frame)
      );
    }

    if (partial.missing <= chunk.length || this._hasTooMany(partial)) {
      return false;
    }

    partial.take(chunk, 0);
    return true;
  }

  /**
   * Has the decoder take a chunk.
   *
   * @param {Buffer} chunk The chunk
   * @return {Boolean} What `write()` would return
   * @private
   */
  _takeDecoded(chunk) {
    const end = this._feed(this._getDecoder(), chunk, 0);
    const rest = chunk.subarray(inbox.rows[2]);

    if (rest.length === 0 && (end === ROW || this._emitSingle(end))) {
      return true;
    }

    this._collect(end);

    return this.write(
      rest.length === 0 ? HELD.subarray(0, chunk.length) : Buffer.from(rest)
    );
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

    if (this._isStuck) {
      this._isStuck = false;
      this._run();
    }
  }

  /**
   * Holds an event.
   *
   * @param {Number} kind The kind of the row
   * @param {Number} detail The detail of the row
   * @param {Buffer} data The payload
   * @param {Buffer} [fragments] The lengths of the fragments, if there are
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
   * @private
   */
  _hold(bytes) {
    const connection = this._connection;

    if (!this.write(HELD.subarray(0, bytes)) && connection !== null) {
      connection.choke();
    }
  }

  /**
   * Whether a part of a chunk is still to be decoded.
   *
   * @type {Boolean}
   */
  get isDecoding() {
    return this._offset < this._chunk.length;
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
        (this._isInflating || inflation.isMuch())
      ) {
        this._isInflating = false;
        inflation.postpone(() => this._run());
        return false;
      }
    } while (this._decode());

    return !this._isStuck;
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
    const decoder = this._connection || this._decoder;

    this._takeRest(
      decoder.decideInflating(
        isReplaceable(this._extensions[PerMessageDeflate.extensionName])
      )
    );
  }

  /**
   * Takes data that comes before what is left of the chunk.
   *
   * @param {Buffer} rest The data
   * @private
   */
  _takeRest(rest) {
    if (rest.length === 0) return;

    this._chunk = this.isDecoding
      ? Buffer.concat([rest, this._chunk.subarray(this._offset)])
      : rest;
    this._offset = 0;
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
   * The decoder of what the engine does not decode.
   *
   * @return {Object} The decoder
   * @private
   */
  _getDecoder() {
    if (this._decoder === null) {
      this._decoder = new binding.Decoder(...this._limits());
    }

    return this._decoder;
  }

  /**
   * Decodes what is left of the chunk.
   *
   * @return {Boolean} `true` if there may be events now
   * @private
   */
  _decode() {
    const chunk = this._chunk;

    //
    // The program may have given its memory away, to another thread.
    //
    if (this._offset >= chunk.length) {
      this._chunk = NOTHING;
      this._offset = 0;
      return false;
    }

    if (this._partial !== null) {
      this._takeMore(chunk);
      return true;
    }

    if (this._takeWhole(chunk, this._offset)) return true;

    const decoder = this._connection || this._getDecoder();
    const start = this._offset;
    const end = this._feed(decoder, chunk, start);

    this._offset = inbox.rows[2];

    //
    // What comes next must not reach the decoder before the rest.
    //
    if (this._connection !== null && this.isDecoding) {
      this._connection.putBack(chunk.subarray(this._offset));
      this._chunk = NOTHING;
      this._offset = 0;
    }

    //
    // The decoder has asked who decompresses, in rows that are yet to come here.
    //
    this._isStuck =
      end === ROW && this._offset === start && decoder.isAsking === true;

    if (!this._emitSingle(end)) this._collect(end);

    return !this._isStuck;
  }

  /**
   * Finds the next frame of a chunk, if it is one of those that are simple and need
   * not be decoded by the decoder.
   *
   * @param {Buffer} chunk The chunk
   * @param {Number} start Where the frame begins
   * @param {Number} end Where the chunk ends
   * @return {(WholeFrame|null)} The frame, whose end may not have come
   * @private
   */
  _findWhole(chunk, start, end) {
    if (
      (end - start > SHORT && this._isServer) ||
      this._idleDecoder !== this._decoder ||
      this._connection !== null ||
      !this._allowSynchronousEvents
    ) {
      return null;
    }

    const frame = WholeFrame.find(chunk, start, end, this._isServer);

    if (
      frame !== null &&
      frame.kind <= BINARY &&
      frame.length > this._maxPayload &&
      this._maxPayload > 0
    ) {
      return null;
    }

    return frame;
  }

  /**
   * Decodes the next frame of a chunk without the decoder, and emits it, if it is
   * one of those that are simple. Everything else, valid or not, is left to the
   * decoder, as it was.
   *
   * @param {Buffer} chunk The chunk
   * @param {Number} start Where the frame begins
   * @return {Boolean} `true` if that could be done
   * @private
   */
  _takeWhole(chunk, start) {
    const frame = this._findWhole(chunk, start, chunk.length);
    if (frame === null) return false;

    if (frame.end > chunk.length) {
      if (!this._begin(chunk, start, frame)) return false;

      this._offset = chunk.length;
      return true;
    }

    const data = frame.take(chunk, !this._skipUTF8Validation);
    if (data === null) return false;

    this._offset = frame.end;
    this._emit(frame.kind, 0, data, null);
    return true;
  }

  /**
   * Takes the beginning of a message, if it is one to be put together here.
   *
   * @param {Buffer} chunk The chunk, which ends with that
   * @param {Number} start Where its frame begins
   * @param {WholeFrame} frame The frame
   * @return {Boolean} `true` if it is
   * @private
   */
  _begin(chunk, start, frame) {
    if (
      frame.kind > BINARY ||
      frame.offset > chunk.length ||
      (this._isServer && frame.length > SHORT) ||
      (start > 0 && frame.length < LONG)
    ) {
      return false;
    }

    this._partial = new PartialMessage(chunk, frame);
    return true;
  }

  /**
   * Whether a message has come in more chunks than are allowed.
   *
   * @param {PartialMessage} partial The message
   * @return {Boolean} `true` if it has
   * @private
   */
  _hasTooMany(partial) {
    return (
      partial.chunks >= this._maxBufferedChunks && this._maxBufferedChunks > 0
    );
  }

  /**
   * Takes what has come of a message whose beginning has come before, and emits
   * it if that is all.
   *
   * @param {Buffer} chunk The chunk
   * @private
   */
  _takeMore(chunk) {
    const partial = this._partial;

    if (this._offset === 0 && this._hasTooMany(partial)) {
      this._partial = null;
      this._keep(ERROR, TOO_MANY_CHUNKS.detail, TOO_MANY_CHUNKS.text, null);
      return;
    }

    this._offset = partial.take(chunk, this._offset);
    if (partial.missing > 0) return;

    const { data, kind } = partial;

    this._partial = null;

    if (kind === TEXT && !this._skipUTF8Validation && !isValidUTF8(data)) {
      this._keep(ERROR, INVALID_UTF8.detail, INVALID_UTF8.text, null);
    } else {
      this._emit(kind, 0, data, null);
    }
  }

  /**
   * Decodes a part of a chunk, as much as the inbox has room for.
   *
   * @param {Object} decoder The decoder, or the connection that has it
   * @param {Buffer} chunk The chunk
   * @param {Number} offset Where to begin
   * @return {Number} The index after the last row in the inbox, which also says
   *     where to go on
   * @private
   */
  _feed(decoder, chunk, offset) {
    inbox.prepare();

    const result = decoder.feed(
      chunk,
      offset,
      inbox.rows,
      inbox.slab,
      inbox.used
    );

    this._idleDecoder = (result & BETWEEN_FRAMES) === 0 ? undefined : decoder;
    this._isInflating = (result & IS_INFLATING) !== 0;
    if (this._isInflating) inflation.add(inflation.SHARE);
    inbox.commit(decoder);

    return ROW + (result & COUNT) * ROW;
  }

  /**
   * Emits what is in the inbox if that is a single event which need not wait,
   * so that it need not be held. It mostly is.
   *
   * @param {Number} end The index after the last row
   * @return {Boolean} `true` if it was emitted
   * @private
   */
  _emitSingle(end) {
    const { rows } = inbox;
    const i = end - ROW;
    const isSplit = i === 2 * ROW && (rows[ROW + 1] & 0xff) === FRAGMENTS;

    if (i !== ROW && !isSplit) return false;

    const kind = rows[i + 1] & 0xff;
    const detail = rows[i + 1] >>> 8;

    if (!this._isDue(kind)) return false;

    const data = inbox.payload(i);
    const fragments =
      isSplit && this._binaryType !== 'nodebuffer' ? inbox.payload(ROW) : null;

    inbox.release();
    if (this._callback === null) this._emitAlone(kind, detail, data, fragments);
    else this._emit(kind, detail, data, fragments);
    return true;
  }

  /**
   * Emits an event outside of a write. Chunks that come meanwhile, because of a
   * listener, wait for its end, as behind any other.
   *
   * @param {Number} kind The kind of the row
   * @param {Number} detail The detail of the row
   * @param {Buffer} data The payload
   * @param {(Buffer|Buffer[])} [fragments] The fragments of a message
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
   * Holds what is in the inbox, to be emitted in turn.
   *
   * @param {Number} end The index after the last row
   * @private
   */
  _collect(end) {
    const { rows } = inbox;
    let fragments = null;

    for (let i = ROW; i < end; i += ROW) {
      const word = rows[i + 1];
      const kind = word & 0xff;
      const data = inbox.payload(i);

      if (kind === FRAGMENTS) {
        fragments = data;
      } else {
        this._keep(kind, word >>> 8, data, fragments);
        fragments = null;
      }
    }

    inbox.release();
  }

  /**
   * Emits an event.
   *
   * @param {Number} kind The kind of the row
   * @param {Number} detail The detail of the row
   * @param {Buffer} data The payload
   * @param {(Buffer|Buffer[])} [fragments] The fragments of a message, if there
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

      const decoder = this._connection || this._decoder;

      if (decoder) decoder.setLimits(...this._limits());
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
