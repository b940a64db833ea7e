'use strict';

const net = require('net');
const { AsyncResource } = require('async_hooks');
const { Readable } = require('stream');

const SocketWriter = require('./socket-writer');
const binding = require('./binding');
const driver = require('./native-driver');
const emitMessage = require('./emit-message');
const errnoException = require('./errno-exception');
const {
  BINARY,
  CLOSE,
  END,
  FAILED,
  FRAGMENTS,
  PING,
  PONG,
  READ,
  ROW,
  TEXT,
  WRITABLE,
  isDecoded
} = require('./inbox');
const { EMPTY_BUFFER, kWebSocket } = require('./constants');
const { convert } = require('./binary-message');
const { closeStream } = require('./finished-stream');
const { closePayload, controlPayload } = require('./payload');
const { kOptions, kReceiver, kSender, kSocket } = require('./symbols');
const { nextTick } = require('./scheduling');

//
// The first bytes of frames that are not fragmented (RFC 6455, section 5.2).
//
const TEXT_FRAME = 0x81;
const BINARY_FRAME = 0x82;
const CLOSE_FRAME = 0x88;
const PING_FRAME = 0x89;
const PONG_FRAME = 0x8a;

const { prototype } = net.Socket;
const { write } = prototype;

/**
 * A connection of the native driver. It is the asynchronous context of its
 * events, too.
 *
 * @extends AsyncResource
 */
class NativeConnection extends AsyncResource {
  /**
   * Creates a NativeConnection instance.
   *
   * @param {Number} id The id that the engine has given
   * @param {(net.Socket|null)} socket The socket, if there is one
   * @param {WebSocket} websocket The `WebSocket`
   * @param {Buffer} head What was received with the handshake
   */
  constructor(id, socket, websocket, head) {
    super('WEBSOCKET');

    this.id = id;
    this.socket = socket;
    this.websocket = websocket;
    this.isActive = true;

    //
    // Where a connection without a socket comes from.
    //
    this.listener = null;

    this.bytesRead = 0;
    this.bytesWritten = 0;

    //
    // Whether received data is asked for. The head comes first.
    //
    this.reading = false;
    if (head.length > 0) this.head = head;

    driver.enter();
    this.isReferenced = socket === null || socket._handle.hasRef();
    if (this.isReferenced) driver.reference(1);
  }

  /**
   * Whether events are emitted as they come.
   *
   * @type {Boolean}
   * @private
   */
  get _isSynchronous() {
    return this.websocket[kOptions].allowSynchronousEvents !== false;
  }

  /**
   * Whether the program makes the masking keys.
   *
   * @type {Boolean}
   * @private
   */
  get _hasOwnMasks() {
    return Boolean(this.websocket[kOptions].generateMask);
  }

  /**
   * Whether a socket would count as full in this tick.
   *
   * @type {Boolean}
   */
  get isFull() {
    return this.fullIn === driver.outbox.round;
  }

  /**
   * Whether frames may bypass the socket: nothing is queued in it, nobody waits to
   * see what is written to it, or to sockets in general, and no error waits to be
   * reported.
   *
   * @type {Boolean}
   */
  get isClear() {
    const { socket } = this;

    if (this.failure !== 0 || prototype.write !== write) return false;
    if (socket === null) return this.isActive;

    const state = socket._writableState;
    const { outbox } = driver;

    if (state.length !== 0 || state.corked !== 0 || !socket.writable) {
      return false;
    }

    outbox.isLooking = true;

    try {
      return socket.write === write;
    } finally {
      outbox.isLooking = false;
    }
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
    if ((mask && this._hasOwnMasks) || !this.isClear) return false;
    //
    // What is no function is a stream's to refuse.
    //
    if (cb && typeof cb !== 'function') return false;
    if (!driver.outbox.send(this, firstByte, data, mask, cb)) return false;

    this._noteWrite();
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
    if (cb && typeof cb !== 'function') return false;
    if (list.length !== 1 && list.length !== 2) return false;

    if (!this.isClear || !driver.outbox.sendRaw(this, list, cb)) return false;

    this._noteWrite();
    return true;
  }

  /**
   * Does what each write of a socket does: its timeout begins anew, and the callbacks
   * of writes before and after are not joined, also if they are the same function.
   *
   * @private
   */
  _noteWrite() {
    this._putOffTimeout();
    if (this.socket === null) return;

    const state = this.socket._writableState;

    if (state.afterWriteTickInfo !== null) state.afterWriteTickInfo = null;
  }

  /**
   * Has the socket's timeout begin anew, if there is one.
   *
   * @private
   */
  _putOffTimeout() {
    const { socket } = this;

    if (socket !== null && socket.timeout) socket._unrefTimer();
  }

