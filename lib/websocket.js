'use strict';

const EventEmitter = require('events');

const native = require('./native');
const PerMessageDeflate = require('./permessage-deflate');
const Receiver = require('./receiver');
const Sender = require('./sender');
const { abortHandshake, connect } = require('./client-handshake');
const { isBlob } = require('./validation');
const { toBuffer } = require('./buffer-util');
const {
  BINARY_TYPES,
  EMPTY_BUFFER,
  kForOnEventAttribute,
  kListener,
  kStatusCode,
  kWebSocket,
  NOOP
} = require('./constants');
const {
  kConnection,
  kOptions,
  kReceiver,
  kSender,
  kSocket
} = require('./symbols');
const {
  EventTarget: { addEventListener, removeEventListener }
} = require('./event-target');

const kAutoPongComplete = Symbol('kAutoPongComplete');

// Methods of the halves of a connection that are passed by while nobody has
// replaced them.
const { addListener, emit, on } = Receiver.prototype;
const { dispatch, send, sendFrame } = Sender.prototype;

// The index of a name is the value of `readyState`.
const readyStates = ['CONNECTING', 'OPEN', 'CLOSING', 'CLOSED'];

/**
 * Makes an object like `{}` that has no room for properties, since it hardly
 * ever gets any.
 *
 * @private
 */
function Empty() {}

Empty.prototype = Object.prototype;

/**
 * A WebSocket connection, of a client or of a server.
 *
 * @extends EventEmitter
 */
class WebSocket extends EventEmitter {
  /**
   * Create a new `WebSocket`.
   *
   * @param {(String|URL|null)} address The URL to connect to; `null` for the
   *     side of the server, or for a socket that is set by the user
   * @param {(String|String[])} [protocols] The subprotocols to offer
   * @param {Object} [options] Options
   */
  constructor(address, protocols, options) {
    super();

    // What Node.js puts here is a dictionary, which takes four times the memory.
    this._events = Object.setPrototypeOf({}, null);

    this._binaryType = BINARY_TYPES[0];
    this._closeCode = 1006;
    this._closeFrameReceived = false;
    this._closeFrameSent = false;
    this._closeMessage = EMPTY_BUFFER;
    this._closeTimer = null;
    this._errorEmitted = false;
    this._extensions = new Empty();
    this._paused = false;
    this._protocol = '';
    this._readyState = WebSocket.CONNECTING;

    // Of a connection that the native driver serves, these are made when they
    // are looked at; `undefined` stands for that.
    this[kConnection] = null;
    this[kOptions] = null;
    this[kReceiver] = null;
    this[kSender] = null;
    this[kSocket] = null;

    if (address === null) {
      this._isServer = true;
    } else {
      this._bufferedAmount = 0;
      this._isServer = false;
      this._redirects = 0;

      if (isOptions(protocols)) {
        options = protocols;
        protocols = undefined;
      }

      if (protocols === undefined) {
        protocols = options ? options.protocols : undefined;
        if (protocols === undefined) protocols = [];
      }

      if (!Array.isArray(protocols)) protocols = [protocols];

      options = connect(this, address, protocols, options);
    }

    if (options.autoPong) {
      this._autoPong = true;
      this._pendingAutoPongs = 0;
      this._maxPendingAutoPongs = options.maxPendingAutoPongs | 0;
    }

    this._closeTimeout = options.closeTimeout;
  }

  /**
   * The callback of the answer to a ping.
   *
   * @type {(Function|undefined)}
   * @private
   */
  get _autoPongComplete() {
    if (this._autoPong && this[kAutoPongComplete] === undefined) {
      this[kAutoPongComplete] = () => {
        this._pendingAutoPongs--;
      };
    }

    return this[kAutoPongComplete];
  }

  set _autoPongComplete(callback) {
    this[kAutoPongComplete] = callback;
  }

  /**
   * The receiving end.
   *
   * @type {(Receiver|null)}
   * @private
   */
  get _receiver() {
    if (this[kReceiver] === undefined && this[kOptions]) {
      this[kReceiver] = createReceiver(this);
    }

    return this[kReceiver];
  }

  set _receiver(receiver) {
    this[kReceiver] = receiver;
  }

