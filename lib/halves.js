'use strict';

const Receiver = require('./receiver');
const Sender = require('./sender');
const emitMessage = require('./emit-message');
const originals = require('./originals');
const { CLOSED, CLOSING, OPEN } = require('./ready-states');
const { EMPTY_BUFFER, kStatusCode, kWebSocket } = require('./constants');
const {
  kConnection,
  kOptions,
  kReceiver,
  kSender,
  kSocket
} = require('./symbols');
const { finishWritable } = require('./finished-stream');
const { discardIncoming, setCloseTimer } = require('./socket-events');

// Methods of the halves of a connection, its receiver and its sender, that are
// passed by while nobody has replaced them.
const { addListener, emit, on } = originals.Receiver;
const { close, dispatch, frame, ping, pong, send, sendFrame } =
  originals.Sender;

module.exports = {
  conclude,
  createHalves,
  createReceiver,
  createSender,
  isDirect,
  isServed,
  receivePing
};

/**
 * Make the two ends of a connection if they can't wait: the stream driver needs
 * them, and so does a program that has changed their classes, to see everything
 * that is done with them.
 *
 * @param {WebSocket} websocket The connection
 * @param {Boolean} isServed Whether the native driver serves it
 * @public
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
 * Make the receiving end of a connection.
 *
 * @param {WebSocket} websocket The connection
 * @return {Receiver} The receiver
 * @public
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

  // Nobody has missed it.
  if (websocket._readyState === CLOSED) {
    finishWritable(receiver);
    return receiver;
  }

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
 * @public
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
    prototype.sendFrame !== sendFrame ||
    Sender.frame !== frame ||
    prototype.close !== close ||
    prototype.ping !== ping ||
    prototype.pong !== pong
  );
}

/**
 * Tell whether the native driver serves a connection.
 *
 * @param {WebSocket} websocket The connection
 * @return {Boolean} `true` if it does
 * @public
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
 * @public
 */
function isDirect(websocket) {
  return (
    websocket[kSender] === undefined &&
    isServed(websocket) &&
    !isSenderPatched()
  );
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
 * @public
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

  if (this._connection !== null) this._connection.relieve();
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
 * The listener of the `'message'` event of the receiver.
 *
 * @param {(Buffer|ArrayBuffer|Buffer[]|Blob)} data The message
 * @param {Boolean} isBinary Whether it is binary
 * @private
 */
function receiverOnMessage(data, isBinary) {
  emitMessage(this[kWebSocket], data, isBinary);
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
 * @public
 */
function receivePing(websocket, data) {
  if (websocket._autoPong && websocket.readyState === OPEN) {
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

  if (websocket.readyState === CLOSED) return;
  if (websocket.readyState === OPEN) {
    websocket._readyState = CLOSING;
    setCloseTimer(websocket);
  }

  // Not destroyed: what the peer is about to send may still be wanted. If it
  // takes too long there is the timer, set here or when the closing began.
  this._socket.end();

  emitError(websocket, err);
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