  /**
   * Hands everything that was sent to the kernel.
   *
   * @public
   */
  flush() {
    driver.outbox.flush();
  }

  /**
   * What the socket writes.
   *
   * @type {SocketWriter}
   */
  get writer() {
    if (this._writer === null) this._writer = new SocketWriter(this);

    return this._writer;
  }

  /**
   * Takes what the socket has written and the kernel has not taken.
   *
   * @return {(Unsent|null)} See `SocketWriter`
   * @public
   */
  takeUnsent() {
    return this._writer === null ? null : this._writer.take();
  }

  /**
   * Asks for received data, or asks for it no longer.
   *
   * @param {Boolean} reading Whether to ask
   * @public
   */
  setReading(reading) {
    if (reading === this.reading || !this.isActive) return;

    this.reading = reading;
    if (!reading) this.pausedIn = driver.currentBatch();

    if (this.isHeld) return;

    if (this.head.length === 0) {
      if (driver.engine.setReading(this.id, reading)) driver.schedule();
    } else if (reading) {
      //
      // This is when a stream that is resumed would emit it.
      //
      nextTick(readHead, this);
    }
  }

  /**
   * Has nothing delivered while a listener runs the event loop.
   *
   * @public
   */
  hold() {
    if (!this.isActive) return;

    this.isHeld = true;
    driver.engine.setReading(this.id, false);
    driver.engine.setFull(this.id, true);
  }

  /**
   * Undoes that.
   *
   * @public
   */
  letGo() {
    const { last } = this;

    this.isHeld = false;
    this.last = null;

    if (last !== null) {
      this.runInAsyncScope(last.handle, this, last.errno);
    } else if (
      this.isActive &&
      driver.engine.setReading(this.id, this.reading)
    ) {
      driver.schedule();
    }
  }

  /**
   * Has nothing more delivered, not even of what the engine has read, because the
   * receiver holds enough.
   *
   * @public
   */
  choke() {
    this.getSocket().pause();
    if (this.isActive) driver.engine.setFull(this.id, true);
  }

  /**
   * Has what the engine has read delivered, although the socket is paused.
   *
   * @public
   */
  relieve() {
    if (driver.engine.setFull(this.id, false)) driver.schedule();
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
    return driver.engine.feed(this.id, chunk, start, rows, slab, used);
  }

  /**
   * Changes what the decoder accepts.
   *
   * @param {...Number} limits Flags and limits, as the addon wants them
   * @public
   */
  setLimits(...limits) {
    driver.engine.setLimits(this.id, ...limits);
  }

  /**
   * Answers the decoder's question who decompresses.
   *
   * @param {Boolean} here Whether the decoder does
   * @return {Buffer} Data that was received and waited for the answer
   * @public
   */
  decideInflating(here) {
    return driver.engine.decideInflating(this.id, here);
  }

  /**
   * Takes back the rest of that data, to be decoded in the next turn.
   *
   * @param {Buffer} rest The data
   * @public
   */
  putBack(rest) {
    driver.engine.putBack(this.id, rest);
    driver.schedule();
  }

  /**
   * Takes a payload that has memory of its own.
   *
   * @param {Number} index Its index
   * @return {Buffer} The payload
   * @public
   */
  takeOwned(index) {
    return driver.engine.takeOwned(index);
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
    if (this.isActive) driver.reference(isReferenced ? 1 : -1);
  }

  /**
   * The length of the message being received, as far as it is known.
   *
   * @return {Number} The length in bytes
   * @public
   */
  totalPayloadLength() {
    return driver.engine.totalPayloadLength(this.id);
  }

  /**
   * Takes the connection away from the engine, because the socket is destroyed.
   *
   * @public
   */
  release() {
    if (!this._leave()) return;

    const receiver = this.websocket[kReceiver];
    const isBusy = receiver && (receiver.isDecoding || receiver.isHolding);
    const decoder = isBusy
      ? driver.engine.spill(this.id)
      : driver.engine.release(this.id);

    if (decoder === null) return;

    const goOn = this._giveDecoder(decoder);

    //
    // What was read after that is nobody's.
    //
    if (!driver.isAhead(this.id)) this.afterRows(goOn);
  }

  /**
   * Takes the connection away from the engine, so that the stream driver can go
   * on with it.
   *
   * @return {Object} `head`, data that was received with the handshake and not
   *     delivered, and `goOn`, to be called when the socket is the stream driver's
   * @public
   */
  spill() {
    const { head } = this;

    this._leave();

    //
    // What is in the batch comes first.
    //
    if (driver.isAhead(this.id)) {
      driver.targets[this.id] = this;
      driver.afterBatch(() => {
        if (driver.targets[this.id] === this) driver.targets[this.id] = null;
      });
    }

    const decode = this._giveDecoder(driver.engine.spill(this.id));

    this.head = EMPTY_BUFFER;
    return { head, goOn: () => this.afterRows(decode) };
  }

