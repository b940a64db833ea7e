'use strict';

const { AsyncResource } = require('async_hooks');

const binding = require('./binding');
const driver = require('./native-driver');
const errnoException = require('./errno-exception');

/** `MAX_SLICES` of `src/engine/outbox.rs`. */
const MAX_BUFFERS = 512;

/**
 * What a socket writes by way of the engine, and what the kernel has not taken of
 * it yet.
 */
class SocketWriter {
  /**
   * Creates a SocketWriter instance.
   *
   * @param {NativeConnection} connection The connection of the socket
   */
  constructor(connection) {
    this._connection = connection;

    //
    // What the kernel did not take of a write, the callback of that, and the
    // asynchronous context in which it is to be called.
    //
    this._rest = null;
    this._callback = null;
    this._context = null;

    //
    // The ticket of the frame that this is the rest of, if it was not handed to the
    // kernel when it was sent.
    //
    this._ticket = null;

    //
    // During a write: the rests of frames that go ahead of it.
    //
    this._ahead = null;
  }

  /**
   * Writes for the socket.
   *
   * @param {Buffer[]} list The data
   * @param {Function} cb Callback
   * @public
   */
  write(list, cb) {
    const connection = this._connection;

    //
    // What the kernel does not take of frames that were sent before goes ahead
    // of the data: the socket's queue is behind it already.
    //
    this._ahead = [];
    driver.outbox.flush();

    const ahead = this._ahead;

    this._ahead = null;

    if (ahead.length > 0) {
      const state = connection.socket._writableState;

      list = [...ahead.flatMap((rest) => rest.list), ...list];
      cb = callAll([...ahead.map((rest) => rest.cb), cb]);

      for (const { size } of ahead) {
        state.length += size;
        state.writelen += size;
      }
    }

    if (connection.failure !== 0) {
      const err = errnoException(connection.failure, 'write');

      connection.failure = 0;
      cb(err);
      return;
    }

    for (const { length } of list) connection.bytesWritten += length;

    this._write(list, cb, null);
  }

  /**
   * Puts what the kernel did not take of a frame into the socket's queue. As any
   * write, that counts in full until the kernel has taken all of it.
   *
   * @param {(Buffer|String)[]} list The rest of the frame, in one piece or two
   * @param {Number} size The size of the frame, as a stream counts it
   * @param {Boolean} isPair Whether the sender would have written it in two
   *     pieces, corked
   * @param {Function} [cb] The callback of the frame
   * @param {Object} [ticket] The ticket of the frame, if it has one
   * @public
   */
  writeRest(list, size, isPair, cb, ticket) {
    if (this._ahead !== null) {
      this._ahead.push({ list: list.map(toBuffer), size, cb });
      return;
    }

    const socket = this._connection.getSocket();
    const state = socket._writableState;
    const isFirst = state.length === 0;
    const last = list.length - 1;

    if (isPair) socket.cork();
    for (let i = 0; i < last; i++) socket.write(list[i]);
    socket.write(list[last], cb);
    if (isPair) socket.uncork();

    if (isFirst && state.writing && state.writelen === state.length) {
      state.length = state.writelen = size;
      this._ticket = ticket;
    }

    if (state.length > 0 && size >= state.highWaterMark) state.needDrain = true;
  }

  /**
   * Takes the current asynchronous context for that of a frame whose rest waits, if
   * that is the first one. As in a stream of Node.js, what waits behind it is
   * written, and called back, in that context, too.
   *
   * @param {Object} ticket The ticket of the frame
   * @public
   */
  enter(ticket) {
    if (this._ticket !== ticket || this._rest === null) return;

    this._ticket = null;
    this._context.emitDestroy();
    this._context = createContext();
  }

  /**
   * Goes on when the kernel has room.
   *
   * @public
   */
  goOn() {
    const { _rest: list, _callback: cb, _context: context } = this;
    if (list === null) return;

    this._clear();
    this._write(list, cb, context);
  }

  /**
   * Takes what the kernel has not taken, for somebody else to write.
   *
   * @return {(Object|null)} The data and the callback, `null` if there is none
   * @public
   */
  take() {
    const { _rest: list, _callback: cb, _context: context } = this;
    if (list === null) return null;

    this._clear();
    return { list, cb: (err) => settle(cb, context, err) };
  }

  /**
   * Forgets what the kernel has not taken.
   *
   * @private
   */
  _clear() {
    this._rest = null;
    this._callback = null;
    this._context = null;
    this._ticket = null;
  }

  /**
   * Hands data to the kernel, and keeps what that does not take.
   *
   * @param {Buffer[]} list The data
   * @param {Function} cb Callback
   * @param {AsyncResource} [context] The context of the callback, if the data has
   *     waited
   * @private
   */
  _write(list, cb, context) {
    const { id } = this._connection;
    let rest = list;
    let count;
    let sent;

    do {
      count = rest.length;
      sent =
        count === 1
          ? driver.engine.write(id, rest[0])
          : driver.engine.writev(id, rest);

      if (sent < 0) {
        settle(cb, context, errnoException(-sent, 'write'));
        return;
      }

      rest = remainder(rest, sent);

      //
      // A call takes so many buffers. If there were more, the kernel may have
      // room for them.
      //
    } while (rest !== null && sent > 0 && count > MAX_BUFFERS);

    if (rest === null) {
      settle(cb, context);
    } else {
      this._rest = rest;
      this._callback = cb;
      this._context = context || createContext();
      if (driver.engine.wantWrite(id)) driver.schedule();
    }
  }
}

module.exports = SocketWriter;

/**
 * Remembers the current asynchronous context.
 *
 * @return {AsyncResource} The context
 * @private
 */
function createContext() {
  return new AsyncResource('WRITEWRAP', { requireManualDestroy: true });
}

/**
 * Calls the callback of a write.
 *
 * @param {Function} cb The callback
 * @param {AsyncResource} [context] The context in which to call it, if it is not the
 *     current one
 * @param {Error} [err] What has gone wrong, if anything has
 * @private
 */
function settle(cb, context, err) {
  if (context === null) {
    cb(err);
    return;
  }

  context.emitDestroy();
  context.runInAsyncScope(cb, null, err);
}

/**
 * Makes bytes of a piece of a frame.
 *
 * @param {(Buffer|String)} piece The piece
 * @return {Buffer} The bytes
 * @private
 */
function toBuffer(piece) {
  return typeof piece === 'string' ? Buffer.from(piece) : piece;
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
      //
      // The last one is the stream's, which goes on whatever the others throw.
      //
      try {
        if (typeof callback === 'function') callback(err || null);
      } catch (thrown) {
        binding.fatalException(thrown);
      }
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
