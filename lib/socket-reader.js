'use strict';

const EventEmitter = require('events');
const net = require('net');
const process = require('process');
const { Readable } = require('stream');

const { hasOwnEmit, isNode } = require('./runtime');

const { emit } = EventEmitter.prototype;
const { push } = Readable.prototype;

/** Whether nobody has replaced these before, to see all that is read. */
const isOwn =
  hasOwnEmit && Function.prototype.toString.call(push).includes('AddChunk');

/**
 * Whether memory is asked for when there is something to read, and written to at
 * once, so that sockets can share it. On Windows, reading may take longer.
 */
const canShare = isNode && isOwn && process.platform !== 'win32';

/** Bytes that a socket reads at once. */
const SIZE = 64 * 1024;

/**
 * Where sockets put what they have read, in turn. It is never given away: their
 * handles know its address.
 */
let memory = null;

/**
 * The properties of a socket that has the option `onread`: the memory that it reads
 * to, what it calls then, and what gives it other memory.
 */
let kBuffer;
let kBufferCb;
let kBufferGen;

/** Of a handle: the memory, which lives as long as that may write to it. */
const kMemory = Symbol('kMemory');

/** Of a handle: the socket that it belongs to. */
let kOwner;

module.exports = { ownsHandle, readInPlace };

/**
 * Has a socket of Node.js read to memory that is used again, instead of allocating
 * some for each chunk and going through the stream with it. `take` is called with
 * what has been read and may take it, or else it goes the usual way. Where that
 * can't be had, everything does.
 *
 * @param {Duplex} socket The socket
 * @param {Function} listener The listener of its `'data'` event that would get what
 *     is taken. With other listeners, or while it does not flow, nothing is
 * @param {Function} take A function `(memory, length)`, called on the socket, that
 *     returns whether it has taken the first `length` bytes of `memory`
 * @public
 */
function readInPlace(socket, listener, take) {
  if (!(socket instanceof net.Socket) || !isPossible(socket)) return;

  const handle = socket._handle;
  const { onread } = handle;

  socket[kBufferCb] = (length) => {
    //
    // The socket would not read ahead when it is paused if it knew of this.
    //
    socket[kBuffer] = null;

    return (
      (isFlowing(socket, listener) && take.call(socket, memory, length)) ||
      socket.push(copy(length))
    );
  };

  handle.onread = function (arrayBuffer) {
    socket[kBuffer] = memory;

    try {
      onread.call(this, arrayBuffer);
    } finally {
      socket[kBuffer] = null;
    }
  };

  handle[kMemory] = memory;
  handle.useUserBuffer(memory);
}

/**
 * Whether a socket reads as those of Node.js do that do not have the option, and
 * could have it.
 *
 * @param {net.Socket} socket The socket
 * @return {Boolean} `true` if that is so
 * @private
 */
function isPossible(socket) {
  const handle = socket._handle;

  if (
    !canShare ||
    !handle ||
    typeof handle.useUserBuffer !== 'function' ||
    typeof handle.onread !== 'function' ||
    handle.onread.name !== 'onStreamRead' ||
    !ownsHandle(socket)
  ) {
    return false;
  }

  if (memory === null) prepare();

  return (
    kBufferGen !== undefined &&
    socket[kBuffer] === null &&
    socket[kBufferGen] === null
  );
}

/**
 * Whether what a socket's handle reads is the socket's. Libraries that intercept
 * connections lend the handle of one socket to another.
 *
 * @param {net.Socket} socket The socket, which has a handle
 * @return {Boolean} `true` if it is
 * @public
 */
function ownsHandle(socket) {
  const handle = socket._handle;

  if (kOwner === undefined) {
    kOwner = Object.getOwnPropertySymbols(handle).find(
      ({ description }) => description === 'owner_symbol'
    );
  }

  return kOwner !== undefined && handle[kOwner] === socket;
}

/**
 * Finds out how sockets know of the option.
 *
 * @private
 */
function prepare() {
  memory = Buffer.allocUnsafeSlow(SIZE);

  const onread = { buffer: memory, callback() {} };
  const socket = new net.Socket({ onread });
  const keys = Object.getOwnPropertySymbols(socket);
  const find = (name) => keys.find(({ description }) => description === name);

  kBuffer = find('kBuffer');
  kBufferCb = find('kBufferCb');
  kBufferGen = find('kBufferGen');

  if (socket[kBuffer] !== memory || socket[kBufferCb] !== onread.callback) {
    kBufferGen = undefined;
  }
}

/**
 * Whether what a socket has read would go to a listener at once, and to no other.
 *
 * @param {net.Socket} socket The socket
 * @param {Function} listener The listener
 * @return {Boolean} `true` if that is so
 * @private
 */
function isFlowing(socket, listener) {
  const { encoding, flowing, length } = socket._readableState;

  return (
    flowing === true &&
    length === 0 &&
    !encoding &&
    socket._events.data === listener &&
    socket.emit === emit &&
    socket.push === push
  );
}

/**
 * Copies what has been read.
 *
 * @param {Number} length How many bytes that are
 * @return {Buffer} The copy, with memory of its own as for any chunk
 * @private
 */
function copy(length) {
  const chunk = Buffer.allocUnsafeSlow(length);

  memory.copy(chunk, 0, 0, length);
  return chunk;
}
