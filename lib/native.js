'use strict';

const net = require('net');
const { AsyncResource } = require('async_hooks');
const { Readable } = require('stream');
const { getSystemErrorMap } = require('util');

const NativeListener = require('./native-listener');
const Outbox = require('./outbox');
const binding = require('./binding');
const decoderFlags = require('./decoder-flags');
const {
  BINARY,
  CLOSE,
  COMPRESSED,
  END,
  FAILED,
  FRAGMENTS,
  Inbox,
  PING,
  PONG,
  READ,
  ROW,
  TEXT,
  UPGRADE,
  WRITABLE
} = require('./inbox');
const { EMPTY_BUFFER, kWebSocket } = require('./constants');
const { closePayload, controlPayload } = require('./payload');
const { kConnection, kReceiver, kSender, kSocket } = require('./symbols');
const { toArrayBuffer } = require('./buffer-util');

/**
 * How many connections were served by the native driver, how many by the stream
 * driver from the beginning, and how many changed over to it.
 */
const stats = { native: 0, stream: 0, spilled: 0 };

/** `MAX_SLICES` of `src/binding/outbox.rs`. */
const MAX_BUFFERS = 512;

//
// What a turn of `src/binding/engine.rs` says besides its events: another one is
// due, and connections have not sent their request yet.
//
const DUE = 1;
const AWAITED = 2;

/** Bytes for the heads of the requests of a turn. */
const HEADS_SIZE = 64 * 1024;

/** How many connections are dispatched before replies go out. */
const FLUSH_INTERVAL = 16;

//
// The first bytes of frames that are not fragmented (RFC 6455, section 5.2).
//
const TEXT_FRAME = 0x81;
const BINARY_FRAME = 0x82;
const CLOSE_FRAME = 0x88;
const PING_FRAME = 0x89;
const PONG_FRAME = 0x8a;

const { write } = net.Socket.prototype;

/**
 * Whether this is a process in which there can be an engine. Other runtimes that
 * load addons have other sockets, and another event loop.
 */
const isPossible =
  binding.Engine !== undefined &&
  process.env.OXWS_DRIVER !== 'stream' &&
  process.versions.bun === undefined &&
  process.versions.deno === undefined &&
  typeof process._tickCallback === 'function';

/**
 * The engine of this thread, its memory, and what is sent through it. `null` as
 * long as it is not needed, `false` where there can be none.
 */
let engine = isPossible ? null : false;
let outbox = null;

/** Loaded with the engine, since it needs Node's own `net.Socket`. */
let nativeSocket = null;

/**
 * The memory of the next batch. A turn that a listener brings about, by running
 * the event loop, needs other memory than the one that is being dispatched.
 */
let spareInbox = null;

/** The memory that the engine has. */
let lentInbox = null;

/** By the ids that the engine gives. */
const connections = [];

/** Those that accept connections. Their ids are in the same numbers. */
const listeners = new Set();

/** How many connections keep the process alive. */
let referenced = 0;

/** The asynchronous context of what is not called by the event loop. */
const root = new AsyncResource('OXWS');

/** Whether a turn is scheduled that no readiness would call for. */
let scheduled = false;

/**
 * What `WebSocket` does about the events of its connection, and the listener of
 * the `'data'` event of a socket that feeds the receiver.
 */
let callbacks = null;

/** Connections whose `'close'` event is due when those of sockets are. */
let closing = [];

/**
 * A connection of the native driver.
 */
