'use strict';

const { Socket } = require('net');
const { Duplex } = require('stream');

const PerMessageDeflate = require('./permessage-deflate');
const originals = require('./originals');
const writeMaskingKey = require('./masking-key');
const { closePayload, controlPayload, measure } = require('./payload');
const { kWebSocket, NOOP } = require('./constants');
const { isBlob } = require('./validation');
const { headerLength, writeHeader } = require('./frame-header');
const { mask: applyMask, toBuffer } = require('./buffer-util');

const kByteLength = Symbol('kByteLength');

const FIN = 0x80;
const RSV1 = 0x40;

const CONTINUATION = 0x00;
const TEXT = 0x01;
const BINARY = 0x02;
const CLOSE = 0x08;
const PING = 0x09;
const PONG = 0x0a;

const DEFAULT = 0;
const DEFLATING = 1;
const GET_BLOB_DATA = 2;

/** Up to so many bytes of payload are copied behind their header. */
const SHORT = 1024;

const shortHeader = Buffer.alloc(4);
const sharedMask = Buffer.alloc(4);

/**
 * The sending end of a connection.
 */
class Sender {
  /**
   * Creates a Sender instance.
   *
   * @param {Duplex} socket The socket to write to
   * @param {Object} [extensions] The negotiated extensions
   * @param {Function} [generateMask] Generates the masking keys
   */
  constructor(socket, extensions, generateMask) {
    this._extensions = extensions || {};

    if (generateMask) {
      this._generateMask = generateMask;
      this._maskBuffer = Buffer.alloc(4);
    }

    this._socket = socket;

    this._firstFragment = true;
    this._compress = false;

    this._bufferedBytes = 0;
    this._queue = [];
    this._state = DEFAULT;
    this.onerror = NOOP;
    this[kWebSocket] = undefined;

    //
    // The connection of the native driver, while that serves the socket.
    //
    this._connection = null;
  }

  /**
   * Builds a frame.
   *
   * @param {(Buffer|String)} data The payload
   * @param {Object} options Options object
   * @param {Boolean} [options.fin=false] Whether to set the FIN bit
   * @param {Function} [options.generateMask] Generates the masking key
   * @param {Boolean} [options.mask=false] Whether to mask the payload
   * @param {Buffer} [options.maskBuffer] Where to put the masking key
   * @param {Number} options.opcode The opcode
   * @param {Boolean} [options.readOnly=false] Whether `data` must not be
   *     modified
   * @param {Boolean} [options.rsv1=false] Whether to set the RSV1 bit
   * @return {(Buffer|String)[]} The frame, in one or two pieces
   * @public
   */
  static frame(data, options) {
    const key = options.mask ? maskingKey(options) : null;
    const masked = key !== null && (key[0] | key[1] | key[2] | key[3]) !== 0;
    const merge = masked && options.readOnly && typeof data !== 'string';
    let length;

    if (typeof data !== 'string') {
      length = data.length;
    } else if (!masked && options[kByteLength] !== undefined) {
      length = options[kByteLength];
    } else {
      data = Buffer.from(data);
      length = data.length;
    }

    const start = headerLength(length) + (key === null ? 0 : 4);
    const target = Buffer.allocUnsafe(merge ? start + length : start);

    writeHeader(target, firstByte(options), length, key);

    if (!length) return [target];

    if (merge) {
      applyMask(data, key, target, start, length);
      return [target];
    }

    if (masked) applyMask(data, key, data, 0, length);
    return [target, data];
  }

  /**
   * Sends a close frame.
   *
   * @param {Number} [code] The status code
   * @param {(String|Buffer)} [data] The reason
   * @param {Boolean} [mask=false] Whether to mask the payload
   * @param {Function} [cb] Callback
   * @public
   */
  close(code, data, mask, cb) {
    const payload = closePayload(code, data);
    const options = controlOptions(this, CLOSE, payload.length, mask, false);

    submitControl(this, payload, options, cb);
  }

  /**
   * Sends a ping frame.
   *
   * @param {*} data The payload
   * @param {Boolean} [mask=false] Whether to mask it
   * @param {Function} [cb] Callback
   * @public
   */
  ping(data, mask, cb) {
    sendControl(this, PING, data, mask, cb);
  }

  /**
   * Sends a pong frame.
   *
   * @param {*} data The payload
   * @param {Boolean} [mask=false] Whether to mask it
   * @param {Function} [cb] Callback
   * @public
   */
  pong(data, mask, cb) {
    sendControl(this, PONG, data, mask, cb);
  }