  /**
   * Gives the receiver the decoder.
   *
   * @param {Decoder} decoder The decoder
   * @return {Function} Has the receiver go on with what was received and not
   *     decoded, whatever becomes of the socket: the program has seen the beginning
   *     of the same read. If the decoder waits for an answer, it goes on then.
   * @private
   */
  _giveDecoder(decoder) {
    const { _receiver: receiver } = this.websocket;

    receiver._decoder.adopt(decoder);
    return () => {
      if (decoder.isAsking) return;

      const rest = decoder.takeRest();

      if (rest.length > 0 && !receiver.write(rest)) this.socket.pause();
    };
  }

  /**
   * Calls a function when the rows of the batch that are the connection's have been
   * handled.
   *
   * @param {Function} fn The function
   * @public
   */
  afterRows(fn) {
    const { rest } = this;

    if (!this.hasRows) {
      fn();
    } else if (rest === null) {
      this.rest = fn;
    } else {
      this.rest = () => {
        rest();
        fn();
      };
    }
  }

  /**
   * Whether rows of the batch that is being dispatched are the connection's, and have
   * not been handled.
   *
   * @type {Boolean}
   * @private
   */
  get hasRows() {
    return driver.isCurrent(this.id) || driver.isAhead(this.id);
  }

  /**
   * Takes what the kernel has received, and nobody read because the socket is
   * paused. A stream reads some of that ahead, but not before what has paused it is
   * done.
   *
   * @return {Buffer} What was received
   * @public
   */
  takeReceived() {
    if (this.pausedIn !== 0 && this.pausedIn === driver.currentBatch()) {
      return EMPTY_BUFFER;
    }

    const bytes = driver.engine.takeReceived(this.id);

    this.bytesRead += bytes.length;
    return bytes;
  }