  /**
   * The sending end.
   *
   * @type {(Sender|null)}
   * @private
   */
  get _sender() {
    if (this[kSender] === undefined && this[kOptions]) {
      this[kSender] = createSender(this);
    }

    return this[kSender];
  }

  set _sender(sender) {
    this[kSender] = sender;
  }

  /**
   * The socket.
   *
   * @type {(Duplex|null)}
   * @private
   */
  get _socket() {
    if (this[kSocket] === undefined && this[kConnection]) {
      this[kConnection].getSocket();
    }

    return this[kSocket];
  }

  set _socket(socket) {
    this[kSocket] = socket;
  }

  /**
   * How binary data is handed out. The default is not that of browsers, as
   * there were buffers here before there were blobs.
   *
   * @type {String}
   */
  get binaryType() {
    return this._binaryType;
  }

  set binaryType(type) {
    if (!BINARY_TYPES.includes(type)) return;

    this._binaryType = type;
    if (this[kReceiver]) this[kReceiver]._binaryType = type;
  }

  /**
   * How many bytes have been sent but not handed to the system.
   *
   * @type {Number}
   */
  get bufferedAmount() {
    if (!hasConnection(this)) return this._bufferedAmount;

    // What waits for the end of the turn is with neither of the two below.
    if (isServed(this)) this[kConnection].flush();

    const queued = this[kSocket] ? this[kSocket]._writableState.length : 0;

    return queued + (this[kSender] ? this[kSender]._bufferedBytes : 0);
  }

  /**
   * The names of the extensions in use.
   *
   * @type {String}
   */
  get extensions() {
    return Object.keys(this._extensions).join();
  }

  /**
   * @type {Boolean}
   */
  get isPaused() {
    return this._paused;
  }

  // The accessors of these are defined below; here is their place among the
  // attributes.

  /**
   * @type {Function}
   */
  get onclose() {
    return null;
  }

  /**
   * @type {Function}
   */
  get onerror() {
    return null;
  }

  /**
   * @type {Function}
   */
  get onopen() {
    return null;
  }

  /**
   * @type {Function}
   */
  get onmessage() {
    return null;
  }

  /**
   * The subprotocol in use.
   *
   * @type {String}
   */
  get protocol() {
    return this._protocol;
  }

  /**
   * @type {Number}
   */
  get readyState() {
    return this._readyState;
  }

  /**
   * @type {String}
   */
  get url() {
    return this._url;
  }

  /**
   * Start to use a socket on which the opening handshake is done.
   *
   * @param {Duplex} socket The socket
   * @param {Buffer} head What was received after the handshake
   * @param {Object} options Options
   * @param {Boolean} [options.allowSynchronousEvents=false] Whether several
   *     `'message'`, `'ping'` and `'pong'` events may be emitted in one tick
   * @param {Function} [options.generateMask] A function that makes the masking
   *     keys
   * @param {Number} [options.maxBufferedChunks=0] How many chunks of data may
   *     be buffered
   * @param {Number} [options.maxFragments=0] How many fragments a message may
   *     have
   * @param {Number} [options.maxPayload=0] How many bytes a message may have
   * @param {Boolean} [options.skipUTF8Validation=false] Whether to trust the
   *     peer that text and close reasons are UTF-8
   * @private
   */
  setSocket(socket, head, options) {
    this[kOptions] = options;
    this[kReceiver] = this[kSender] = undefined;
    this[kSocket] = socket;
    uncoverAccessors(this);
    socket[kWebSocket] = this;

    // A plain `Duplex` has neither of them.
    if (socket.setTimeout) socket.setTimeout(0);
    if (socket.setNoDelay) socket.setNoDelay();

    // Either the native driver serves the socket from here on, or the stream
    // does. The listeners are the same, for the user can't tell which one it is
    // and the driver may change.
    const isServed = native.adopt(this, socket, head, options);

    createHalves(this, isServed);
    if (!isServed && head.length > 0) socket.unshift(head);

    listenToSocket(socket);

    this._readyState = WebSocket.OPEN;
    this.emit('open');
  }