  /**
   * Sends a data message, or a fragment of one.
   *
   * @param {*} data The payload
   * @param {Object} options Options object
   * @param {Boolean} [options.binary=false] Whether it is binary rather than
   *     text
   * @param {Boolean} [options.compress=false] Whether to compress it
   * @param {Boolean} [options.fin=false] Whether it is the last fragment
   * @param {Boolean} [options.mask=false] Whether to mask it
   * @param {Function} [cb] Callback
   * @public
   */
  send(data, options, cb) {
    const type = options.binary ? BINARY : TEXT;

    if (
      this._firstFragment &&
      options.fin &&
      !options.compress &&
      sendDirect(this, FIN | type, data, options.mask, cb)
    ) {
      this._compress = options.compress;
      return;
    }

    const payload = measure(data);
    const perMessageDeflate = this._extensions[PerMessageDeflate.extensionName];
    let opcode = CONTINUATION;
    let rsv1 = false;

    if (this._firstFragment) {
      opcode = type;
      rsv1 = options.compress;

      if (
        rsv1 &&
        perMessageDeflate &&
        perMessageDeflate.params[
          `${perMessageDeflate._isServer ? 'server' : 'client'}` +
            '_no_context_takeover'
        ]
      ) {
        rsv1 = payload.length >= perMessageDeflate._threshold;
      }

      this._firstFragment = false;
      this._compress = rsv1;
    }

    if (options.fin) this._firstFragment = true;

    submit(
      this,
      payload.data,
      this._compress,
      {
        [kByteLength]: payload.length,
        fin: options.fin,
        generateMask: this._generateMask,
        mask: options.mask,
        maskBuffer: this._maskBuffer,
        opcode,
        readOnly: payload.readOnly,
        rsv1
      },
      cb
    );
  }

  /**
   * Reads the contents of a blob, and sends them.
   *
   * @param {Blob} blob The blob
   * @param {Boolean} compress Whether to compress its contents
   * @param {Object} options The frame options
   * @param {Function} [cb] Callback
   * @private
   */
  getBlobData(blob, compress, options, cb) {
    this._bufferedBytes += options[kByteLength];
    this._state = GET_BLOB_DATA;

    //
    // Callbacks that are called with an error are called in the next tick, so
    // that what they throw is not taken for a rejection of the promise.
    //
    blob
      .arrayBuffer()
      .then((arrayBuffer) => {
        if (this._socket.destroyed) {
          const err = new Error(
            'The socket was closed while the blob was being read'
          );

          process.nextTick(failAll, this, err, cb);
          return;
        }

        this._bufferedBytes -= options[kByteLength];

        const data = toBuffer(arrayBuffer);

        if (compress) {
          this.dispatch(data, compress, options, cb);
          return;
        }

        this._state = DEFAULT;
        this.sendFrame(Sender.frame(data, options), cb);
        this.dequeue();
      })
      .catch((err) => {
        process.nextTick(fail, this, err, cb);
      });
  }

  /**
   * Sends a frame, compressing its payload first if asked for.
   *
   * @param {(Buffer|String)} data The payload
   * @param {Boolean} compress Whether to compress it
   * @param {Object} options The frame options
   * @param {Function} [cb] Callback
   * @private
   */
  dispatch(data, compress, options, cb) {
    if (!compress) {
      this.sendFrame(Sender.frame(data, options), cb);
      return;
    }

    this._bufferedBytes += options[kByteLength];
    this._state = DEFLATING;

    this._extensions[PerMessageDeflate.extensionName].compress(
      data,
      options.fin,
      (_, compressed) => {
        if (this._socket.destroyed) {
          const err = new Error(
            'The socket was closed while data was being compressed'
          );

          failAll(this, err, cb);
          return;
        }

        this._bufferedBytes -= options[kByteLength];
        this._state = DEFAULT;
        options.readOnly = false;
        this.sendFrame(Sender.frame(compressed, options), cb);
        this.dequeue();
      }
    );
  }

  /**
   * Runs queued send operations until one of them takes its time.
   *
   * @private
   */
  dequeue() {
    while (this._queue.length !== 0 && this._state === DEFAULT) {
      const [operation, ...args] = this._queue.shift();

      this._bufferedBytes -= args[2][kByteLength];
      Reflect.apply(operation, this, args);
    }
  }