  /**
   * Ends what the driver does for the connection.
   *
   * @return {Boolean} `false` if that was done before
   * @private
   */
  _leave() {
    if (!this.isActive) return false;

    driver.outbox.flush();
    this.isActive = false;
    driver.targets[this.id] = null;
    if (this.isReferenced) driver.reference(-1);
    driver.leave();

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
    try {
      this.runInAsyncScope(this._dispatch, this, inbox, i, end);
    } finally {
      if (this.rest !== null && !driver.isAhead(this.id)) {
        const { rest } = this;

        this.rest = null;
        this.runInAsyncScope(rest);
      }
    }
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

    this._putOffTimeout();

    while (i < end) {
      switch (rows[i + 1] & 0xff) {
        case READ:
          //
          // What was read after something else in the same turn, or before the
          // connection changed over, is nobody's if the socket has been
          // destroyed since.
          //
          if (
            (!this.isActive || (i > ROW && rows[i - ROW] === this.id)) &&
            this.socket !== null &&
            this.socket.destroyed
          ) {
            this.rest = null;
            return;
          }

          bytes = rows[i + 3];
          this.bytesRead += bytes;
          if (this.socket !== null) {
            this.socket._readableState.dataEmitted = true;
          }
          i += ROW;
          break;
        case WRITABLE:
          this.writer.goOn();
          i += ROW;
          break;
        case END:
          this._finally(this._onEnd);
          i += ROW;
          break;
        case FAILED:
          this._finally(this._onFailure, rows[i + 3]);
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

    if (websocket[kReceiver] === undefined && this._isSynchronous) {
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
        emitMessage(websocket, inbox.payload(i), false);
        return true;
      case BINARY: {
        const type = websocket._binaryType;

        if (type !== 'nodebuffer' && type !== 'arraybuffer') return false;

        emitMessage(websocket, convert(type, inbox.payload(i), null), true);
        return true;
      }
      case FRAGMENTS:
        //
        // Nobody asks for them, so the message that follows is like any other.
        //
        return (
          websocket._binaryType !== 'fragments' &&
          websocket._binaryType !== 'blob'
        );
      case PING:
        driver.callbacks.onPing(websocket, inbox.payload(i));
        return true;
      case PONG:
        websocket.emit('pong', inbox.payload(i));
        return true;
      case CLOSE:
        driver.callbacks.onConclude(websocket, word >>> 8, inbox.payload(i));
        return true;
      default:
        return false;
    }
  }

  /**
   * Handles the last event; later if it comes while a listener runs the event loop.
   *
   * @param {Function} handle The method that does
   * @param {Number} [errno] Its argument
   * @private
   */
  _finally(handle, errno) {
    if (this.isHeld) this.last = { handle, errno };
    else handle.call(this, errno);
  }

  /**
   * Handles an error.
   *
   * @param {Number} errno Which one
   * @private
   */
  _onFailure(errno) {
    this.getSocket().destroy(errnoException(errno, 'read'));
  }

  /**
   * Handles the end of what the peer sends.
   *
   * @private
   */
  _onEnd() {
    //
    // If the connection has changed over, the stream finds it, too.
    //
    if (!this.isActive) return;

    //
    // Nothing is left that a socket would be needed for.
    //
    if (
      this.socket === null &&
      this.hasEnded &&
      this.websocket._closeFrameReceived
    ) {
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
    driver.outbox.flush();

    //
    // What the kernel did not take is in the queue of a socket.
    //
    if (this.socket !== null) {
      this.socket.end();
    } else {
      this.hasEnded = true;
      if (this.isActive) driver.engine.shutdown(this.id);
    }
  }

  /**
   * Destroys the connection, as its socket would be.
   *
   * @public
   */
  destroy() {
    const { [kReceiver]: receiver, [kSender]: sender } = this.websocket;

    driver.outbox.flush();

    //
    // What somebody has looked at has its own part in that, and what has been read
    // is still delivered.
    //
    if (this.socket !== null || receiver || sender || this.hasRows) {
      this.getSocket().destroy();
    } else if (this.isActive) {
      this.isDestroyed = true;
      this._close();
    }
  }

  /**
   * Closes a connection without a socket after both sides have ended, or at once.
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

    driver.close(this);
  }

  /**
   * Emits the `'close'` event.
   *
   * @public
   */
  finish() {
    this.runInAsyncScope(this._finish, this);
  }

  /**
   * Tells the `WebSocket` that the connection is closed, and who has looked at the
   * socket since.
   *
   * @private
   */
  _finish() {
    const { socket } = this;

    if (socket !== null) closeStream(socket);
    driver.callbacks.onClose(this.websocket);
    if (socket !== null) socket.emit('close', false);
  }

  /**
   * Gives the socket, and makes it if there is none.
   *
   * @return {net.Socket} The socket
   * @public
   */
  getSocket() {
    if (this.socket === null) {
      this.runInAsyncScope(this._createSocket, this);
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
    let socket = null;
    let isShared = true;

    if (this.isActive) {
      let fd = driver.engine.duplicate(this.id);

      //
      // If there are no descriptors left the socket gets that of the engine, and
      // is the one to use it.
      //
      if (fd < 0) {
        isShared = false;
        driver.outbox.flush();

        //
        // What the kernel has not taken is in a socket already.
        //
        if (this.socket !== null) return;

        fd = driver.engine.takeDescriptor(this.id);
      }

      socket = listener.createSocket(fd);
    }

    if (socket === null) {
      //
      // The connection is closed, or the event loop can't watch it.
      //
      this.socket = websocket[kSocket] = listener.createClosedSocket(
        this.isDestroyed
      );
      if (this.isActive) this._close();
      driver.sockets.retire(this.socket, this);
      return;
    }

    this.socket = websocket[kSocket] = socket;
    socket[kWebSocket] = websocket;
    driver.sockets.convert(socket, this);
    socket.setNoDelay();
    driver.callbacks.listenToSocket(socket);
    if (this.isFull) driver.outbox.fill(this);
    if (!isShared) driver.sockets.spill(socket);
    if (this.hasEnded) socket.end();
  }
}

//
// What most connections never have takes no memory in them.
//
Object.assign(NativeConnection.prototype, {
  //
  // What was received with the handshake.
  //
  head: EMPTY_BUFFER,

  //
  // Whether a listener runs the event loop, and the last event that came meanwhile.
  //
  isHeld: false,
  last: null,

  //
  // Whether the side of a connection without a socket has ended.
  //
  hasEnded: false,

  //
  // Whether it has been destroyed without one.
  //
  isDestroyed: false,

  //
  // The round of the outbox in which a socket would have counted as full.
  //
  fullIn: -1,

  //
  // The batch in which it was paused last; 0 if that was not in one.
  //
  pausedIn: 0,

  //
  // The errno of a failed write that is not reported yet.
  //
  failure: 0,

  //
  // What somebody has put in the place of the socket's `write()`.
  //
  writeMethod: null,

  //
  // What is to be called after the rows that are being handled.
  //
  rest: null,

  _writer: null
});

module.exports = NativeConnection;

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
  driver.callbacks.onData.call(connection.socket, head);
}