class NativeConnection {
  /**
   * Creates a NativeConnection instance.
   *
   * @param {Number} id The id that the engine has given
   * @param {net.Socket} [socket] The socket, if there is one
   * @param {WebSocket} websocket The `WebSocket`
   * @param {Buffer} head What was received with the handshake
   * @param {Object} options The options of `setSocket()`
   */
  constructor(id, socket, websocket, head, options) {
    this.id = id;
    this.socket = socket;
    this.websocket = websocket;
    this.isActive = true;

    //
    // Where a connection without a socket comes from, and whether its side has
    // ended.
    //
    this.listener = null;
    this.hasEnded = false;

    //
    // Whether events are emitted as they come, and whether frames can be built
    // here.
    //
    this.isSynchronous = options.allowSynchronousEvents !== false;
    this.hasOwnMasks = !!options.generateMask;

    this.bytesRead = 0;
    this.bytesWritten = 0;

    //
    // Whether received data is asked for. The head comes first.
    //
    this.reading = false;
    this.head = head.length === 0 ? EMPTY_BUFFER : head;

    //
    // What the kernel did not take of a write of the socket, and the callback
    // of that.
    //
    this.rest = null;
    this.restCallback = null;

    //
    // The errno of a failed write that is not reported yet.
    //
    this.failure = 0;

    //
    // During a write: the rests of frames that go ahead of it.
    //
    this._ahead = null;

    //
    // The asynchronous context of the events. That of a client is the one in
    // which it was created, as for the handle of a socket that it opens. That
    // of a server's connection is empty, and made at the first event.
    //
    this._scope = websocket._isServer ? null : new AsyncResource('WEBSOCKET');

    this.isReferenced = socket === null || socket._handle.hasRef();
    if (this.isReferenced) reference(1);
  }

  /**
   * Whether frames may bypass the socket: nothing is queued in it, and nobody
   * waits to see what is written to it.
   *
   * @type {Boolean}
   */
  get isClear() {
    const { socket } = this;
    if (socket === null) return true;

    const state = socket._writableState;

    return (
      state.length === 0 &&
      state.corked === 0 &&
      socket.writable &&
      socket.write === write
    );
  }

  /**
   * Sends a message.
   *
   * @param {*} data The payload
   * @param {Boolean} binary Whether it is binary
   * @param {Boolean} mask Whether to mask it
   * @param {Function} [cb] Callback
   * @return {Boolean} `false` if this is not the way to send it
   * @public
   */
  sendMessage(data, binary, mask, cb) {
    return this.send(binary ? BINARY_FRAME : TEXT_FRAME, data, mask, cb);
  }

  /**
   * Sends a ping or a pong.
   *
   * @param {String} name Which one
   * @param {*} data The payload
   * @param {Boolean} mask Whether to mask it
   * @param {Function} [cb] Callback
   * @return {Boolean} `false` if this is not the way to send it
   * @throws {RangeError} If the payload is too long
   * @public
   */
  sendControl(name, data, mask, cb) {
    const firstByte = name === 'ping' ? PING_FRAME : PONG_FRAME;

    return this.send(firstByte, controlPayload(data).data, mask, cb);
  }

  /**
   * Sends a close frame.
   *
   * @param {Number} [code] The status code
   * @param {(String|Buffer)} [reason] The reason
   * @param {Boolean} mask Whether to mask the payload
   * @param {Function} [cb] Callback
   * @return {Boolean} `false` if this is not the way to send it
   * @throws {(RangeError|TypeError)} If code or reason can't be sent
   * @public
   */
  close(code, reason, mask, cb) {
    return this.send(CLOSE_FRAME, closePayload(code, reason), mask, cb);
  }

  /**
   * Queues a frame.
   *
   * @param {Number} firstByte The first byte of the frame
   * @param {*} data The payload
   * @param {Boolean} mask Whether to mask it
   * @param {Function} [cb] Callback
   * @return {Boolean} `false` if this is not the way to send it
   * @public
   */
  send(firstByte, data, mask, cb) {
    if ((mask && this.hasOwnMasks) || !this.isClear) return false;
    if (!outbox.send(this, firstByte, data, mask, cb)) return false;

    const { socket } = this;

    if (socket !== null && socket.timeout) socket._unrefTimer();
    return true;
  }

  /**
   * Queues a frame that is complete.
   *
   * @param {(Buffer|String)[]} list The frame
   * @param {Function} [cb] Callback
   * @return {Boolean} `false` if this is not the way to send it
   * @public
   */
  sendFrame(list, cb) {
    return this.isClear && outbox.sendRaw(this, list, cb);
  }