  /**
   * Emit the `'close'` event, after which nothing follows.
   *
   * @private
   */
  emitClose() {
    if (hasConnection(this)) {
      const perMessageDeflate =
        this._extensions[PerMessageDeflate.extensionName];

      if (perMessageDeflate) perMessageDeflate.cleanup();

      if (this[kReceiver]) this[kReceiver].removeAllListeners();
    }

    this._readyState = WebSocket.CLOSED;
    this.emit('close', this._closeCode, this._closeMessage);
  }

  /**
   * Start the closing handshake (RFC 6455, 7.1.2). Either side sends a close
   * frame, and as soon as it has received one as well it ends its side of the
   * TCP connection. The same happens when the peer is the one who starts, since
   * its close frame is answered through this method, too.
   *
   * @param {Number} [code] The close code
   * @param {(String|Buffer)} [data] The reason
   * @public
   */
  close(code, data) {
    if (this.readyState === WebSocket.CLOSED) return;
    if (this.readyState === WebSocket.CONNECTING) {
      abortConnecting(this);
      return;
    }

    if (this.readyState === WebSocket.CLOSING) {
      if (this._closeFrameSent && isReceivingDone(this)) endSocket(this);
      return;
    }

    /**
     * Goes on when the frame is sent.
     *
     * @param {Error} [err] Why it is not
     */
    const onSent = (err) => {
      // The `'error'` event of the socket reports it.
      if (err) return;

      this._closeFrameSent = true;
      if (isReceivingDone(this)) endSocket(this);
    };

    if (
      !isDirect(this) ||
      !this[kConnection].close(code, data, !this._isServer, onSent)
    ) {
      this._sender.close(code, data, !this._isServer, onSent);
    }

    this._readyState = WebSocket.CLOSING;
    setCloseTimer(this);
  }

  /**
   * Stop receiving, until `resume()` is called.
   *
   * @public
   */
  pause() {
    if (!hasSocket(this)) return;

    this._paused = true;
    this._socket.pause();
  }

  /**
   * Send a ping.
   *
   * @param {*} [data] The payload
   * @param {Boolean} [mask] Whether to mask it, which clients do by default
   * @param {Function} [cb] What to call when the frame is sent
   * @throws {Error} If there is no connection yet
   * @public
   */
  ping(data, mask, cb) {
    sendControlFrame(this, 'ping', data, mask, cb);
  }

  /**
   * Send a pong.
   *
   * @param {*} [data] The payload
   * @param {Boolean} [mask] Whether to mask it, which clients do by default
   * @param {Function} [cb] What to call when the frame is sent
   * @throws {Error} If there is no connection yet
   * @public
   */
  pong(data, mask, cb) {
    sendControlFrame(this, 'pong', data, mask, cb);
  }

  /**
   * Undo `pause()`.
   *
   * @public
   */
  resume() {
    if (!hasSocket(this)) return;

    this._paused = false;

    // Otherwise the listener of `'drain'` does it.
    if (!this[kReceiver] || !this[kReceiver]._writableState.needDrain) {
      this._socket.resume();
    }
  }

  /**
   * Send a message, or a fragment of one.
   *
   * @param {*} data The payload
   * @param {Object} [options] Options
   * @param {Boolean} [options.binary] Whether the message is binary; by default
   *     only a string is not
   * @param {Boolean} [options.compress=true] Whether to compress the payload,
   *     if permessage-deflate is in use
   * @param {Boolean} [options.fin=true] Whether this is the last fragment
   * @param {Boolean} [options.mask] Whether to mask the payload, which clients
   *     do by default
   * @param {Function} [cb] What to call when the frame is sent
   * @throws {Error} If there is no connection yet
   * @public
   */
  send(data, options, cb) {
    if (this.readyState === WebSocket.CONNECTING) throwConnecting();

    if (typeof options === 'function') {
      cb = options;
      options = undefined;
    }

    if (typeof data === 'number') data = data.toString();

    if (this.readyState !== WebSocket.OPEN) {
      sendAfterClose(this, data, cb);
      return;
    }

    const isPlain = !this._extensions[PerMessageDeflate.extensionName];
    let binary = typeof data !== 'string';

    // Most calls have no options or this one, and copying is not free.
    if (options) {
      if (!hasTypeOnly(options)) {
        const opts = {
          binary,
          mask: !this._isServer,
          compress: true,
          fin: true,
          ...options
        };

        if (isPlain) opts.compress = false;

        this._sender.send(data || EMPTY_BUFFER, opts, cb);
        return;
      }

      ({ binary } = options);
    }

    const mask = !this._isServer;

    if (
      isPlain &&
      isDirect(this) &&
      this[kConnection].sendMessage(data || EMPTY_BUFFER, binary, mask, cb)
    ) {
      return;
    }

    this._sender.send(
      data || EMPTY_BUFFER,
      { binary, mask, compress: !isPlain, fin: true },
      cb
    );
  }

