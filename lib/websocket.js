'use strict';

const EventEmitter = require('events');

const native = require('./native');
const originals = require('./originals');
const PerMessageDeflate = require('./permessage-deflate');
const readyStates = require('./ready-states');
const { abortHandshake, connect } = require('./client-handshake');
const { isBlob } = require('./validation');
const { toBuffer } = require('./buffer-util');
const {
  BINARY_TYPES,
  EMPTY_BUFFER,
  kForOnEventAttribute,
  kListener,
  kWebSocket
} = require('./constants');
const {
  conclude,
  createHalves,
  createReceiver,
  createSender,
  isDirect,
  isServed,
  receivePing
} = require('./halves');
const {
  destroySocket,
  endSocket,
  finish,
  isReceivingDone,
  listenToSocket,
  readFromSocket,
  setCloseTimer,
  socketOnData
} = require('./socket-events');
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

const { CLOSED, CLOSING, CONNECTING, OPEN } = readyStates;

const { hasOwnProperty } = Object.prototype;

// What the options of `send()` say.
const NOTHING = 0;
const TYPE = 1;
const OTHERS = 2;

const kAutoPongComplete = Symbol('kAutoPongComplete');

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
    this._readyState = CONNECTING;

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
    if (!isServed) readFromSocket(socket);

    this._readyState = OPEN;
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

      // A program may call this while something can still be received.
      if (isServed(this)) this._receiver.removeAllListeners();
      else if (this[kReceiver]) this[kReceiver].removeAllListeners();
    }

    this._readyState = CLOSED;
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
    if (this.readyState === CLOSED) return;
    if (this.readyState === CONNECTING) {
      abortConnecting(this);
      return;
    }

    if (this.readyState === CLOSING) {
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

    this._readyState = CLOSING;
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
    const receiver = this[kReceiver];

    if (receiver === undefined || !receiver._writableState.needDrain) {
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
    if (this.readyState === CONNECTING) throwConnecting();

    if (typeof options === 'function') {
      cb = options;
      options = undefined;
    }

    if (typeof data === 'number') data = data.toString();

    if (this.readyState !== OPEN) {
      sendAfterClose(this, data, cb);
      return;
    }

    const isPlain = !this._extensions[PerMessageDeflate.extensionName];
    let binary = typeof data !== 'string';

    // Most calls have no options or this one, and copying is not free.
    if (options) {
      const kind = kindOf(options);

      if (kind === OTHERS) {
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

      if (kind === TYPE) ({ binary } = options);
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
    if (this.readyState === CLOSED) return;
    if (this.readyState === CONNECTING) {
      abortConnecting(this);
      return;
    }

    if (hasConnection(this)) {
      this._readyState = CLOSING;
      destroySocket(this);
    }
  }
}

// What is an attribute or a constant of the DOM interface can be enumerated, on
// the class and on the prototype, and the constants can't be changed.
for (const [name, value] of Object.entries(readyStates)) {
  const constant = { enumerable: true, value };

  Object.defineProperty(WebSocket, name, constant);
  Object.defineProperty(WebSocket.prototype, name, constant);
}

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

originals.WebSocket = { setSocket: WebSocket.prototype.setSocket };

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

  websocket._readyState = OPEN;
  websocket.emit('open');
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
  return readyState !== CONNECTING && readyState !== CLOSED;
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
  if (websocket.readyState === CONNECTING) throwConnecting();

  // Any of the arguments may be left out.
  if (typeof data === 'function') {
    cb = data;
    data = mask = undefined;
  } else if (typeof mask === 'function') {
    cb = mask;
    mask = undefined;
  }

  if (typeof data === 'number') data = data.toString();

  if (websocket.readyState !== OPEN) {
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
        `(${Object.keys(readyStates)[readyState]})`
    );

    process.nextTick(cb, err);
  }
}

/**
 * Tell what options of `send()` say: those that copying them would copy. (Nothing
 * else that tells whether one can be enumerated is as fast as a loop.)
 *
 * @param {Object} options The options
 * @return {Number} `NOTHING`, `TYPE` if it is the type of the message only, or
 *     `OTHERS`
 * @private
 */
function kindOf(options) {
  let kind = NOTHING;

  for (const key in options) {
    if (key !== 'binary' || !hasOwnProperty.call(options, key)) return OTHERS;
    kind = TYPE;
  }

  return kind;
}