  /**
   * Hands everything that was sent to the kernel.
   *
   * @public
   */
  flush() {
    outbox.flush();
  }

  /**
   * Puts what the kernel did not take of a frame into the socket's queue.
   *
   * @param {Buffer} bytes The rest of the frame
   * @param {Boolean} isPair Whether the sender would have written it in two
   *     pieces, corked
   * @param {Object} [ticket] The callback of the frame
   * @public
   */
  writeRest(bytes, isPair, ticket) {
    let cb;

    if (ticket !== null) {
      cb = ticket.cb;
      ticket.cb = null;
    }

    if (this._ahead !== null) {
      this._ahead.push({ bytes, cb });
      return;
    }

    const socket = this.getSocket();

    if (isPair) socket.cork();
    socket.write(bytes, cb);
    if (isPair) socket.uncork();
  }

  /**
   * Writes for the socket.
   *
   * @param {Buffer[]} list The data
   * @param {Function} cb Callback
   * @public
   */
  write(list, cb) {
    //
    // What the kernel does not take of frames that were sent before goes ahead
    // of the data: the socket's queue is behind it already.
    //
    this._ahead = [];
    outbox.flush();

    const ahead = this._ahead;

    this._ahead = null;

    if (ahead.length > 0) {
      list = [...ahead.map(({ bytes }) => bytes), ...list];
      cb = callAll([...ahead.map((rest) => rest.cb), cb]);
    }

    if (this.failure !== 0) {
      const err = errnoException(this.failure, 'write');

      this.failure = 0;
      cb(err);
      return;
    }

    for (let i = 0; i < list.length; i++) this.bytesWritten += list[i].length;

    this._write(list, cb);
  }

  /**
   * Hands data to the kernel, and keeps what that does not take.
   *
   * @param {Buffer[]} list The data
   * @param {Function} cb Callback
   * @private
   */
  _write(list, cb) {
    let rest = list;
    let count;
    let sent;

    do {
      count = rest.length;
      sent =
        count === 1
          ? engine.write(this.id, rest[0])
          : engine.writev(this.id, rest);

      if (sent < 0) {
        cb(errnoException(-sent, 'write'));
        return;
      }

      rest = remainder(rest, sent);

      //
      // A call takes so many buffers. If there were more, the kernel may have
      // room for them.
      //
    } while (rest !== null && sent > 0 && count > MAX_BUFFERS);

    this.rest = rest;

    if (rest === null) {
      cb();
    } else {
      this.restCallback = cb;
      if (engine.wantWrite(this.id)) schedule();
    }
  }

  /**
   * Goes on writing.
   *
   * @private
   */
  _continueWrite() {
    const { rest, restCallback } = this;
    if (rest === null) return;

    this.rest = null;
    this.restCallback = null;
    this._write(rest, restCallback);
  }

  /**
   * Asks for received data, or asks for it no longer.
   *
   * @param {Boolean} reading Whether to ask
   * @public
   */
  setReading(reading) {
    if (reading === this.reading) return;

    this.reading = reading;

    if (this.head.length === 0) {
      if (engine.setReading(this.id, reading)) schedule();
    } else if (reading) {
      //
      // This is when a stream that is resumed would emit it.
      //
      process.nextTick(readHead, this);
    }
  }

  /**
   * Decodes data that the engine has not read.
   *
   * @param {Buffer} chunk The data
   * @param {Number} start Where to begin
   * @param {Uint32Array} rows Where to put the events
   * @param {Buffer} slab Where to put small payloads
   * @param {Number} used How much of the slab is in use
   * @return {Number} The number of events
   * @public
   */
  feed(chunk, start, rows, slab, used) {
    return engine.feed(this.id, chunk, start, rows, slab, used);
  }

  /**
   * Answers the decoder's question who decompresses.
   *
   * @param {Boolean} here Whether the decoder does
   * @return {Buffer} Data that was received and waited for the answer
   * @public
   */
  decideInflating(here) {
    return engine.decideInflating(this.id, here);
  }