  /**
   * Drop the connection without a closing handshake.
   *
   * @public
   */
  terminate() {
    if (this.readyState === WebSocket.CLOSED) return;
    if (this.readyState === WebSocket.CONNECTING) {
      abortConnecting(this);
      return;
    }

    if (hasConnection(this)) {
      this._readyState = WebSocket.CLOSING;
      this._socket.destroy();
    }
  }
}

// What is an attribute or a constant of the DOM interface can be enumerated, on
// the class and on the prototype, and the constants can't be changed.
readyStates.forEach((name, value) => {
  const constant = { enumerable: true, value };

  Object.defineProperty(WebSocket, name, constant);
  Object.defineProperty(WebSocket.prototype, name, constant);
});

[
  'binaryType',
  'bufferedAmount',
  'extensions',
  'isPaused',
  'protocol',
  'readyState',
  'url'
].forEach((attribute) => {
  Object.defineProperty(WebSocket.prototype, attribute, { enumerable: true });
});

for (const type of ['close', 'error', 'open', 'message']) {
  Object.defineProperty(WebSocket.prototype, `on${type}`, {
    enumerable: true,
    get() {
      return getAttributeListener(this, type);
    },
    set(handler) {
      setAttributeListener(this, type, handler);
    }
  });
}

WebSocket.prototype.addEventListener = addEventListener;
WebSocket.prototype.removeEventListener = removeEventListener;

module.exports = WebSocket;

native.setCallbacks({
  listenToSocket,
  onClose: finish,
  onConclude: conclude,
  onData: socketOnData,
  onOpen: open,
  onPing: receivePing
});

/**
 * Start to use a connection of the native listener: what `setSocket()` does,
 * without a socket.
 *
 * @param {WebSocket} websocket The `WebSocket`
 * @param {NativeConnection} connection The connection
 * @param {Object} options Options, those of `setSocket()`
 * @private
 */
function open(websocket, connection, options) {
  websocket[kConnection] = connection;
  websocket[kOptions] = options;
  websocket[kReceiver] = websocket[kSender] = websocket[kSocket] = undefined;

  uncoverAccessors(websocket);
  createHalves(websocket, true);

  websocket._readyState = WebSocket.OPEN;
  websocket.emit('open');
}

/**
 * Make the receiving end of a connection.
 *
 * @param {WebSocket} websocket The connection
 * @return {Receiver} The receiver
 * @private
 */
function createReceiver(websocket) {
  const options = websocket[kOptions];
  const receiver = new Receiver({
    allowSynchronousEvents: options.allowSynchronousEvents,
    binaryType: websocket.binaryType,
    extensions: websocket._extensions,
    isServer: websocket._isServer,
    maxBufferedChunks: options.maxBufferedChunks,
    maxFragments: options.maxFragments,
    maxPayload: options.maxPayload,
    skipUTF8Validation: options.skipUTF8Validation
  });

  receiver[kWebSocket] = websocket;
  if (isServed(websocket)) receiver._connection = websocket[kConnection];

  receiver.on('conclude', receiverOnConclude);
  receiver.on('drain', receiverOnDrain);
  receiver.on('error', receiverOnError);
  receiver.on('message', receiverOnMessage);
  receiver.on('ping', receiverOnPing);
  receiver.on('pong', receiverOnPong);

  return receiver;
}

/**
 * Make the sending end of a connection.
 *
 * @param {WebSocket} websocket The connection
 * @return {Sender} The sender
 * @private
 */
function createSender(websocket) {
  const sender = new Sender(
    websocket._socket,
    websocket._extensions,
    websocket[kOptions].generateMask
  );

  sender[kWebSocket] = websocket;
  if (isServed(websocket)) sender._connection = websocket[kConnection];

  sender.onerror = senderOnError;
  return sender;
}

