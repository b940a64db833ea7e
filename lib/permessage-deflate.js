'use strict';

const zlib = require('zlib');

const Compressor = require('./compressor');
const Fault = require('./fault');
const Limiter = require('./limiter');
const StreamCompressor = require('./stream-compressor');
const { concat } = require('./buffer-util');
const { kStatusCode } = require('./constants');

// The end of what a sync flush writes. It is the same for every message, so it
// does not travel (RFC 7692, 7.2.1).
const TRAILER = Buffer.from([0x00, 0x00, 0xff, 0xff]);

const TOO_LONG = Fault.named('UnsupportedMessageLength');

// Kept on the zlib streams: the instance, and the state of the current call.
const kPerMessageDeflate = Symbol('permessage-deflate');
const kTotalLength = Symbol('total-length');
const kCallback = Symbol('callback');
const kBuffers = Symbol('buffers');
const kError = Symbol('error');

// Shared by all instances, as the thread pool that zlib works on is shared as
// well: many calls at once fragment the memory badly. The first instance sets
// the limit.
let zlibLimiter;

/**
 * The permessage-deflate extension (RFC 7692).
 */
class PerMessageDeflate {
  /**
   * Create a new `PerMessageDeflate`.
   *
   * @param {Object} [options] Options
   * @param {(Boolean|Number)} [options.clientMaxWindowBits] The window of the
   *     client: the size to ask for, or whether the client supports asking
   * @param {Boolean} [options.clientNoContextTakeover=false] Whether the client
   *     forgets its window after each message; `false` refuses that
   * @param {Number} [options.concurrencyLimit=10] How many calls to zlib may be
   *     under way at a time
   * @param {Boolean} [options.isServer=false] Which end of the connection this
   *     is
   * @param {Number} [options.maxPayload=0] The largest message to inflate
   * @param {(Boolean|Number)} [options.serverMaxWindowBits] The window of the
   *     server: the size to ask for or use, or whether to accept asking
   * @param {Boolean} [options.serverNoContextTakeover=false] Whether the server
   *     forgets its window after each message; `false` refuses that
   * @param {Number} [options.threshold=1024] The size from which on messages
   *     are compressed where there is no context takeover
   * @param {Object} [options.zlibDeflateOptions] Options for the compressor
   * @param {Object} [options.zlibInflateOptions] Options for the decompressor
   */
  constructor(options) {
    const {
      concurrencyLimit = 10,
      isServer,
      maxPayload,
      threshold = 1024
    } = (this._options = options || {});

    this._threshold = threshold;
    this._maxPayload = maxPayload | 0;
    this._isServer = !!isServer;
    this._deflate = null;
    this._inflate = null;

    this.params = null;

    if (!zlibLimiter) zlibLimiter = new Limiter(concurrencyLimit);
  }

  /**
   * @type {String}
   */
  static get extensionName() {
    return 'permessage-deflate';
  }

  /**
   * Make the offer of a client.
   *
   * @return {Object} The parameters
   * @public
   */
  offer() {
    const options = this._options;
    const params = {};

    if (options.serverNoContextTakeover) {
      params.server_no_context_takeover = true;
    }

    if (options.clientNoContextTakeover) {
      params.client_no_context_takeover = true;
    }

    if (options.serverMaxWindowBits) {
      params.server_max_window_bits = options.serverMaxWindowBits;
    }

    // Without a value the parameter says that the server may choose one, which
    // is what a client does that has not been told otherwise.
    const clientBits = options.clientMaxWindowBits ?? true;

    if (clientBits) params.client_max_window_bits = clientBits;

    return params;
  }

  /**
   * Accept one of the offers of a client, or the response of a server.
   *
   * @param {Array} configurations The parsed offers, or the parsed response
   * @return {Object} The parameters that have been agreed on
   * @throws {Error} If there is nothing acceptable
   * @public
   */
  accept(configurations) {
    const normalized = this.normalizeParams(configurations);

    this.params = this._isServer
      ? this.acceptAsServer(normalized)
      : this.acceptAsClient(normalized);

    return this.params;
  }

  /**
   * Release the compressor and the decompressor.
   *
   * @public
   */
  cleanup() {
    const inflate = this._inflate;
    const deflate = this._deflate;

    if (inflate) {
      inflate.close();
      this._inflate = null;
    }

    if (!deflate) return;

    const callback = deflate[kCallback];

    deflate.close();
    this._deflate = null;

    // The sender still waits for the message that zlib was busy with.
    if (callback) {
      callback(
        new Error(
          'The deflate stream was closed while data was being processed'
        )
      );
    }
  }