  /**
   * Takes a payload that has memory of its own.
   *
   * @param {Number} index Its index
   * @return {Buffer} The payload
   * @public
   */
  takeOwned(index) {
    return engine.takeOwned(index);
  }

  /**
   * Keeps the process alive, or no longer.
   *
   * @param {Boolean} isReferenced Whether to keep it alive
   * @public
   */
  setReferenced(isReferenced) {
    if (isReferenced === this.isReferenced) return;

    this.isReferenced = isReferenced;
    if (this.isActive) reference(isReferenced ? 1 : -1);
  }

  /**
   * The length of the message being received, as far as it is known.
   *
   * @return {Number} The length in bytes
   * @public
   */
  totalPayloadLength() {
    return engine.totalPayloadLength(this.id);
  }

  /**
   * Takes the connection away from the engine, because the socket is destroyed.
   *
   * @public
   */
  release() {
    if (!this._leave()) return;

    const receiver = this.websocket[kReceiver];

    if (receiver && receiver.isDecoding) {
      receiver._decoder = engine.spill(this.id);
    } else {
      const decoder = engine.release(this.id);

      //
      // If there is one, it waits for an answer.
      //
      if (decoder !== null) this.websocket._receiver._decoder = decoder;
    }
  }

  /**
   * Takes the connection away from the engine, so that the stream driver can go
   * on with it.
   *
   * @return {Buffer} Data that was received but not decoded
   * @public
   */
  spill() {
    const { head } = this;

    this._leave();

    const decoder = engine.spill(this.id);

    this.websocket._receiver._decoder = decoder;
    this.head = EMPTY_BUFFER;
    return head.length === 0 ? decoder.takeRest() : head;
  }

  /**
   * Ends what the driver does for the connection.
   *
   * @return {Boolean} `false` if that was done before
   * @private
   */
  _leave() {
    if (!this.isActive) return false;

    outbox.flush();
    this.isActive = false;
    connections[this.id] = null;
    if (this.isReferenced) reference(-1);

    const { [kReceiver]: receiver, [kSender]: sender } = this.websocket;

    if (receiver) receiver._connection = null;
    if (sender) sender._connection = null;
    return true;
  }

  /**
   * Handles events in the context of the connection.
   *
   * @param {Inbox} inbox The batch
   * @param {Number} i The index of the first word of the first row
   * @param {Number} end The index after the last row
   * @public
   */
  dispatch(inbox, i, end) {
    if (this._scope === null) this._scope = createScope();

    this._scope.runInAsyncScope(this._dispatch, this, inbox, i, end);
  }

  /**
   * Handles events.
   *
   * @param {Inbox} inbox The batch
   * @param {Number} i The index of the first word of the first row
   * @param {Number} end The index after the last row
   * @private
   */
  _dispatch(inbox, i, end) {
    const { rows } = inbox;
    let bytes = 0;

    if (this.socket !== null && this.socket.timeout) this.socket._unrefTimer();

    while (i < end) {
      switch (rows[i + 1] & 0xff) {
        case READ:
          bytes = rows[i + 3];
          this.bytesRead += bytes;
          i += ROW;
          break;
        case WRITABLE:
          this._continueWrite();
          i += ROW;
          break;
        case END:
          this._onEnd();
          i += ROW;
          break;
        case FAILED:
          this.getSocket().destroy(errnoException(rows[i + 3], 'read'));
          i += ROW;
          break;
        default:
          i = this._receive(inbox, i, end, bytes);
      }
    }
  }

  /**
   * Handles events of the decoder.
   *
   * @param {Inbox} inbox The batch
   * @param {Number} i The index of the first word of the first row
   * @param {Number} end The index after the last row
   * @param {Number} bytes How many bytes were read
   * @return {Number} The index after the last row that was handled
   * @private
   */
  _receive(inbox, i, end, bytes) {
    const { websocket } = this;
    const { rows } = inbox;

    if (websocket[kReceiver] === undefined && this.isSynchronous) {
      try {
        if (this._emit(inbox, i, rows[i + 1])) return i + ROW;
      } catch (err) {
        //
        // As if each event had been delivered by a callback of its own.
        //
        binding.fatalException(err);
        return i + ROW;
      }
    }

    //
    // This is what there is a receiver for.
    //
    let next = i + ROW;

    while (next < end && isDecoded(rows[next + 1] & 0xff)) next += ROW;

    websocket._receiver.receive(inbox, i, next, bytes);
    return next;
  }