/**
 * Make the two ends of a connection if they can't wait: the stream driver needs
 * them, and so does a program that has changed their classes, to see everything
 * that is done with them.
 *
 * @param {WebSocket} websocket The connection
 * @param {Boolean} isServed Whether the native driver serves it
 * @private
 */
function createHalves(websocket, isServed) {
  if (!isServed || isReceiverPatched()) {
    websocket[kReceiver] = createReceiver(websocket);
  }

  if (!isServed || isSenderPatched()) {
    websocket[kSender] = createSender(websocket);
  }
}

/**
 * Tell whether a program has replaced methods of receivers.
 *
 * @return {Boolean} `true` if it has
 * @private
 */
function isReceiverPatched() {
  const { prototype } = Receiver;

  return (
    prototype.addListener !== addListener ||
    prototype.emit !== emit ||
    prototype.on !== on
  );
}

/**
 * Tell whether a program has replaced methods of senders.
 *
 * @return {Boolean} `true` if it has
 * @private
 */
function isSenderPatched() {
  const { prototype } = Sender;

  return (
    prototype.dispatch !== dispatch ||
    prototype.send !== send ||
    prototype.sendFrame !== sendFrame
  );
}

/**
 * Listen to the socket of a connection.
 *
 * @param {Duplex} socket The socket
 * @private
 */
function listenToSocket(socket) {
  socket.on('close', socketOnClose);
  socket.on('data', socketOnData);
  socket.on('end', socketOnEnd);
  socket.on('error', socketOnError);
}

/**
 * Tell whether there is, or was, a connection.
 *
 * @param {WebSocket} websocket The `WebSocket`
 * @return {Boolean} `true` if there is
 * @private
 */
function hasConnection(websocket) {
  return Boolean(websocket[kSocket] || websocket[kConnection]);
}

/**
 * Uncover the accessors of the prototype that a class of the program hides when
 * it declares them as fields.
 *
 * @param {WebSocket} websocket The `WebSocket`
 * @private
 */
function uncoverAccessors(websocket) {
  if (websocket.constructor === WebSocket) return;

  for (const name of ['_autoPongComplete', '_receiver', '_sender', '_socket']) {
    if (Object.hasOwn(websocket, name)) delete websocket[name];
  }
}

/**
 * Tell whether the native driver serves a connection.
 *
 * @param {WebSocket} websocket The connection
 * @return {Boolean} `true` if it does
 * @private
 */
function isServed(websocket) {
  const connection = websocket[kConnection];

  return Boolean(connection) && connection.isActive;
}

/**
 * Tell whether what is sent can go to the native driver without a sender, since
 * there is none and nobody wants to see what it would do.
 *
 * @param {WebSocket} websocket The connection
 * @return {Boolean} `true` if it can
 * @private
 */
function isDirect(websocket) {
  return (
    websocket[kSender] === undefined &&
    isServed(websocket) &&
    !isSenderPatched()
  );
}

/**
 * End the socket of a connection, if need be without making it.
 *
 * @param {WebSocket} websocket The connection
 * @private
 */
function endSocket(websocket) {
  if (websocket[kSocket] !== undefined) websocket._socket.end();
  else websocket[kConnection].end();
}

/**
 * Tell whether the second argument of the constructor is the options.
 *
 * @param {*} protocols The argument
 * @return {Boolean} `true` if it is
 * @private
 */
function isOptions(protocols) {
  return (
    typeof protocols === 'object' &&
    protocols !== null &&
    !Array.isArray(protocols)
  );
}

/**
 * Tell whether the state is one in which there is a socket to pause.
 *
 * @param {WebSocket} websocket The connection
 * @return {Boolean} `true` if it is
 * @private
 */
function hasSocket({ readyState }) {
  return readyState !== WebSocket.CONNECTING && readyState !== WebSocket.CLOSED;
}

/**
 * Tell whether nothing that the peer may still send matters: there was a close
 * frame, or something that made no sense.
 *
 * @param {WebSocket} websocket The connection
 * @return {Boolean} `true` if it does not
 * @private
 */
function isReceivingDone(websocket) {
  const receiver = websocket[kReceiver];

  return (
    websocket._closeFrameReceived ||
    (receiver !== undefined && receiver._writableState.errorEmitted)
  );
}

