'use strict';

const { unmask } = require('./buffer-util');

/**
 * A message that comes in several chunks. It is put together in its final memory.
 */
class PartialMessage {
  /**
   * Creates a PartialMessage instance.
   *
   * @param {Buffer} chunk The chunk with its beginning
   * @param {WholeFrame} frame Its frame
   */
  constructor(chunk, frame) {
    this.kind = frame.kind;
    this.data = Buffer.allocUnsafe(frame.length);
    this._key = frame.copyKey(chunk);

    //
    // How much of it has come, and in how many chunks.
    //
    this.length = chunk.copy(this.data, 0, frame.offset);
    this.chunks = this.length > 0 ? 1 : 0;
  }

  /**
   * How many bytes of it have not come.
   *
   * @type {Number}
   */
  get missing() {
    return this.data.length - this.length;
  }

  /**
   * Takes what a chunk has of it.
   *
   * @param {Buffer} chunk The chunk
   * @param {Number} offset Where that begins
   * @return {Number} Where it ends
   * @public
   */
  take(chunk, offset) {
    const count = chunk.copy(this.data, this.length, offset);

    this.length += count;
    this.chunks++;
    if (this.missing === 0 && this._key !== null) unmask(this.data, this._key);
    return offset + count;
  }
}

module.exports = PartialMessage;