  /**
   * Emits an event of the decoder, if it is one of those that do not need a
   * receiver.
   *
   * @param {Inbox} inbox The batch
   * @param {Number} i The index of the first word of the row
   * @param {Number} word What the row says
   * @return {Boolean} Whether it is
   * @private
   */
  _emit(inbox, i, word) {
    const { websocket } = this;

    switch (word & 0xff) {
      case TEXT:
        if ((word >>> 8) & COMPRESSED) return false;
        websocket.emit('message', inbox.payload(i), false);
        return true;
      case BINARY: {
        const type = websocket._binaryType;

        if ((word >>> 8) & COMPRESSED) return false;
        if (type === 'nodebuffer') {
          websocket.emit('message', inbox.payload(i), true);
        } else if (type === 'arraybuffer') {
          const data = inbox.payload(i);

          websocket.emit(
            'message',
            data.length === 0 ? new ArrayBuffer(0) : toArrayBuffer(data),
            true
          );
        } else {
          return false;
        }
        return true;
      }
      case FRAGMENTS:
        //
        // Nobody asks for them, so the message that follows is like any other.
        //
        return (
          ((inbox.rows[i + ROW + 1] >>> 8) & COMPRESSED) === 0 &&
          websocket._binaryType !== 'fragments' &&
          websocket._binaryType !== 'blob'
        );
      case PING:
        callbacks.onPing(websocket, inbox.payload(i));
        return true;
      case PONG:
        websocket.emit('pong', inbox.payload(i));
        return true;
      case CLOSE:
        callbacks.onConclude(websocket, word >>> 8, inbox.payload(i));
        return true;
      default:
        return false;
    }
  }

  /**
   * Handles the end of what the peer sends.
   *
   * @private
   */
  _onEnd() {
    if (this.hasEnded && this.websocket._closeFrameReceived) {
      this._close();
      return;
    }

    const socket = this.getSocket();

    Readable.prototype.push.call(socket, null);
    socket.read(0);
  }

  /**
   * Ends what is sent on a connection without a socket.
   *
   * @public
   */
  end() {
    outbox.flush();

    //
    // What the kernel did not take is in the queue of a socket.
    //
    if (this.socket !== null) {
      this.socket.end();
    } else {
      this.hasEnded = true;
      engine.shutdown(this.id);
    }
  }

  /**
   * Closes a connection without a socket after both sides have ended.
   *
   * @private
   */
  _close() {
    const { server } = this.listener;

    this.release();

    //
    // As a socket does that is destroyed.
    //
    server._connections--;
    server._emitCloseIfDrained();

    closing.push(this);
    if (closing.length === 1) engine.awaitClosing();
  }

  /**
   * Emits the `'close'` event.
   *
   * @public
   */
  finish() {
    this._enter(this._finish);
  }

  /**
   * Tells the `WebSocket` that the connection is closed.
   *
   * @private
   */
  _finish() {
    callbacks.onClose(this.websocket);
  }

  /**
   * Calls a method in the asynchronous context of the connection.
   *
   * @param {Function} method The method
   * @private
   */
  _enter(method) {
    if (this._scope === null) this._scope = root.runInAsyncScope(createScope);

    this._scope.runInAsyncScope(method, this);
  }

  /**
   * Gives the socket, and makes it if there is none.
   *
   * @return {net.Socket} The socket
   * @public
   */
  getSocket() {
    if (this.socket === null) {
      this._enter(this._createSocket);
    }

    return this.socket;
  }