  /**
   * Queues a send operation.
   *
   * @param {Array} params The method to call and its arguments: payload,
   *     compress, options, callback
   * @private
   */
  enqueue(params) {
    this._bufferedBytes += params[3][kByteLength];
    this._queue.push(params);
  }

  /**
   * Writes a frame to the socket.
   *
   * @param {(Buffer|String)[]} list The frame
   * @param {Function} [cb] Callback
   * @private
   */
  sendFrame(list, cb) {
    if (this._connection !== null) {
      if (this._connection.sendFrame(list, cb)) return;

      //
      // What was sent before comes first.
      //
      this._connection.flush();
    }

    if (list.length !== 2) {
      this._socket.write(list[0], cb);
      return;
    }

    if (
      list[1].length <= SHORT &&
      isUnnoticed(this._socket, list[0].length + list[1].length, cb) &&
      writeJoined(this._socket, list[0], list[0].length, list[1], cb)
    ) {
      return;
    }

    this._socket.cork();
    this._socket.write(list[0]);
    this._socket.write(list[1], cb);
    this._socket.uncork();
  }
}

const { close, dispatch, ping, pong, send, sendFrame } = Sender.prototype;
const { frame } = Sender;

originals.Sender = { close, dispatch, frame, ping, pong, send, sendFrame };

module.exports = Sender;

const { cork, uncork, write } = Duplex.prototype;
const { _write, _writev } = Socket.prototype;

/**
 * Whether nobody can tell if a frame is written to a socket in one piece: it is
 * a TCP or TLS socket of Node.js with nothing replaced, and what is written is
 * taken from it at once. Otherwise the program could find two pieces in its
 * queue, or change the payload until it is sent. And two pieces that are as much as
 * the socket should hold fill it until the next tick.
 *
 * @param {Duplex} socket The socket
 * @param {Number} length The length of the frame in bytes
 * @param {Function} [cb] The callback of the write
 * @return {Boolean} `true` if it does not matter
 * @private
 */
function isUnnoticed(socket, length, cb) {
  if (
    socket._writev !== _writev ||
    socket._write !== _write ||
    socket.write !== write ||
    socket.cork !== cork ||
    socket.uncork !== uncork ||
    !socket._handle ||
    socket.connecting ||
    !socket.writable
  ) {
    return false;
  }

  const state = socket._writableState;

  return (
    state.length === 0 &&
    state.corked === 0 &&
    !state.writing &&
    length < state.highWaterMark &&
    (cb === undefined || typeof cb === 'function')
  );
}

/**
 * Writes a frame that is not masked to a socket in one piece, if it is short and
 * the socket takes it at once.
 *
 * @param {Duplex} socket The socket
 * @param {Number} byte The first byte of the frame
 * @param {*} data The payload
 * @param {Function} [cb] Callback
 * @return {Boolean} `false` if it was not written
 * @private
 */
function writeShort(socket, byte, data, cb) {
  if (typeof data !== 'string' && !Buffer.isBuffer(data)) return false;

  const { length } = data;

  if (length === 0 || length > SHORT) return false;

  const start = headerLength(length);

  if (!isUnnoticed(socket, start + length, cb)) return false;

  writeHeader(shortHeader, byte, length, null);
  return writeJoined(socket, shortHeader, start, data, cb);
}

/**
 * Writes a frame to a socket in one piece, which takes it less time than two.
 *
 * @param {Duplex} socket The socket
 * @param {Buffer} header The header
 * @param {Number} start The length of the header
 * @param {(Buffer|String)} data The payload
 * @param {Function} [cb] Callback
 * @return {Boolean} `false` if it can't be done, because the socket would count
 *     the payload differently
 * @private
 */
function writeJoined(socket, header, start, data, cb) {
  const { length } = data;
  const isText = typeof data === 'string';

  //
  // It takes the length of a text for that of its bytes.
  //
  if (isText && Buffer.byteLength(data) !== length) return false;

  const frame = Buffer.allocUnsafe(start + length);

  for (let i = 0; i < start; i++) frame[i] = header[i];

  if (isText) frame.latin1Write(data, start, length);
  else frame.set(data, start);

  //
  // For writes that are done at once and have the same callback there is one
  // tick. For two pieces there is one each.
  //
  socket.write(frame, cb && ((err) => cb(err)));
  return true;
}

/**
 * Sends a frame without building it in pieces first.
 *
 * @param {Sender} sender The sender
 * @param {Number} byte The first byte of the frame
 * @param {*} data The payload
 * @param {Boolean} mask Whether to mask it
 * @param {Function} [cb] Callback
 * @return {Boolean} `false` if this is not the way to send it, for example
 *     because the program has replaced the methods that it would go through
 * @private
 */
