'use strict';

const net = require('net');

const NativeConnection = require('./native-connection');
const NativeListener = require('./native-listener');
const decoderOptions = require('./decoder-options');
const driver = require('./native-driver');
const { EMPTY_BUFFER } = require('./constants');
const { handleScope } = require('./handle-scope');
const { kConnection } = require('./symbols');
const { ownsHandle } = require('./socket-reader');

module.exports = {
  adopt,
  listen,
  open,
  setCallbacks,
  stats: driver.stats,
  unlisten
};

/**
 * Tells what to call.
 *
 * @param {Object} functions The functions
 * @param {Function} functions.listenToSocket Has a `WebSocket` served by the
 *     events of a socket
 * @param {Function} functions.onClose Handles the end of a connection without a
 *     socket
 * @param {Function} functions.onConclude Handles the close frame of the peer
 * @param {Function} functions.onData The listener of the `'data'` event of a
 *     socket that feeds the receiver
 * @param {Function} functions.onOpen Starts to use a connection of the native
 *     listener
 * @param {Function} functions.onPing Handles a ping
 * @public
 */
function setCallbacks(functions) {
  driver.callbacks = functions;
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
  if (
    isPlain(socket) &&
    driver.start() &&
    isSuitable(socket) &&
    take(websocket, socket, head, options)
  ) {
    driver.stats.native++;
    return true;
  }

  driver.stats.stream++;
  return false;
}

/**
 * Accepts the connections of an HTTP server, as far as they ask for nothing
 * unusual.
 *
 * @param {http.Server} server The server, which listens
 * @param {Object} own Its listeners that are not the program's, by event
 * @param {Function} accept Called with the listener, the id of a connection, the
 *     head of its request and the `Sec-WebSocket-Accept` that answers it; returns
 *     `false` to have Node handle it
 * @return {Boolean} Whether it is too early for that
 * @public
 */
function listen(server, own, accept) {
  const listener = NativeListener.start(server, own, accept);

  return listener !== null && listener.isTooEarly;
}

/**
 * Has Node know of all connections of an HTTP server, which is about to be
 * closed.
 *
 * @param {http.Server} server The server
 * @public
 */
function unlisten(server) {
  for (const listener of driver.listeners) {
    if (listener.server === server) listener.stop(false);
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
  driver.engine.accept(
    id,
    ...decoderOptions(websocket._isServer, websocket._extensions, options)
  );

  const connection = driver.inRoot(
    () => new NativeConnection(id, null, websocket, EMPTY_BUFFER)
  );

  connection.listener = listener;
  connection.bytesRead = received;
  driver.targets[id] = connection;
  listener.server._connections++;
  driver.stats.native++;

  driver.outbox.sendRaw(connection, response);
  connection.setReading(true);
  driver.callbacks.onOpen(websocket, connection, options);
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
    ownsHandle(socket) &&
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
    driver.sockets.isUnpatched(socket)
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
  const id = driver.engine.adopt(
    handle.fd,
    ...decoderOptions(websocket._isServer, websocket._extensions, options)
  );

  if (id === -1) return false;

  //
  // If the upgrade was handled late, more may have been received since. To take that
  // has a socket read on that was full.
  //
  const { length } = socket._readableState;

  if (length > 0) head = Buffer.concat([head, socket.read(length)]);

  if (handle.reading) {
    handle.reading = false;
    handle.readStop();
  }

  //
  // The asynchronous context of a server's connection is empty.
  //
  const connection = driver.inRoot(
    () => new NativeConnection(id, socket, websocket, head)
  );

  if (!websocket._isServer) connection.runInAsyncScope = handleScope(socket);

  driver.targets[id] = connection;
  websocket[kConnection] = connection;
  driver.sockets.convert(socket, connection);
  return true;
}