  /**
   * Makes the socket.
   *
   * @private
   */
  _createSocket() {
    const { listener, websocket } = this;
    const socket = this.isActive
      ? listener.createSocket(engine.duplicate(this.id))
      : null;

    if (socket === null) {
      //
      // The connection is closed, or there are no descriptors left.
      //
      this.socket = websocket[kSocket] = new net.Socket();
      if (this.isActive) this._close();
      nativeSocket.retire(this.socket, this);
      this.socket.destroy();
      return;
    }

    this.socket = websocket[kSocket] = socket;
    socket[kWebSocket] = websocket;
    nativeSocket.convert(socket, this);
    socket.setNoDelay();
    callbacks.listenToSocket(socket);
    if (this.hasEnded) socket.end();
  }
}

module.exports = {
  NativeConnection,
  adopt,
  errnoException,
  isDataListener,
  listen,
  open,
  setCallbacks,
  stats
};

/**
 * Tells what to call.
 *
 * @param {Object} functions The functions
 * @param {Function} functions.onData The listener of the `'data'` event of a
 *     socket that feeds the receiver
 * @param {Function} functions.onConclude Handles the close frame of the peer
 * @param {Function} functions.onPing Handles a ping
 * @public
 */
function setCallbacks(functions) {
  callbacks = functions;
}

/**
 * Whether a listener of the `'data'` event of a socket is that one.
 *
 * @param {Function} listener The listener
 * @return {Boolean} `true` if it is
 * @public
 */
function isDataListener(listener) {
  return listener === callbacks.onData;
}

/**
 * Lets the native driver serve a socket if it can.
 *
 * @param {WebSocket} websocket The `WebSocket`
 * @param {Duplex} socket The socket
 * @param {Buffer} head What was received with the handshake
 * @param {Object} options The options of `setSocket()`
 * @return {Boolean} Whether it does; `head` is used then
 * @public
 */
function adopt(websocket, socket, head, options) {
  if (engine === null && isPlain(socket)) start();

  if (
    engine !== null &&
    engine !== false &&
    isPlain(socket) &&
    isSuitable(socket) &&
    take(websocket, socket, head, options)
  ) {
    stats.native++;
    return true;
  }

  stats.stream++;
  return false;
}

/**
 * Accepts the connections of an HTTP server, as far as they ask for nothing
 * unusual.
 *
 * @param {http.Server} server The server, which listens
 * @param {Function} accept Called with the listener, the id of a connection, the
 *     head of its request and the `Sec-WebSocket-Accept` that answers it; returns
 *     `false` to have Node handle it
 * @public
 */
function listen(server, accept) {
  if (!NativeListener.isSuitable(server)) return;
  if (engine === null) start();
  if (engine === false) return;

  const listener = new NativeListener(server, engine, accept);

  if (listener.id >= 0) {
    connections[listener.id] = listener;
    listeners.add(listener);
  }
}

/**
 * Lets in a connection of a listener.
 *
 * @param {WebSocket} websocket The `WebSocket`
 * @param {Object} source Where the connection comes from
 * @param {NativeListener} source.listener The listener
 * @param {Number} source.id The id of the connection
 * @param {Number} source.received How many bytes have been received
 * @param {(Buffer|String)[]} response What to send first
 * @param {Object} options The options of `setSocket()`
 * @public
 */
function open(websocket, { listener, id, received }, response, options) {
  engine.accept(id, ...decoderOptions(websocket, options));

  const connection = new NativeConnection(
    id,
    null,
    websocket,
    EMPTY_BUFFER,
    options
  );

  connection.listener = listener;
  connection.bytesRead = received;
  connections[id] = connection;
  listener.server._connections++;
  stats.native++;

  outbox.sendRaw(connection, response);
  connection.setReading(true);
  callbacks.onOpen(websocket, connection, options);
}

/**
 * What the decoder of a connection has to know.
 *
 * @param {WebSocket} websocket The `WebSocket`
 * @param {Object} options The options of `setSocket()`
 * @return {Number[]} Flags and limits, as the addon wants them
 * @private
 */
