'use strict';

const zlib = require('zlib');
const { AsyncResource } = require('async_hooks');
const { isUint8Array } = require('util').types;

const binding = require('./binding');
const { setImmediate, setTimeout } = require('./scheduling');

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

/** After so many milliseconds without a message the context is forgotten. */
const IDLE = 30 * 1000;

/**
 * Those with a context that they may forget.
 *
 * @type {Set<Compressor>}
 */
const active = new Set();

/** Whether the next look at them is planned. */
let isWatched = false;

/**
 * What all use for messages that are neither long nor fragmented, if no context
 * is kept; by level and window.
 *
 * @type {Map<String, binding.Compressor>}
 */
const shared = new Map();

/**
 * A compressor for the messages of a connection.
 *
 * It takes a quarter of a megabyte, but only as long as it is used: a sender may
 * start with an empty window whenever it likes (RFC 7692, 7.1.1).
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

    this.settings = [level, options.windowBits];
    this.native = new binding.Compressor(...this.settings);
    this.keepsContext = keepsContext;
    this.isInMessage = false;
    this.waiting = [];
    this.isClosed = false;
    this.isBusy = false;
    this.isRecent = false;
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
    this.waiting.push([toBytes(data), fin, callback]);
    if (!this.isBusy) this.start();
  }

  /**
   * Begins with the fragment that has waited longest.
   *
   * @private
   */
  start() {
    const [bytes, fin, callback] = this.waiting.shift();
    const isSmall = bytes.length <= SMALL;
    const isWhole = fin && !this.isInMessage;

    this.isInMessage = !fin;
    this.isBusy = true;

    const isShared = isSmall && isWhole && !this.keepsContext;
    const native = isShared ? getShared(this.settings) : this.native;
    const finish = (result) => {
      if (isShared) native.reset();
      else if (fin && !this.keepsContext) native.clear();
      this.finish(result, callback);
    };

    if (this.keepsContext) watch(this);

    if (isSmall) {
      setImmediate(() => {
        finish(this.isClosed ? null : native.compress(bytes, fin));
      });
      return;
    }

    //
    // What the callback throws is not a rejection.
    //
    native.compressElsewhere(bytes, fin).then(
      (result) => setImmediate(finish, result),
      (err) => {
        setImmediate(() => {
          throw err;
        });
      }
    );
  }

  /**
   * Hands over the result, if anybody still wants it.
   *
   * @param {Buffer} result The result
   * @param {Function} callback The callback
   * @private
   */
  finish(result, callback) {
    this.isBusy = false;

    if (this.isClosed) {
      this.native.clear();
      return;
    }

    if (this.waiting.length > 0) this.start();
    this.runInAsyncScope(callback, null, result);
  }

  /**
   * Frees the memory, as soon as nothing uses it.
   *
   * @public
   */
  close() {
    this.isClosed = true;
    active.delete(this);
    if (!this.isBusy) this.native.clear();
  }
}

module.exports = Compressor;

/**
 * Takes note that a compressor has a context.
 *
 * @param {Compressor} compressor The compressor
 * @private
 */
function watch(compressor) {
  compressor.isRecent = true;
  active.add(compressor);
  if (!isWatched) setTimeout(sweep, IDLE).unref();
  isWatched = true;
}

/**
 * Has those that have not been used since the last time forget their context.
 *
 * @private
 */
function sweep() {
  for (const compressor of active) {
    if (compressor.isRecent || compressor.isBusy) {
      compressor.isRecent = false;
    } else {
      active.delete(compressor);
      compressor.native.clear();
    }
  }

  isWatched = active.size > 0;
  if (isWatched) setTimeout(sweep, IDLE).unref();
}

/**
 * Gets the compressor that all use that keep no context.
 *
 * @param {Number[]} settings The level, and the base-2 logarithm of the window's
 *     size
 * @return {binding.Compressor} The compressor
 * @private
 */
function getShared(settings) {
  const key = settings.join();
  let native = shared.get(key);

  if (native === undefined) {
    native = new binding.Compressor(...settings);
    shared.set(key, native);
  }

  return native;
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