function sendDirect(sender, byte, data, mask, cb) {
  if (
    sender._state !== DEFAULT ||
    sender.sendFrame !== sendFrame ||
    sender.dispatch !== dispatch ||
    Sender.frame !== frame
  ) {
    return false;
  }

  if (sender._connection !== null) {
    return sender._connection.send(byte, data, mask, cb);
  }

  return !mask && writeShort(sender._socket, byte, data, cb);
}

/**
 * Sends a ping or a pong frame.
 *
 * @param {Sender} sender The sender
 * @param {Number} opcode The opcode
 * @param {*} data The payload
 * @param {Boolean} mask Whether to mask it
 * @param {Function} [cb] Callback
 * @private
 */
function sendControl(sender, opcode, data, mask, cb) {
  const { data: payload, length, readOnly } = controlPayload(data);

  if (sendDirect(sender, FIN | opcode, payload, mask, cb)) return;

  const options = controlOptions(sender, opcode, length, mask, readOnly);

  if (isBlob(payload)) submit(sender, payload, false, options, cb);
  else submitControl(sender, payload, options, cb);
}

/**
 * Sends a control frame, or queues it behind a send operation that is under way.
 *
 * @param {Sender} sender The sender
 * @param {Buffer} data The payload
 * @param {Object} options The frame options
 * @param {Function} [cb] Callback
 * @private
 */
function submitControl(sender, data, options, cb) {
  if (sender._state === DEFAULT) {
    sender.sendFrame(Sender.frame(data, options), cb);
  } else {
    sender.enqueue([sender.dispatch, data, false, options, cb]);
  }
}

/**
 * The frame options of a control frame.
 *
 * @param {Sender} sender The sender
 * @param {Number} opcode The opcode
 * @param {Number} length The length of the payload in bytes
 * @param {Boolean} mask Whether to mask it
 * @param {Boolean} readOnly Whether it must not be modified
 * @return {Object} The options
 * @private
 */
function controlOptions(sender, opcode, length, mask, readOnly) {
  return {
    [kByteLength]: length,
    fin: true,
    generateMask: sender._generateMask,
    mask,
    maskBuffer: sender._maskBuffer,
    opcode,
    readOnly,
    rsv1: false
  };
}

/**
 * Starts a send operation, or queues it behind one that is under way.
 *
 * @param {Sender} sender The sender
 * @param {(Blob|Buffer|String)} data The payload
 * @param {Boolean} compress Whether to compress it
 * @param {Object} options The frame options
 * @param {Function} [cb] Callback
 * @private
 */
function submit(sender, data, compress, options, cb) {
  const operation = isBlob(data) ? sender.getBlobData : sender.dispatch;

  if (sender._state === DEFAULT) {
    operation.call(sender, data, compress, options, cb);
  } else {
    sender.enqueue([operation, data, compress, options, cb]);
  }
}

/**
 * Provides a masking key.
 *
 * @param {Object} options The frame options
 * @return {Buffer} The key, valid until the next call
 * @private
 */
function maskingKey(options) {
  const key = options.maskBuffer || sharedMask;

  if (options.generateMask) {
    options.generateMask(key);
    return key;
  }

  writeMaskingKey(key, 0);

  return key;
}

/**
 * The first byte of a frame.
 *
 * @param {Object} options The frame options
 * @return {Number} The byte
 * @private
 */
function firstByte(options) {
  const { fin, opcode, rsv1 } = options;

  return opcode | (fin ? FIN : 0) | (rsv1 ? RSV1 : 0);
}

/**
 * Calls the callback of an operation that has failed, and those of all that
 * wait for it.
 *
 * @param {Sender} sender The sender
 * @param {Error} err The error
 * @param {Function} [cb] The callback of the operation
 * @private
 */
function failAll(sender, err, cb) {
  if (typeof cb === 'function') cb(err);

  for (let i = 0; i < sender._queue.length; i++) {
    const callback = sender._queue[i][4];

    if (typeof callback === 'function') callback(err);
  }
}

/**
 * Handles the failure of an operation.
 *
 * @param {Sender} sender The sender
 * @param {Error} err The error
 * @param {Function} [cb] The callback of the operation
 * @private
 */
function fail(sender, err, cb) {
  failAll(sender, err, cb);
  sender.onerror(err);
}
