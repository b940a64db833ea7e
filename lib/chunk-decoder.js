'use strict';

const Fault = require('./fault');
const PartialMessage = require('./partial-message');
const WholeFrame = require('./whole-frame');
const binding = require('./binding');
const inflation = require('./inflation');
const { EMPTY_BUFFER } = require('./constants');
const { isValidUTF8 } = require('./validation');
const { BINARY, ERROR, FRAGMENTS, Inbox, ROW, TEXT } = require('./inbox');

/** Bits of what the addon's `feed()` returns, above the number of rows. */
const BETWEEN_FRAMES = 1 << 16;
const IS_INFLATING = 1 << 17;
const COUNT = 0xffff;

/**
 * Up to so many bytes of masked frames are looked at here: calling the addon takes
 * longer than what it would do with them. What is not masked needs nothing done to
 * it, so there the number does not matter.
 */
const SHORT = 384;

/**
 * From so many bytes on a message is put together here, also if it is not the first
 * of a chunk. Of shorter ones the addon takes many at once.
 */
const LONG = 16 * 1024;

/** How much of a chunk the addon is given at a time: it counts in 32 bits. */
const MOST = 2 ** 30;

const INVALID_UTF8 = Fault.named('InvalidUtf8');
const TOO_MANY_CHUNKS = Fault.named('TooManyBufferedChunks');

/** Used by all decoders in turn: rows are read before anything is emitted. */
const inbox = new Inbox();

/**
 * Decodes the chunks that are written to a receiver: what is simple in here, which is
 * quicker, and everything else with the addon's `Decoder`, or with that of the
 * receiver's connection if the engine serves it. The receiver emits what is found, or
 * keeps it until its turn comes.
 */
