'use strict';

const { BINARY, PING, PONG, TEXT } = require('./inbox');
const { EMPTY_BUFFER } = require('./constants');
const { isValidUTF8 } = require('./validation');

const FastBuffer = Buffer[Symbol.species];

//
// What frames begin with (RFC 6455, section 5.2) that are complete messages and
// need no decompression.
//
const FIRST_BYTES = { 0x81: TEXT, 0x82: BINARY, 0x89: PING, 0x8a: PONG };
const MASK = 0x80;
const KEY_LENGTH = 4;
const MAX_CONTROL_PAYLOAD = 125;
const LENGTH_16 = 126;

/**
 * A message, ping or pong in one frame of up to 64 KiB. That is what most small
 * chunks consist of, and what a client mostly receives; calling the decoder takes
 * longer than what it would do with them. All else is left to the decoder, also
 * to say what is wrong with it.
 */
class WholeFrame {
  /**
   * Finds the frame that begins somewhere in a chunk.
   *
   * @param {Buffer} chunk The chunk
   * @param {Number} start Where the frame begins
   * @param {Number} end Where the chunk ends
   * @param {Boolean} isMasked Whether it must be masked, or must not be
   * @return {(WholeFrame|null)} The frame, whose end may not have come; `null` if
   *     it is not of this kind
   * @public
   */
  static find(chunk, start, end, isMasked) {
    if (end - start < 2) return null;

    const kind = FIRST_BYTES[chunk[start]];
    if (kind === undefined) return null;

    //
    // A frame that is masked and should not be, or the other way round, gets an
    // impossible length here.
    //
    let length = isMasked ? chunk[start + 1] ^ MASK : chunk[start + 1];
    let offset = start + 2;

    if (length === LENGTH_16 && kind <= BINARY && offset + 2 <= end) {
      length = (chunk[offset] << 8) | chunk[offset + 1];
      offset += 2;
    } else if (length > MAX_CONTROL_PAYLOAD) {
      return null;
    }

    if (isMasked) offset += KEY_LENGTH;

    return new WholeFrame(kind, offset, length, isMasked);
  }

  /**
   * Creates a WholeFrame instance.
   *
   * @param {Number} kind The kind of row that the decoder would make of it
   * @param {Number} offset Where its payload begins
   * @param {Number} length The length of that
   * @param {Boolean} isMasked Whether it is masked
   */
  constructor(kind, offset, length, isMasked) {
    this.kind = kind;
    this.offset = offset;
    this.length = length;
    this.isMasked = isMasked;
  }

  /**
   * Where it ends.
   *
   * @type {Number}
   */
  get end() {
    return this.offset + this.length;
  }

  /**
   * Copies the masking key.
   *
   * @param {Buffer} chunk The chunk, which has all of the header
   * @return {(Buffer|null)} The masking key, `null` if there is none
   * @public
   */
  copyKey(chunk) {
    return this.isMasked
      ? Buffer.from(chunk.subarray(this.offset - KEY_LENGTH, this.offset))
      : null;
  }

  /**
   * Takes the payload, and unmasks it in place as ws does.
   *
   * @param {Buffer} chunk The chunk, which has all of the frame
   * @param {Boolean} checksText Whether text is checked
   * @return {(Buffer|null)} The payload; `null` if it is text that is not valid.
   *     Then the chunk is as it was
   * @public
   */
  take(chunk, checksText) {
    const { end, offset } = this;
    if (this.length === 0) return EMPTY_BUFFER;

    const data = new FastBuffer(
      chunk.buffer,
      chunk.byteOffset + offset,
      this.length
    );
    const hasMask = this.isMasked && hasKey(chunk, offset - KEY_LENGTH);

    if (hasMask) unmask(chunk, offset, end);

    if (this.kind === TEXT && checksText && !isValidUTF8(data)) {
      if (hasMask) unmask(chunk, offset, end);
      return null;
    }

    return data;
  }

  /**
   * Copies the payload, and unmasks it on the way.
   *
   * @param {Buffer} memory Where all of the frame is
   * @param {Boolean} checksText Whether text is checked
   * @return {(Buffer|null)} The payload; `null` if it is text that is not valid
   * @public
   */
  copy(memory, checksText) {
    const { end, offset } = this;
    if (this.length === 0) return EMPTY_BUFFER;

    const data = Buffer.allocUnsafe(this.length);

    if (this.isMasked) copyUnmasked(memory, offset, end, data);
    else memory.copy(data, 0, offset, end);

    return this.kind === TEXT && checksText && !isValidUTF8(data) ? null : data;
  }
}

module.exports = WholeFrame;

/**
 * Whether a masking key changes anything.
 *
 * @param {Buffer} chunk The chunk that contains it
 * @param {Number} offset Where it begins
 * @return {Boolean} `true` if it does
 * @private
 */
function hasKey(chunk, offset) {
  return (
    (chunk[offset] |
      chunk[offset + 1] |
      chunk[offset + 2] |
      chunk[offset + 3]) !==
    0
  );
}

/**
 * Copies a short payload that comes after its masking key, and unmasks it.
 *
 * @param {Buffer} memory Where it is
 * @param {Number} start Where it begins
 * @param {Number} end Where it ends
 * @param {Buffer} data Where it is to be
 * @private
 */
function copyUnmasked(memory, start, end, data) {
  const key0 = memory[start - 4];
  const key1 = memory[start - 3];
  const key2 = memory[start - 2];
  const key3 = memory[start - 1];
  const last = end - 3;
  let i = start;
  let to = 0;

  for (; i < last; i += 4, to += 4) {
    data[to] = memory[i] ^ key0;
    data[to + 1] = memory[i + 1] ^ key1;
    data[to + 2] = memory[i + 2] ^ key2;
    data[to + 3] = memory[i + 3] ^ key3;
  }

  for (let j = start - 4; i < end; i++, j++) data[to++] = memory[i] ^ memory[j];
}

/**
 * Unmasks a short payload that comes after its masking key. Doing so twice
 * restores it.
 *
 * @param {Buffer} chunk The chunk that contains it
 * @param {Number} start Where it begins
 * @param {Number} end Where it ends
 * @private
 */
function unmask(chunk, start, end) {
  const key0 = chunk[start - 4];
  const key1 = chunk[start - 3];
  const key2 = chunk[start - 2];
  const key3 = chunk[start - 1];
  const last = end - 3;
  let i = start;

  for (; i < last; i += 4) {
    chunk[i] ^= key0;
    chunk[i + 1] ^= key1;
    chunk[i + 2] ^= key2;
    chunk[i + 3] ^= key3;
  }

  for (let j = start - 4; i < end; i++, j++) chunk[i] ^= chunk[j];
}