function decoderOptions(websocket, options) {
  return [
    decoderFlags(
      websocket._isServer,
      options.skipUTF8Validation,
      websocket._extensions
    ),
    Math.max(options.maxPayload | 0, 0),
    Math.max(options.maxFragments | 0, 0),
    Math.max(options.maxBufferedChunks | 0, 0)
  ];
}

/**
 * Whether a socket is a TCP or Unix socket of Node.
 *
 * @param {Duplex} socket The socket
 * @return {Boolean} `true` if it is
 * @private
 */
function isPlain(socket) {
  return Object.getPrototypeOf(socket) === net.Socket.prototype;
}

/**
 * Whether a plain socket can be served by the native driver.
 *
 * @param {net.Socket} socket The socket
 * @return {Boolean} `true` if it is connected and nobody treats it as a stream
 * @private
 */
function isSuitable(socket) {
  const handle = socket._handle;
  const readable = socket._readableState;
  const writable = socket._writableState;

  return (
    handle !== null &&
    handle !== undefined &&
    handle.fd >= 0 &&
    typeof handle.readStop === 'function' &&
    !socket.connecting &&
    !socket.destroyed &&
    socket.readable &&
    socket.writable &&
    writable.length === 0 &&
    writable.corked === 0 &&
    !readable.objectMode &&
    !readable.ended &&
    readable.encoding === null &&
    socket.listenerCount('data') === 0 &&
    socket.listenerCount('readable') === 0 &&
    nativeSocket.isUnpatched(socket)
  );
}

/**
 * Takes a socket over.
 *
 * @param {WebSocket} websocket The `WebSocket`
 * @param {net.Socket} socket The socket
 * @param {Buffer} head What was received with the handshake
 * @param {Object} options The options of `setSocket()`
 * @return {Boolean} Whether that was possible
 * @private
 */
function take(websocket, socket, head, options) {
  const handle = socket._handle;

  if (handle.reading) {
    handle.reading = false;
    handle.readStop();
  }

  //
  // If the upgrade was handled late, more may have been received since.
  //
  const { length } = socket._readableState;

  if (length > 0) head = Buffer.concat([head, socket.read(length)]);

  const id = engine.adopt(handle.fd, ...decoderOptions(websocket, options));

  if (id === -1) {
    if (length > 0) socket.unshift(head.subarray(head.length - length));
    return false;
  }

  const connection = new NativeConnection(id, socket, websocket, head, options);

  connections[id] = connection;
  websocket[kConnection] = connection;
  nativeSocket.convert(socket, connection);
  return true;
}

/**
 * Starts the engine.
 *
 * @private
 */
function start() {
  try {
    engine = new binding.Engine(turn, finishClosing);
  } catch (err) {
    engine = false;
    return;
  }

  outbox = new Outbox(engine);
  nativeSocket = require('./native-socket');

  //
  // What was sent before the process exits is handed to the kernel.
  //
  process.on('exit', () => outbox.flush());
}

/**
 * Counts the connections that keep the process alive.
 *
 * @param {Number} change How many more there are
 * @private
 */
function reference(change) {
  const before = referenced;

  referenced += change;
  if ((before === 0) !== (referenced === 0)) {
    engine.setReferenced(referenced !== 0);
  }
}

/**
 * Delivers what was received with the handshake, and begins to read.
 *
 * @param {NativeConnection} connection The connection
 * @private
 */
function readHead(connection) {
  const { head } = connection;

  if (!connection.reading || head.length === 0) return;

  connection.head = EMPTY_BUFFER;
  connection.reading = false;
  connection.setReading(true);
  callbacks.onData.call(connection.socket, head);
}

/**
 * Schedules a turn that no readiness would call for.
 *
 * @private
 */
function schedule() {
  if (scheduled) return;

  scheduled = true;
  setImmediate(() => {
    scheduled = false;
    root.runInAsyncScope(turn);
  });
}

/**
 * Takes a batch of events from the engine and dispatches it.
 *
 * @private
 */
