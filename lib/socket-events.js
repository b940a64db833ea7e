'use strict';

const EventEmitter = require('events');

const { CLOSING } = require('./ready-states');
const { NOOP, kWebSocket } = require('./constants');
const { readInPlace } = require('./socket-reader');
const { kConnection, kReceiver, kSocket } = require('./symbols');

const { removeListener } = EventEmitter.prototype;

module.exports = {
  destroySocket,
  discardIncoming,
  endSocket,
  finish,
  isReceivingDone,
  listenToSocket,
  readFromSocket,
  setCloseTimer,
  socketOnData
};

/**
 * Listen to the socket of a connection.
 *
 * @param {Duplex} socket The socket
 * @public
 */
function listenToSocket(socket) {
  socket.on('close', socketOnClose);
  socket.on('data', socketOnData);
  socket.on('end', socketOnEnd);
  socket.on('error', socketOnError);
}

/**
 * Read from the socket of a connection that the native driver does not serve.
 *
 * @param {Duplex} socket The socket
 * @public
 */
function readFromSocket(socket) {
  readInPlace(socket, socketOnData, takeChunk);
}

/**
 * Take what a socket has read, from memory that is used again.
 *
 * @param {Buffer} memory The memory
 * @param {Number} length How many bytes have been read
 * @return {Boolean} `false` if it is to go the usual way
 * @private
 */
function takeChunk(memory, length) {
  const receiver = this[kWebSocket]._receiver;

  if (!receiver.canTake) return false;

  // As if it had emitted it.
  this._readableState.dataEmitted = true;

  if (!receiver.take(memory, length)) this.pause();
  return true;
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

  websocket._readyState = CLOSING;

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
 * The listener of the `'data'` event of the socket.
 *
 * @param {Buffer} chunk What was received
 * @public
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

  websocket._readyState = CLOSING;

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
    websocket._readyState = CLOSING;
    this.destroy();
  }
}

/**
 * Close a connection whose socket is closed, as soon as its receiver is done.
 *
 * @param {WebSocket} websocket The connection
 * @public
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
 * The listener of the `'finish'` event of the receiver, and of `'error'`, if
 * the receiver was still busy when the socket was closed.
 *
 * @private
 */
function receiverOnFinish() {
  this[kWebSocket].emitClose();
}

/**
 * Tell whether nothing that the peer may still send matters: there was a close
 * frame, or something that made no sense.
 *
 * @param {WebSocket} websocket The connection
 * @return {Boolean} `true` if it does not
 * @public
 */
function isReceivingDone(websocket) {
  const receiver = websocket[kReceiver];

  return (
    websocket._closeFrameReceived ||
    (receiver !== undefined && receiver._writableState.errorEmitted)
  );
}

/**
 * Let the rest of what the peer sends run to waste, so that the end of the
 * stream is reached.
 *
 * @param {Duplex} socket The socket
 * @public
 */
function discardIncoming(socket) {
  // Not the socket's own method: the native driver takes that for a program's
  // wish to go without it.
  removeListener.call(socket, 'data', socketOnData);

  // Not at once: the listener that was removed may still be running, and pause
  // the socket when the receiver returns.
  process.nextTick(resume, socket);
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
 * End the socket of a connection, if need be without making it.
 *
 * @param {WebSocket} websocket The connection
 * @public
 */
function endSocket(websocket) {
  if (websocket[kSocket] !== undefined) websocket._socket.end();
  else websocket[kConnection].end();
}

/**
 * Destroy the socket if the closing handshake takes too long.
 *
 * @param {WebSocket} websocket The connection
 * @public
 */
function setCloseTimer(websocket) {
  websocket._closeTimer = setTimeout(
    destroySocket,
    websocket._closeTimeout,
    websocket
  );
}

/**
 * Destroy the socket of a connection, if need be without making it.
 *
 * @param {WebSocket} websocket The connection
 * @public
 */
function destroySocket(websocket) {
  if (websocket[kSocket] !== undefined) websocket._socket.destroy();
  else websocket[kConnection].destroy();
}