  /**
   * Accept the first offer that agrees with the options.
   *
   * @param {Array} offers The offers of the client
   * @return {Object} The parameters for the response
   * @throws {Error} If no offer agrees
   * @private
   */
  acceptAsServer(offers) {
    const options = this._options;
    const params = offers.find((offer) => isAcceptable(offer, options));

    if (!params) {
      throw new Error('None of the extension offers can be accepted');
    }

    if (options.serverNoContextTakeover) {
      params.server_no_context_takeover = true;
    }

    if (options.clientNoContextTakeover) {
      params.client_no_context_takeover = true;
    }

    if (typeof options.serverMaxWindowBits === 'number') {
      params.server_max_window_bits = options.serverMaxWindowBits;
    }

    if (typeof options.clientMaxWindowBits === 'number') {
      params.client_max_window_bits = options.clientMaxWindowBits;
    } else if (
      params.client_max_window_bits === true ||
      options.clientMaxWindowBits === false
    ) {
      // A response can't leave the value out, and there is none to ask for.
      delete params.client_max_window_bits;
    }

    return params;
  }

  /**
   * Accept the response of a server, unless it asks for what was not offered.
   *
   * @param {Array} response The response
   * @return {Object} The parameters
   * @throws {Error} If the response is not acceptable
   * @private
   */
  acceptAsClient(response) {
    const { clientMaxWindowBits, clientNoContextTakeover } = this._options;
    const [params] = response;

    if (
      clientNoContextTakeover === false &&
      params.client_no_context_takeover
    ) {
      throw new Error('Unexpected parameter "client_no_context_takeover"');
    }

    const hasLimit = typeof clientMaxWindowBits === 'number';
    const bits = params.client_max_window_bits;

    if (!bits) {
      // The server leaves it to the client, which may still use less.
      if (hasLimit) params.client_max_window_bits = clientMaxWindowBits;
    } else if (
      clientMaxWindowBits === false ||
      (hasLimit && bits > clientMaxWindowBits)
    ) {
      throw new Error(
        'Unexpected or invalid parameter "client_max_window_bits"'
      );
    }

    return params;
  }

  /**
   * Turn the parsed parameters, which are lists of strings, into what they
   * mean. This changes the argument.
   *
   * @param {Array} configurations The offers, or the response
   * @return {Array} The same array
   * @throws {Error} If a parameter is unknown, repeated or has a wrong value
   * @private
   */
  normalizeParams(configurations) {
    for (const params of configurations) {
      for (const name of Object.keys(params)) {
        const values = params[name];

        if (values.length > 1) {
          throw new Error(`Parameter "${name}" must have only a single value`);
        }

        params[name] = normalizeParam(name, values[0], this._isServer);
      }
    }

    return configurations;
  }

  /**
   * Decompress a frame's payload when its turn has come.
   *
   * @param {Buffer} data The payload
   * @param {Boolean} fin Whether it ends the message
   * @param {Function} callback What to call with the error or the result
   * @public
   */
  decompress(data, fin, callback) {
    enqueue(this, '_decompress', data, fin, callback);
  }

  /**
   * Compress a frame's payload when its turn has come.
   *
   * @param {(Buffer|String)} data The payload
   * @param {Boolean} fin Whether it ends the message
   * @param {Function} callback What to call with the error or the result
   * @public
   */
  compress(data, fin, callback) {
    enqueue(this, '_compress', data, fin, callback);
  }

  /**
   * Decompress a frame's payload.
   *
   * @param {Buffer} data The payload
   * @param {Boolean} fin Whether it ends the message
   * @param {Function} callback What to call with the error or the result
   * @private
   */
  _decompress(data, fin, callback) {
    const endpoint = this._isServer ? 'client' : 'server';

    if (!this._inflate) {
      this._inflate = zlib.createInflateRaw({
        ...this._options.zlibInflateOptions,
        windowBits: getWindowBits(this.params, endpoint)
      });
      this._inflate[kPerMessageDeflate] = this;
      clearOutput(this._inflate);
      this._inflate.on('error', inflateOnError);
      this._inflate.on('data', inflateOnData);
    }

    const inflate = this._inflate;

    inflate[kCallback] = callback;
    inflate.write(data);
    if (fin) inflate.write(TRAILER);

    inflate.flush(() => {
      // Released in the meantime.
      if (inflate !== this._inflate) return;

      const err = inflate[kError];

      if (err) {
        inflate.close();
        this._inflate = null;
        callback(err);
        return;
      }

      const result = getOutput(inflate);

      if (inflate._readableState.endEmitted) {
        // The peer set the bit that ends the deflate data (RFC 7692, 7.2.3.4).
        // Nothing more comes out of this stream.
        inflate.close();
        this._inflate = null;
      } else {
        clearOutput(inflate);
        if (fin && this.params[`${endpoint}_no_context_takeover`]) {
          inflate.reset();
        }
      }

      callback(null, result);
    });
  }

  /**
   * Compress a frame's payload.
   *
   * @param {(Buffer|String)} data The payload
   * @param {Boolean} fin Whether it ends the message
   * @param {Function} callback What to call with the error or the result
   * @private
   */
  _compress(data, fin, callback) {
    const endpoint = this._isServer ? 'server' : 'client';

    if (!this._deflate) {
      const options = {
        ...this._options.zlibDeflateOptions,
        windowBits: getWindowBits(this.params, endpoint)
      };
      const Implementation = Compressor.isFor(options)
        ? Compressor
        : StreamCompressor;

      this._deflate = new Implementation(
        options,
        !this.params[`${endpoint}_no_context_takeover`]
      );
    }

    const deflate = this._deflate;

    deflate[kCallback] = callback;

    deflate.compress(data, fin, (result) => {
      // From here on `cleanup()` has nobody to tell.
      deflate[kCallback] = null;
      callback(null, result);
    });
  }
}

