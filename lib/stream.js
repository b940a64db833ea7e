'use strict';

const { Duplex } = require('stream');

/**
 * Wrap a `WebSocket` in a duplex stream: a chunk that is written goes out as a
 * message, a message that comes in is a chunk to read.
 *
 * @param {WebSocket} ws The `WebSocket`
 * @param {Object} [options] Options for the `Duplex`
 * @return {Duplex} The stream
 * @public
 */
function createWebSocketStream(ws, options) {
  let failed = false;

  // The stream is destroyed, and `'close'` emitted, when the connection says
  // so, and a message has the same boundaries on both sides.
  const duplex = new Duplex({
    ...options,
    autoDestroy: false,
    emitClose: false,
    objectMode: false,
    writableObjectMode: false
  });

  ws.on('message', function message(data, isBinary) {
    // Text is a string only where a chunk may be something else than bytes.
    const asText = !isBinary && duplex._readableState.objectMode;

    if (!duplex.push(asText ? data.toString() : data)) ws.pause();
  });

  ws.once('error', function error(err) {
    if (duplex.destroyed) return;

    // The connection is on its way down already. If it was open, the `'error'`
    // handler has called `ws.close()`, and the close frame that tells the peer
    // the reason would be lost if `_destroy()` called `ws.terminate()` now.
    failed = true;
    duplex.destroy(err);
  });

  ws.once('close', function close() {
    if (!duplex.destroyed) duplex.push(null);
  });

  duplex._destroy = function (err, callback) {
    if (ws.readyState === ws.CLOSED) {
      callback(err);
      process.nextTick(emitClose, duplex);
      return;
    }

    let reported = false;

    ws.once('error', function error(err) {
      reported = true;
      callback(err);
    });

    ws.once('close', function close() {
      if (!reported) callback(err);
      process.nextTick(emitClose, duplex);
    });

    if (!failed) ws.terminate();
  };

  duplex._final = function (callback) {
    if (ws.readyState === ws.CONNECTING) {
      ws.once('open', () => duplex._final(callback));
      return;
    }

    // Without a socket the opening handshake has failed, and an `'error'` event
    // that destroys the stream is about to follow.
    if (ws._socket === null) return;

    if (ws._socket._writableState.finished) {
      callback();
      if (duplex._readableState.endEmitted) duplex.destroy();
      return;
    }

    // `'end'` is emitted later, as the end of the readable side is pushed on
    // `'close'`. Its listener destroys the stream.
    ws._socket.once('finish', () => callback());
    ws.close();
  };

  duplex._read = function () {
    if (ws.isPaused) ws.resume();
  };

  duplex._write = function (chunk, encoding, callback) {
    if (ws.readyState === ws.CONNECTING) {
      ws.once('open', () => duplex._write(chunk, encoding, callback));
      return;
    }

    ws.send(chunk, callback);
  };

  duplex.on('end', duplexOnEnd);
  duplex.on('error', duplexOnError);
  return duplex;
}

module.exports = createWebSocketStream;

/**
 * Emit the `'close'` event on a stream.
 *
 * @param {Duplex} stream The stream
 * @private
 */
function emitClose(stream) {
  stream.emit('close');
}

/**
 * The listener of the `'end'` event of the stream.
 *
 * @private
 */
function duplexOnEnd() {
  if (!this.destroyed && this._writableState.finished) this.destroy();
}

/**
 * The listener of the `'error'` event of the stream.
 *
 * @param {Error} err The error
 * @private
 */
function duplexOnError(err) {
  this.removeListener('error', duplexOnError);
  this.destroy();

  // Where the user does not listen, an error has to be thrown as it would be
  // without this listener.
  if (this.listenerCount('error') === 0) this.emit('error', err);
}