/**
 * Get the listener that is the value of an `on<event>` attribute.
 *
 * @param {WebSocket} websocket The connection
 * @param {String} type The name of the event
 * @return {(Function|undefined)} The listener as it is registered
 * @private
 */
function findAttributeListener(websocket, type) {
  return websocket
    .listeners(type)
    .find((listener) => listener[kForOnEventAttribute]);
}

/**
 * Get the value of an `on<event>` attribute.
 *
 * @param {WebSocket} websocket The connection
 * @param {String} type The name of the event
 * @return {(Function|null)} The function of the user
 * @private
 */
function getAttributeListener(websocket, type) {
  const listener = findAttributeListener(websocket, type);

  return listener ? listener[kListener] : null;
}

/**
 * Set the value of an `on<event>` attribute.
 *
 * @param {WebSocket} websocket The connection
 * @param {String} type The name of the event
 * @param {*} handler The function; anything else clears the attribute
 * @private
 */
function setAttributeListener(websocket, type, handler) {
  const listener = findAttributeListener(websocket, type);

  if (listener) websocket.removeListener(type, listener);
  if (typeof handler !== 'function') return;

  websocket.addEventListener(type, handler, { [kForOnEventAttribute]: true });
}

/**
 * Give up a connection that is not established yet.
 *
 * @param {WebSocket} websocket The client
 * @private
 */
function abortConnecting(websocket) {
  abortHandshake(
    websocket,
    websocket._req,
    'WebSocket was closed before the connection was established'
  );
}

/**
 * Refuse to send before there is a connection.
 *
 * @throws {Error} Always
 * @private
 */
function throwConnecting() {
  throw new Error('WebSocket is not open: readyState 0 (CONNECTING)');
}

/**
 * Send a ping or a pong.
 *
 * @param {WebSocket} websocket The connection
 * @param {String} method The method of the `Sender`
 * @param {*} [data] The payload
 * @param {Boolean} [mask] Whether to mask it
 * @param {Function} [cb] What to call when the frame is sent
 * @throws {Error} If there is no connection yet
 * @private
 */
function sendControlFrame(websocket, method, data, mask, cb) {
  if (websocket.readyState === WebSocket.CONNECTING) throwConnecting();

  // Any of the arguments may be left out.
  if (typeof data === 'function') {
    cb = data;
    data = mask = undefined;
  } else if (typeof mask === 'function') {
    cb = mask;
    mask = undefined;
  }

  if (typeof data === 'number') data = data.toString();

  if (websocket.readyState !== WebSocket.OPEN) {
    sendAfterClose(websocket, data, cb);
    return;
  }

  if (mask === undefined) mask = !websocket._isServer;
  if (!data) data = EMPTY_BUFFER;

  if (
    !isDirect(websocket) ||
    !websocket[kConnection].sendControl(method, data, mask, cb)
  ) {
    websocket._sender[method](data, mask, cb);
  }
}

/**
 * Handle data that can't be sent any more. It counts as buffered, for ever, as
 * in browsers.
 *
 * @param {WebSocket} websocket The connection
 * @param {*} [data] The payload
 * @param {Function} [cb] What to call with the error
 * @private
 */
function sendAfterClose(websocket, data, cb) {
  if (data) {
    const length = isBlob(data) ? data.size : toBuffer(data).length;

    // There is no sender if the opening handshake failed.
    if (!hasConnection(websocket)) websocket._bufferedAmount += length;
    else websocket._sender._bufferedBytes += length;
  }

  if (cb) {
    const { readyState } = websocket;
    const err = new Error(
      `WebSocket is not open: readyState ${readyState} ` +
        `(${readyStates[readyState]})`
    );

    process.nextTick(cb, err);
  }
}

/**
 * Emit the `'error'` event, once in the life of a connection.
 *
 * @param {WebSocket} websocket The connection
 * @param {Error} err The error
 * @private
 */
function emitError(websocket, err) {
  if (websocket._errorEmitted) return;

  websocket._errorEmitted = true;
  websocket.emit('error', err);
}

/**
 * Destroy the socket if the closing handshake takes too long.
 *
 * @param {WebSocket} websocket The connection
 * @private
 */
function setCloseTimer(websocket) {
  websocket._closeTimer = setTimeout(
    destroySocket,
    websocket._closeTimeout,
    websocket
  );
}

