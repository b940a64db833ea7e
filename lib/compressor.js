'use strict';

const zlib = require('zlib');
const { AsyncResource } = require('async_hooks');
const { isUint8Array } = require('util').types;

const Limiter = require('./limiter');
const binding = require('./binding');
const { setImmediate } = require('./scheduling');

const { Z_DEFAULT_CHUNK, Z_DEFAULT_COMPRESSION, Z_MIN_CHUNK } = zlib.constants;

/** What `Z_DEFAULT_COMPRESSION` stands for. */
const DEFAULT_LEVEL = 6;

/**
 * The options of zlib that it is made for. Those for memory and chunks change
 * nothing that anybody could tell.
 */
const RANGES = {
  chunkSize: [Z_MIN_CHUNK, Infinity],
  level: [Z_DEFAULT_COMPRESSION, 9],
  memLevel: [1, 9],
  windowBits: [8, 15]
};

/**
 * Up to so many bytes are compressed at once: it takes about as long as having
 * another thread do it.
 */
const SMALL = 4 * 1024;

/**
 * The compressors, which all connections share, by level and window.
 *
 * @type {Map<String, binding.Deflaters>}
 */
const shared = new Map();

/**
 * What compresses the messages of a connection.
 *
 * zlib's compressors, of a quarter of a megabyte each, are not its own: all it
 * has is the last 32 KiB that it has sent, and that only if it may refer to them.
 */
class Compressor extends AsyncResource {
  /**
   * Whether options for zlib ask for nothing else than this does.
   *
   * @param {Object} options The options
   * @return {Boolean} `true` if a compressor can be made with them
   * @public
   */
  static isFor(options) {
    return Object.keys(options).every((name) => {
      const value = options[name];

      if (value === undefined) return true;
      if (!Number.isInteger(value) || !Object.hasOwn(RANGES, name))
        return false;

      const [min, max] = RANGES[name];

      return value >= min && value <= max;
    });
  }

  /**
   * Creates a `Compressor`.
   *
   * @param {Object} options Options of zlib
   * @param {Boolean} keepsContext Whether a message may refer to earlier ones
   */
  constructor(options, keepsContext) {
    super('OXWSCOMPRESSOR');

    // As zlib's streams have them.
    this._level = options.level ?? Z_DEFAULT_COMPRESSION;
    this._chunkSize = options.chunkSize ?? Z_DEFAULT_CHUNK;

    const level =
      this._level === Z_DEFAULT_COMPRESSION ? DEFAULT_LEVEL : this._level;

    this.native = new binding.Compressor(
      getShared(level, options.windowBits),
      !keepsContext
    );
    // A fragment may refer to the one before it.
    this.limiter = new Limiter(1);
    this.isClosed = false;
  }

  /**
   * Compresses a fragment of a message. The callback is not called before this
   * returns, and never after `close()`.
   *
   * @param {(Buffer|String)} data The fragment
   * @param {Boolean} fin Whether it is the last one
   * @param {Function} callback Called with the result, in the asynchronous context
   *     in which the compressor was made
   * @public
   */
  compress(data, fin, callback) {
    const bytes = toBytes(data);

    this.limiter.add((done) => {
      this.start(bytes, fin, (result) => {
        if (this.isClosed) {
          this.native.clear();
          return;
        }

        done();
        this.runInAsyncScope(callback, null, result);
      });
    });
  }

  /**
   * Begins with a fragment.
   *
   * @param {Uint8Array} bytes The fragment
   * @param {Boolean} fin Whether it is the last one
   * @param {Function} finish Called with the result, if there is still to be one
   * @private
   */
  start(bytes, fin, finish) {
    if (bytes.length <= SMALL) {
      setImmediate(() => {
        finish(this.isClosed ? null : this.native.compress(bytes, fin));
      });
      return;
    }

    //
    // What the callback throws is not a rejection.
    //
    this.native.compressElsewhere(bytes, fin).then(
      (result) => setImmediate(finish, result),
      (err) => {
        setImmediate(() => {
          throw err;
        });
      }
    );
  }

  /**
   * Frees the memory, as soon as nothing uses it.
   *
   * @public
   */
  close() {
    this.isClosed = true;
    if (this.limiter.pending === 0) this.native.clear();
  }
}

module.exports = Compressor;

/**
 * Gets the compressors that all share.
 *
 * @param {Number} level The level
 * @param {Number} windowBits The base-2 logarithm of the size of the window
 * @return {binding.Deflaters} The compressors
 * @private
 */
function getShared(level, windowBits) {
  const key = `${level}/${windowBits}`;

  if (!shared.has(key)) {
    shared.set(key, new binding.Deflaters(level, windowBits));
  }

  return shared.get(key);
}

/**
 * Converts what can be written to a stream.
 *
 * @param {*} data The data
 * @return {Uint8Array} The same as bytes
 * @throws {TypeError} What a stream throws
 * @private
 */
function toBytes(data) {
  if (typeof data === 'string') return Buffer.from(data);
  if (isUint8Array(data)) return data;

  const stream = new zlib.DeflateRaw();

  try {
    stream.write(data);
  } finally {
    stream.close();
  }

  return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
}
