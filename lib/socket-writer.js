'use strict';

const net = require('net');
const { EFAULT } = require('os').constants.errno;

const Unsent = require('./unsent');
const binding = require('./binding');
const driver = require('./native-driver');
const errnoException = require('./errno-exception');
const { nextTick } = require('./scheduling');

const { write } = net.Socket.prototype;

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
    // What the kernel did not take of a write.
    //
    this._unsent = null;

    //
    // During a write: the rests of frames that go ahead of it.
    //
    this._ahead = null;

    //
    // How many bytes of the last write that had to wait were there when that was
    // looked at last.
    //
    this._lastLength = 0;
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
      cb = callAll(state, [...ahead.map((rest) => rest.cb), cb]);

      for (const { size } of ahead) {
        state.length += size;
        state.writelen += size;
      }
    }

    if (connection.failure !== 0) {
      const err = errnoException(connection.failure, 'write');
      const first = ahead.length > 0 ? ahead[0].list : list;

      //
      // libuv counts what it is given, whatever becomes of it.
      //
      connection.bytesWritten += lengthOf(first);
      connection.failure = 0;
      cb(err);
      return;
    }

    connection.bytesWritten += lengthOf(list);
    this._write(list, cb, null);
  }

  /**
   * Whether the kernel has taken something of what waits, or all of it, since this was
   * asked last, so that a socket that has a timeout is not idle.
   *
   * @return {Boolean} `true` if it has
   * @public
   */
  hasMovedOn() {
    const last = this._lastLength;

    if (last === 0) return false;

    this._lastLength = this._unsent === null ? 0 : this._unsent.length;
    return last !== this._lastLength;
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
   * @param {(Object|null)} ticket The ticket of the frame, if it has one
   * @public
   */
  writeRest(list, size, isPair, cb, ticket) {
    if (this._ahead !== null) {
      this._ahead.push({ list: list.map((it) => Buffer.from(it)), size, cb });
      return;
    }

    const socket = this._connection.getSocket();
    const state = socket._writableState;
    const isFirst = state.length === 0;
    const last = list.length - 1;

    //
    // Whoever has replaced `write()` since the frame was sent is not to see it.
    //
    if (isPair) socket.cork();
    for (let i = 0; i < last; i++) write.call(socket, list[i]);
    write.call(socket, list[last], cb);
    if (isPair) socket.uncork();

    if (isFirst && state.writing && state.writelen === state.length) {
      state.length = state.writelen = this._lastLength = size;
      if (ticket !== null) ticket.unsent = this._unsent;
    }

    if (state.length > 0 && size >= state.highWaterMark) state.needDrain = true;
  }

  /**
   * Goes on when the kernel has room.
   *
   * @public
   */
  goOn() {
    const unsent = this.take();
    if (unsent === null) return;

    //
    // The program may have given memory away that is yet to be sent. What comes next
    // would be taken for the rest of the frame.
    //
    if (lengthOf(unsent.list) === unsent.length) {
      this._write(unsent.list, unsent.cb, unsent);
    } else {
      unsent.cb(errnoException(EFAULT, 'write'));
    }
  }

  /**
   * Takes what the kernel has not taken, for somebody else to write.
   *
   * @return {(Unsent|null)} What it has not taken, `null` if there is nothing
   * @public
   */
  take() {
    const unsent = this._unsent;

    this._unsent = null;
    if (unsent !== null) driver.reference(-1);
    return unsent;
  }

  /**
   * Hands data to the kernel, and keeps what that does not take.
   *
   * @param {Buffer[]} list The data
   * @param {Function} cb Callback
   * @param {(Unsent|null)} unsent What is to be kept, if the data has waited before
   * @private
   */
  _write(list, cb, unsent) {
    const { id } = this._connection;
    let next = 0;
    let rest;

    //
    // A call takes so many buffers. If there are more, the kernel may have room for
    // them.
    //
    do {
      const some = list.slice(next, next + MAX_BUFFERS);
      const sent =
        some.length === 1
          ? driver.engine.write(id, some[0])
          : driver.engine.writev(id, some);

      if (sent < 0) {
        cb(errnoException(-sent, 'write'));
        return;
      }

      next += some.length;
      rest = remainder(some, sent);
    } while (rest === null && next < list.length);

    if (rest === null) {
      cb();
    } else {
      //
      // A write that waits keeps the process alive, also if its socket does not.
      //
      if (unsent === null) this._lastLength = lengthOf(list);
      this._unsent = unsent || new Unsent(cb);
      driver.reference(1);
      this._unsent.list = rest.concat(list.slice(next));
      this._unsent.length = lengthOf(this._unsent.list);
      if (driver.engine.wantWrite(id)) driver.schedule();
    }
  }
}

module.exports = SocketWriter;

/**
 * The length of a list of buffers.
 *
 * @param {Buffer[]} list The list
 * @return {Number} The length in bytes
 * @private
 */
function lengthOf(list) {
  let length = 0;

  for (const buffer of list) length += buffer.length;
  return length;
}

/**
 * Makes one callback of several.
 *
 * @param {Object} state The state of the stream
 * @param {(Function|undefined)[]} callbacks The callbacks, the last of which is the
 *     stream's
 * @return {Function} The callback
 * @private
 */
function callAll(state, callbacks) {
  const last = callbacks.pop();

  return (err) => {
    for (const callback of callbacks) {
      if (typeof callback !== 'function') continue;

      if (state.sync) {
        nextTick(callback, err || null);
        continue;
      }

      //
      // The stream goes on whatever these throw.
      //
      try {
        callback(err || null);
      } catch (thrown) {
        binding.fatalException(thrown);
      }
    }

    last(err);
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
      const rest = list.slice(i);

      rest[0] = rest[0].subarray(written);
      return rest;
    }

    written -= list[i].length;
  }

  return null;
}