/**
 * Destroy the socket of a connection.
 *
 * @param {WebSocket} websocket The connection
 * @private
 */
function destroySocket(websocket) {
  websocket._socket.destroy();
}

/**
 * Resume a stream.
 *
 * @param {Duplex} stream The stream
 * @private
 */
function resume(stream) {
  stream.resume();
}

/**
 * Let the rest of what the peer sends run to waste, so that the end of the
 * stream is reached.
 *
 * @param {Duplex} socket The socket
 * @private
 */
function discardIncoming(socket) {
  socket.removeListener('data', socketOnData);

  // Not at once: the listener that was removed may still be running, and pause
  // the socket when the receiver returns.
  process.nextTick(resume, socket);
}

/**
 * The listener of the `'conclude'` event of the receiver.
 *
 * @param {Number} code The close code
 * @param {Buffer} reason The reason
 * @private
 */
function receiverOnConclude(code, reason) {
  conclude(this[kWebSocket], code, reason);
}

/**
 * Handle the close frame of the peer.
 *
 * @param {WebSocket} websocket The connection
 * @param {Number} code The close code
 * @param {Buffer} reason The reason
 * @private
 */
function conclude(websocket, code, reason) {
  websocket._closeFrameReceived = true;
  websocket._closeCode = code;

  // The reason may be a part of something much larger, which would be kept in
  // memory as long as the `WebSocket` is. The same holds for pooled memory.
  if (reason.length === 0) {
    websocket._closeMessage = EMPTY_BUFFER;
  } else {
    websocket._closeMessage = Buffer.allocUnsafeSlow(reason.length);
    websocket._closeMessage.set(reason);
  }

  const socket = websocket[kSocket];

  if (socket !== undefined) {
    // The socket is closed and this was still in the receiver.
    if (socket[kWebSocket] === undefined) return;

    discardIncoming(socket);
  }

  // 1005 means that there was none in the frame.
  if (code === 1005) websocket.close();
  else websocket.close(code, reason);
}

/**
 * The listener of the `'drain'` event of the receiver.
 *
 * @private
 */
function receiverOnDrain() {
  const websocket = this[kWebSocket];

  if (!websocket.isPaused) websocket._socket.resume();
}

/**
 * The listener of the `'error'` event of the receiver.
 *
 * @param {(RangeError|Error)} err The error
 * @private
 */
function receiverOnError(err) {
  const websocket = this[kWebSocket];

  if (websocket._socket[kWebSocket] !== undefined) {
    discardIncoming(websocket._socket);
    websocket.close(err[kStatusCode]);
  }

  emitError(websocket, err);
}

/**
 * The listener of the `'finish'` event of the receiver, and of `'error'`, if
 * the receiver was still busy when the socket was closed.
 *
 * @private
 */
function receiverOnFinish() {
  this[kWebSocket].emitClose();
}

/**
 * The listener of the `'message'` event of the receiver.
 *
 * @param {(Buffer|ArrayBuffer|Buffer[]|Blob)} data The message
 * @param {Boolean} isBinary Whether it is binary
 * @private
 */
function receiverOnMessage(data, isBinary) {
  this[kWebSocket].emit('message', data, isBinary);
}

/**
 * The listener of the `'ping'` event of the receiver.
 *
 * @param {Buffer} data The payload
 * @private
 */
function receiverOnPing(data) {
  receivePing(this[kWebSocket], data);
}

/**
 * Handle a ping of the peer.
 *
 * @param {WebSocket} websocket The connection
 * @param {Buffer} data The payload
 * @private
 */
function receivePing(websocket, data) {
  if (websocket._autoPong && websocket.readyState === WebSocket.OPEN) {
    const limit = websocket._maxPendingAutoPongs;

    // A peer that sends pings and does not read the answers.
    if (limit > 0 && websocket._pendingAutoPongs >= limit) {
      websocket.terminate();
    } else {
      websocket._pendingAutoPongs++;
      websocket.pong(data, !websocket._isServer, websocket._autoPongComplete);
    }
  }

  websocket.emit('ping', data);
}

/**
 * The listener of the `'pong'` event of the receiver.
 *
 * @param {Buffer} data The payload
 * @private
 */