module.exports = PerMessageDeflate;

/**
 * Queue a call of a method whose last argument is a callback.
 *
 * @param {PerMessageDeflate} perMessageDeflate The instance
 * @param {String} method The name of the method
 * @param {(Buffer|String)} data The payload
 * @param {Boolean} fin Whether it ends the message
 * @param {Function} callback What to call with the error or the result
 * @private
 */
function enqueue(perMessageDeflate, method, data, fin, callback) {
  zlibLimiter.add((done) => {
    perMessageDeflate[method](data, fin, (err, result) => {
      done();
      callback(err, result);
    });
  });
}

/**
 * Tell whether an offer of a client agrees with the options of a server.
 *
 * @param {Object} offer The normalized parameters
 * @param {Object} options The options
 * @return {Boolean} `true` if it does
 * @private
 */
function isAcceptable(offer, options) {
  const serverBits = offer.server_max_window_bits;
  const clientBits = offer.client_max_window_bits;

  if (
    options.serverNoContextTakeover === false &&
    offer.server_no_context_takeover
  ) {
    return false;
  }

  if (serverBits) {
    const own = options.serverMaxWindowBits;

    if (own === false || (typeof own === 'number' && own > serverBits)) {
      return false;
    }
  }

  if (typeof options.clientMaxWindowBits !== 'number') return true;

  // The server is going to ask for a window: the client has to understand that,
  // and must not be asked for more than it has offered.
  return typeof clientBits === 'number'
    ? !(options.clientMaxWindowBits > clientBits)
    : !!clientBits;
}

/**
 * Check the value of a parameter (RFC 7692, 7.1) and convert it.
 *
 * @param {String} name The name of the parameter
 * @param {(Boolean|String)} value The value; `true` if there is none
 * @param {Boolean} isServer Whether it comes from a client
 * @return {(Boolean|Number)} The converted value
 * @throws {Error} If the name is unknown or the value is wrong
 * @private
 */
function normalizeParam(name, value, isServer) {
  switch (name) {
    case 'client_no_context_takeover':
    case 'server_no_context_takeover':
      if (value === true) return true;
      break;
    case 'client_max_window_bits':
      // Only in an offer the value may be missing.
      if (value === true) {
        if (isServer) return true;
        break;
      }
    // falls through
    case 'server_max_window_bits': {
      const bits = +value;

      if (Number.isInteger(bits) && bits >= 8 && bits <= 15) return bits;
      break;
    }
    default:
      throw new Error(`Unknown parameter "${name}"`);
  }

  throw new TypeError(`Invalid value for parameter "${name}": ${value}`);
}

/**
 * Get the window size of an endpoint.
 *
 * @param {Object} params The parameters that have been agreed on
 * @param {String} endpoint Either `client` or `server`
 * @return {Number} The base-2 logarithm of the size
 * @private
 */
function getWindowBits(params, endpoint) {
  const bits = params[`${endpoint}_max_window_bits`];

  return typeof bits === 'number' ? bits : zlib.Z_DEFAULT_WINDOWBITS;
}

/**
 * Get what a zlib stream has put out for the current call.
 *
 * @param {(zlib.DeflateRaw|zlib.InflateRaw)} stream The stream
 * @return {Buffer} The output
 * @private
 */
function getOutput(stream) {
  return concat(stream[kBuffers], stream[kTotalLength]);
}

/**
 * Forget what a zlib stream has put out.
 *
 * @param {(zlib.DeflateRaw|zlib.InflateRaw)} stream The stream
 * @private
 */
function clearOutput(stream) {
  stream[kTotalLength] = 0;
  stream[kBuffers] = [];
}

/**
 * The listener of the `'data'` event of a decompressor. It stops at the limit:
 * a small message must not be able to fill the memory.
 *
 * @param {Buffer} chunk A part of the output
 * @private
 */
function inflateOnData(chunk) {
  const limit = this[kPerMessageDeflate]._maxPayload;

  this[kTotalLength] += chunk.length;

  if (limit < 1 || this[kTotalLength] <= limit) {
    this[kBuffers].push(chunk);
    return;
  }

  this[kError] = TOO_LONG.toError();
  this.removeListener('data', inflateOnData);

  // This drops the rest of the input. The callback of the pending flush, or the
  // listener of `'error'`, reports the error; after a close neither might.
  this.reset();
}

/**
 * The listener of the `'error'` event of a decompressor, which is closed by
 * then.
 *
 * @param {Error} err The error
 * @private
 */
function inflateOnError(err) {
  this[kPerMessageDeflate]._inflate = null;

  // The limit was exceeded first, and resetting made the input invalid.
  if (this[kError]) {
    this[kCallback](this[kError]);
    return;
  }

  err[kStatusCode] = 1007;
  this[kCallback](err);
}
