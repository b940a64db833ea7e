'use strict';

const zlib = require('zlib');

const { concat } = require('./buffer-util');

const FastBuffer = Buffer[Symbol.species];

/** The length of the end of what a sync flush writes (RFC 7692, 7.2.1). */
const TRAILER_LENGTH = 4;

/**
 * A compressor for the messages of a connection that takes all options of zlib,
 * such as a dictionary.
 */
class StreamCompressor extends zlib.DeflateRaw {
  /**
   * Creates a `StreamCompressor`.
   *
   * @param {Object} options Options of zlib
   * @param {Boolean} keepsContext Whether a message may refer to earlier ones
   * @throws {Error} What zlib throws for wrong options
   */
  constructor(options, keepsContext) {
    super(options);

    this.keepsContext = keepsContext;
    this.output = [];
    this.isClosed = false;
    this.on('data', (chunk) => this.output.push(chunk));
  }

  /**
   * Compresses a fragment of a message. The callback is not called before this
   * returns, and never after `close()`.
   *
   * @param {(Buffer|String)} data The fragment
   * @param {Boolean} fin Whether it is the last one
   * @param {Function} callback Called with the result
   * @public
   */
  compress(data, fin, callback) {
    this.write(data);
    this.flush(zlib.constants.Z_SYNC_FLUSH, () => {
      if (this.isClosed) return;

      const length = this.output.reduce((sum, { length }) => sum + length, 0);
      const result = concat(this.output, length);

      this.output = [];
      if (fin && !this.keepsContext) this.reset();
      callback(fin ? withoutTrailer(result) : result);
    });
  }

  /**
   * Frees the memory.
   *
   * @public
   */
  close() {
    this.isClosed = true;
    super.close();
  }
}

module.exports = StreamCompressor;

/**
 * Leaves out what the end of a message does not send.
 *
 * @param {Buffer} data What a sync flush has written
 * @return {Buffer} All but its end
 * @private
 */
function withoutTrailer(data) {
  const { buffer, byteOffset, length } = data;

  return new FastBuffer(buffer, byteOffset, length - TRAILER_LENGTH);
}