function receiverOnPong(data) {
  this[kWebSocket].emit('pong', data);
}

/**
 * What the sender calls with an error that is not one of the socket.
 *
 * @param {Error} err The error
 * @private
 */
function senderOnError(err) {
  const websocket = this[kWebSocket];

  if (websocket.readyState === WebSocket.CLOSED) return;
  if (websocket.readyState === WebSocket.OPEN) {
    websocket._readyState = WebSocket.CLOSING;
    setCloseTimer(websocket);
  }

  // Not destroyed: what the peer is about to send may still be wanted. If it
  // takes too long there is the timer, set here or when the closing began.
  this._socket.end();

  emitError(websocket, err);
}

/**
 * The listener of the `'close'` event of the socket.
 *
 * @private
 */
function socketOnClose() {
  const websocket = this[kWebSocket];

  this.removeListener('close', socketOnClose);
  this.removeListener('data', socketOnData);
  this.removeListener('end', socketOnEnd);

  websocket._readyState = WebSocket.CLOSING;

  // A paused socket that is destroyed still holds what came in. A flowing one
  // has handed over everything, and one that has ended has nothing.
  const { endEmitted, length } = this._readableState;

  if (!endEmitted && length !== 0 && !isReceivingDone(websocket)) {
    websocket._receiver.write(this.read(length));
  }

  if (websocket[kReceiver]) finishReceiver(websocket);

  this[kWebSocket] = undefined;

  finish(websocket);
}

/**
 * Close a connection whose socket is closed, as soon as its receiver is done.
 *
 * @param {WebSocket} websocket The connection
 * @private
 */
function finish(websocket) {
  const receiver = websocket[kReceiver];

  clearTimeout(websocket._closeTimer);

  // What there was no need to make has nothing left to do. But it would have
  // finished in the next tick, unless it did so at the close frame.
  if (receiver === undefined) {
    if (websocket._closeFrameReceived) websocket.emitClose();
    else process.nextTick(emitClose, websocket);
    return;
  }

  const { errorEmitted, finished } = receiver._writableState;

  if (finished || errorEmitted) {
    websocket.emitClose();
  } else {
    receiver.on('error', receiverOnFinish);
    receiver.on('finish', receiverOnFinish);
  }
}

/**
 * Tell whether options of `send()` say nothing but the type of the message.
 *
 * @param {Object} options The options
 * @return {Boolean} `true` if copying `binary` is enough
 * @private
 */
function hasTypeOnly(options) {
  return (
    Object.getPrototypeOf(options) === Object.prototype &&
    'binary' in options &&
    !('compress' in options || 'fin' in options || 'mask' in options)
  );
}

/**
 * Tell a receiver that nothing more comes. Saying so again would change nothing,
 * but Node.js would make an error of it first, which takes its time.
 *
 * @param {WebSocket} websocket The connection
 * @private
 */
function finishReceiver(websocket) {
  const receiver = websocket._receiver;

  if (!receiver.writableEnded) receiver.end();
}

/**
 * Emit the `'close'` event.
 *
 * @param {WebSocket} websocket The connection
 * @private
 */
function emitClose(websocket) {
  websocket.emitClose();
}

/**
 * The listener of the `'data'` event of the socket.
 *
 * @param {Buffer} chunk What was received
 * @private
 */
function socketOnData(chunk) {
  if (!this[kWebSocket]._receiver.write(chunk)) this.pause();
}

/**
 * The listener of the `'end'` event of the socket.
 *
 * @private
 */
function socketOnEnd() {
  const websocket = this[kWebSocket];

  websocket._readyState = WebSocket.CLOSING;

  // Unless there was a close frame, it is to have finished when the socket is
  // closed.
  if (websocket[kReceiver] || !websocket._closeFrameReceived) {
    finishReceiver(websocket);
  }

  if (!this.writableEnded) this.end();
}

/**
 * The listener of the `'error'` event of the socket. It is not reported: what
 * the user gets to know is that the connection was closed, with code 1006.
 *
 * @private
 */
function socketOnError() {
  const websocket = this[kWebSocket];

  this.removeListener('error', socketOnError);
  this.on('error', NOOP);

  if (websocket) {
    websocket._readyState = WebSocket.CLOSING;
    this.destroy();
  }
}