function turn() {
  const inbox = spareInbox || new Inbox(HEADS_SIZE);

  spareInbox = null;
  if (inbox.prepare() || inbox !== lentInbox) {
    lentInbox = inbox;
    engine.lendInbox(inbox.rows, inbox.slab, inbox.used, inbox.heads);
  }

  const count = engine.turn();
  const { rows } = inbox;
  const end = (count + 1) * ROW;
  let sinceFlush = 0;
  let i = ROW;

  const isDue = (rows[2] & DUE) !== 0;
  const isAwaited = (rows[2] & AWAITED) !== 0;

  inbox.commit(engine);
  outbox.dispatching = true;

  while (i < end) {
    const id = rows[i];
    let next = i + ROW;

    //
    // Each connection that is handed over by a listener is one of its own.
    //
    if ((rows[i + 1] & 0xff) < UPGRADE) {
      while (next < end && rows[next] === id) next += ROW;
    }

    //
    // A connection that asks to be let in is nobody yet.
    //
    const isNew = (rows[i + 1] & 0xff) === UPGRADE;
    const target = connections[isNew ? rows[i + 1] >>> 8 : id];

    if (target !== null && target !== undefined) {
      try {
        target.dispatch(inbox, i, next);
      } catch (err) {
        binding.fatalException(err);
      }
    }

    i = next;

    if (i < end) {
      if (++sinceFlush === FLUSH_INTERVAL) {
        sinceFlush = 0;
        outbox.flush();
      }

      runTicks();
    }
  }

  inbox.release();
  spareInbox = inbox;
  outbox.dispatching = false;
  outbox.flush();

  //
  // After what the listeners have scheduled.
  //
  if (isDue) schedule();
  if (isAwaited) for (const listener of listeners) listener.watchSilence();
}

/**
 * Emits the `'close'` events that are due, the last one first: that is the order
 * in which libuv closes handles.
 *
 * @private
 */
function finishClosing() {
  const list = closing;

  closing = [];

  for (let i = list.length - 1; i >= 0; i--) {
    try {
      list[i].finish();
    } catch (err) {
      binding.fatalException(err);
    }

    if (i > 0) runTicks();
  }
}

/**
 * Makes the asynchronous context of a server's connection.
 *
 * @return {AsyncResource} The context
 * @private
 */
function createScope() {
  return new AsyncResource('WEBSOCKET');
}

/**
 * Runs ticks and microtasks between the events of two connections: with ws each
 * connection has a callback of its own, after which they run.
 *
 * @private
 */
function runTicks() {
  for (;;) {
    try {
      process._tickCallback();
      return;
    } catch (err) {
      //
      // Thrown by one of them. The others are still to be run.
      //
      binding.fatalException(err);
    }
  }
}

/**
 * Whether a row is about what the decoder has found.
 *
 * @param {Number} kind The kind of the row
 * @return {Boolean} `true` if it is
 * @private
 */
function isDecoded(kind) {
  return kind !== READ && kind < END;
}

/**
 * Makes one callback of several.
 *
 * @param {(Function|undefined)[]} callbacks The callbacks
 * @return {Function} The callback
 * @private
 */
function callAll(callbacks) {
  return (err) => {
    for (const callback of callbacks) {
      if (typeof callback === 'function') callback(err || null);
    }
  };
}

/**
 * What is left of a list of buffers after some bytes of it were written.
 *
 * @param {Buffer[]} list The list
 * @param {Number} written How many bytes were written
 * @return {(Buffer[]|null)} The rest, `null` if there is none
 * @private
 */
function remainder(list, written) {
  for (let i = 0; i < list.length; i++) {
    if (written < list[i].length) {
      return [list[i].subarray(written), ...list.slice(i + 1)];
    }

    written -= list[i].length;
  }

  return null;
}

/**
 * Builds the error that Node reports for a failed system call.
 *
 * @param {Number} errno The errno, positive
 * @param {String} syscall The name of the call
 * @return {Error} The error
 * @private
 */
function errnoException(errno, syscall) {
  const [code] = getSystemErrorMap().get(-errno) || [`Unknown error ${errno}`];
  const err = new Error(`${syscall} ${code}`);

  err.errno = -errno;
  err.code = code;
  err.syscall = syscall;
  return err;
}