class ChunkDecoder {
  /**
   * Creates a ChunkDecoder instance.
   *
   * @param {Receiver} receiver The receiver, whose settings count
   */
  constructor(receiver) {
    this._receiver = receiver;

    //
    // The addon's decoder, if there is one yet.
    //
    this._addon = null;

    //
    // The same, if it is known to be between two messages, so that a message may pass
    // it by.
    //
    this._idle = null;

    //
    // A message that is put together here because only its beginning has come.
    //
    this._partial = null;

    //
    // A chunk that is to be decoded from `_offset` on.
    //
    this._chunk = EMPTY_BUFFER;
    this._offset = 0;

    /** Whether nothing more is decoded because the addon waits for an answer. */
    this.isStuck = false;

    /**
     * Whether the addon has decompressed much of a message, and has not come to its
     * end. Then it is the turn of others.
     */
    this.isInflating = false;
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
   * What decodes what is not simple.
   *
   * @type {(Decoder|NativeConnection)}
   * @private
   */
  get _source() {
    return this._receiver._connection || this._getAddon();
  }

  /**
   * The addon's decoder.
   *
   * @return {Decoder} The decoder
   * @private
   */
  _getAddon() {
    if (this._addon === null) {
      this._addon = new binding.Decoder(...this._receiver._limits());
    }

    return this._addon;
  }

  /**
   * The length of the message being received, as far as it is known.
   *
   * @type {Number}
   */
  get totalPayloadLength() {
    if (this._partial !== null) return this._partial.data.length;

    return this._addon === null ? 0 : this._addon.totalPayloadLength;
  }

  /**
   * Goes on with a decoder of the addon that has begun elsewhere.
   *
   * @param {Decoder} addon The decoder
   * @public
   */
  adopt(addon) {
    this._addon = addon;
  }

  /**
   * Changes what is accepted.
   *
   * @param {Number[]} limits What the addon has to know
   * @public
   */
  setLimits(limits) {
    if (this._addon !== null) this._addon.setLimits(...limits);
  }

  /**
   * Tells the addon whether it decompresses what is received. It has asked, and goes
   * on with what it has not looked at.
   *
   * @param {Boolean} here Whether it does
   * @public
   */
  decideInflating(here) {
    const rest = this._source.decideInflating(here);

    if (rest.length === 0) return;

    this._chunk = this.isDecoding
      ? Buffer.concat([rest, this._chunk.subarray(this._offset)])
      : rest;
    this._offset = 0;
  }

  /**
   * Begins with a chunk. There is nothing left of the one before.
   *
   * @param {Buffer} chunk The chunk
   * @public
   */
  begin(chunk) {
    this._chunk = chunk;
    this._offset = 0;
  }

  /**
   * Takes a chunk in memory that is used again: by the next chunk, which may come
   * while a listener runs. So nothing of it is left there when something is emitted.
   * The stream is passed by where it would only take time; see `canTake` of the
   * receiver.
   *
   * @param {Buffer} memory The memory, which begins with the chunk
   * @param {Number} length The length of the chunk
   * @return {Boolean} What `write()` would return
   * @public
   */
  take(memory, length) {
    const { _receiver: receiver } = this;
    const frame =
      this._partial === null ? this._findWhole(memory, 0, length) : null;

    if (frame !== null && frame.end === length) {
      const data = frame.copy(memory, !receiver._skipUTF8Validation);

      if (data !== null) {
        receiver._emitAlone(frame.kind, 0, data, null);
        return true;
      }
    }

    const chunk = memory.subarray(0, length);

    if (this._takePart(chunk, frame)) return true;

    return frame === null && this._partial === null && !inflation.isMuch()
      ? this._takeDecoded(chunk)
      : receiver.write(Buffer.from(chunk));
  }

  /**
   * Takes a chunk that is part of a message which is put together here, and not the
   * last one.
   *
   * @param {Buffer} chunk The chunk
   * @param {(WholeFrame|null)} frame The frame that it begins with, if it is simple
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
   * Has the addon take a chunk.
   *
   * @param {Buffer} chunk The chunk
   * @return {Boolean} What `write()` would return
   * @private
   */
  _takeDecoded(chunk) {
    const { _receiver: receiver } = this;
    const end = this._feed(this._getAddon(), chunk, 0);
    const rest = chunk.subarray(inbox.rows[2]);

    if (rest.length === 0 && (end === ROW || this._emitSingle(end))) {
      return true;
    }

    this._collect(end);

    return rest.length === 0
      ? receiver._hold(chunk.length)
      : receiver.write(Buffer.from(rest));
  }

  /**
   * Decodes what is left of the chunk, or some of it.
   *
   * @return {Boolean} `true` if there may be more
   * @public
   */
  decode() {
    const { _chunk: chunk, _receiver: receiver } = this;

    //
    // The program may have given its memory away, to another thread.
    //
    if (this._offset >= chunk.length) {
      this._chunk = EMPTY_BUFFER;
      this._offset = 0;
      return false;
    }

    if (this._partial !== null) {
      this._takeMore(chunk);
      return true;
    }

    if (this._takeWhole(chunk, this._offset)) return true;

    const source = this._source;
    const start = this._offset;
    const isHuge = chunk.length > MOST;
    const end = isHuge
      ? this._feed(source, chunk.subarray(start, start + MOST), 0)
      : this._feed(source, chunk, start);

    this._offset = isHuge ? start + inbox.rows[2] : inbox.rows[2];

    //
    // What comes next must not reach the connection's decoder before the rest.
    //
    if (receiver._connection !== null && this.isDecoding) {
      source.putBack(chunk.subarray(this._offset));
      this._chunk = EMPTY_BUFFER;
      this._offset = 0;
    }

    //
    // It has asked who decompresses, in rows that are yet to come here.
    //
    this.isStuck =
      end === ROW && this._offset === start && source.isAsking === true;

    if (!this._emitSingle(end)) this._collect(end);

    return !this.isStuck;
  }

  /**
   * Finds the next frame of a chunk, if it is one of those that are simple and need
   * not be decoded by the addon.
   *
   * @param {Buffer} chunk The chunk
   * @param {Number} start Where the frame begins
   * @param {Number} end Where the chunk ends
   * @return {(WholeFrame|null)} The frame, whose end may not have come
   * @private
   */
  _findWhole(chunk, start, end) {
    const { _receiver: receiver } = this;

    if (
      (end - start > SHORT && receiver._isServer) ||
      this._idle !== this._addon ||
      receiver._connection !== null ||
      !receiver._allowSynchronousEvents
    ) {
      return null;
    }

    const frame = WholeFrame.find(chunk, start, end, receiver._isServer);

    if (
      frame !== null &&
      frame.kind <= BINARY &&
      frame.length > receiver._maxPayload &&
      receiver._maxPayload > 0
    ) {
      return null;
    }

    return frame;
  }

  /**
   * Decodes the next frame of a chunk without the addon, and emits it, if it is one
   * of those that are simple. Everything else, valid or not, is left to the addon, as
   * it was.
   *
   * @param {Buffer} chunk The chunk
   * @param {Number} start Where the frame begins
   * @return {Boolean} `true` if that could be done
   * @private
   */
  _takeWhole(chunk, start) {
    const { _receiver: receiver } = this;
    const frame = this._findWhole(chunk, start, chunk.length);
    if (frame === null) return false;

    if (frame.end > chunk.length) {
      if (!this._begin(chunk, start, frame)) return false;

      this._offset = chunk.length;
      return true;
    }

    const data = frame.take(chunk, !receiver._skipUTF8Validation);
    if (data === null) return false;

    this._offset = frame.end;
    receiver._emit(frame.kind, 0, data, null);
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
      (this._receiver._isServer && frame.length > SHORT) ||
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
    const { _maxBufferedChunks: most } = this._receiver;

    return partial.chunks >= most && most > 0;
  }

  /**
   * Takes what has come of a message whose beginning has come before, and emits
   * it if that is all.
   *
   * @param {Buffer} chunk The chunk
   * @private
   */
  _takeMore(chunk) {
    const { _partial: partial, _receiver: receiver } = this;

    if (this._offset === 0 && this._hasTooMany(partial)) {
      this._partial = null;
      receiver._keep(ERROR, TOO_MANY_CHUNKS.detail, TOO_MANY_CHUNKS.text, null);
      return;
    }

    this._offset = partial.take(chunk, this._offset);
    if (partial.missing > 0) return;

    const { data, kind } = partial;

    this._partial = null;

    if (kind === TEXT && !receiver._skipUTF8Validation && !isValidUTF8(data)) {
      receiver._keep(ERROR, INVALID_UTF8.detail, INVALID_UTF8.text, null);
    } else {
      receiver._emit(kind, 0, data, null);
    }
  }

  /**
   * Has a part of a chunk decoded, as much as the inbox has room for.
   *
   * @param {(Decoder|NativeConnection)} source By whom
   * @param {Buffer} chunk The chunk
   * @param {Number} offset Where to begin
   * @return {Number} The index after the last row in the inbox, which also says
   *     where to go on
   * @private
   */
  _feed(source, chunk, offset) {
    inbox.prepare();

    const result = source.feed(
      chunk,
      offset,
      inbox.rows,
      inbox.slab,
      inbox.used
    );

    this._idle = (result & BETWEEN_FRAMES) === 0 ? undefined : source;
    this.isInflating = (result & IS_INFLATING) !== 0;
    if (this.isInflating) inflation.add(inflation.SHARE);
    inbox.commit(source);

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
    const { _receiver: receiver } = this;
    const { rows } = inbox;
    const i = end - ROW;
    const isSplit = i === 2 * ROW && (rows[ROW + 1] & 0xff) === FRAGMENTS;

    if (i !== ROW && !isSplit) return false;

    const kind = rows[i + 1] & 0xff;
    const detail = rows[i + 1] >>> 8;

    if (!receiver._isDue(kind)) return false;

    const data = inbox.payload(i);
    const fragments =
      isSplit && receiver._binaryType !== 'nodebuffer'
        ? inbox.payload(ROW)
        : null;

    inbox.release();
    if (receiver._callback === null)
      receiver._emitAlone(kind, detail, data, fragments);
    else receiver._emit(kind, detail, data, fragments);
    return true;
  }

  /**
   * Holds what is in the inbox, to be emitted in turn.
   *
   * @param {Number} end The index after the last row
   * @private
   */
  _collect(end) {
    const { _receiver: receiver } = this;
    const { rows } = inbox;
    let fragments = null;

    for (let i = ROW; i < end; i += ROW) {
      const word = rows[i + 1];
      const kind = word & 0xff;
      const data = inbox.payload(i);

      if (kind === FRAGMENTS) {
        fragments = data;
      } else {
        receiver._keep(kind, word >>> 8, data, fragments);
        fragments = null;
      }
    }

    inbox.release();
  }
}

module.exports = ChunkDecoder;
