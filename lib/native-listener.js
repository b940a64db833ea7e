'use strict';

const EventEmitter = require('events');
const http = require('http');
const net = require('net');
const diagnostics = require('diagnostics_channel');
const { AsyncLocalStorage, AsyncResource } = require('async_hooks');
const { closeSync } = require('fs');
const { getDefaultHighWaterMark } = require('stream');
const { ENOENT } = require('os').constants.errno;

const binding = require('./binding');
const driver = require('./native-driver');
const { NOOP } = require('./constants');
const { nodeMajor } = require('./runtime');
const {
  abortStream,
  finishReadable,
  finishWritable
} = require('./finished-stream');
const { clearTimeout, setImmediate, setTimeout } = require('./scheduling');
const { HAND_OVER, LISTENER_FAILED, UPGRADE } = require('./inbox');

const { emit } = EventEmitter.prototype;
const { write } = net.Socket.prototype;
const sockets = diagnostics.channel('net.server.socket');

/** `SOCKET` of the types of handles. */
const SOCKET = 0;

//
// The most that the head of a request has which the engine takes: fields, bytes.
// (`src/protocol/upgrade.rs`.)
//
const MAX_FIELDS = 64;
const MAX_HEAD = 8 * 1024;

/**
 * Whether asynchronous contexts belong to handles, as with Node.js 24: then those
 * of a server's events are the one in which it began to listen.
 */
const HANDLES_HAVE_CONTEXTS = !AsyncLocalStorage.prototype._propagate;

/** The length of a `Sec-WebSocket-Accept`. */
const ACCEPT_LENGTH = 28;

/** How many ms a connection may be silent before Node takes care of it. */
const PATIENCE = 200;

/**
 * Whether a server that is closed also closes the connections whose request it has not
 * seen.
 */
const CLOSES_SILENT = nodeMajor >= 26;

/** After how many ms a listener that has failed tries again. */
const RECOVERY = 1000;

/**
 * Accepts the connections of an HTTP server that does nothing but upgrade them.
 *
 * The server stays a real one, and listens: only the connections that ask for
 * nothing unusual never become sockets and requests of Node. All others are
 * handed to it with every byte that they have sent.
 */
class NativeListener {
  /**
   * Creates a NativeListener instance.
   *
   * @param {http.Server} server The server, which listens
   * @param {Object} own Its listeners of the `'connection'` and `'upgrade'` events
   *     that are not the program's
   * @param {Function} accept Called with this, the id of a connection, the head
   *     of its request and the `Sec-WebSocket-Accept` that answers it; returns
   *     `false` to have Node handle it
   */
  constructor(server, own, accept) {
    this.server = server;
    this._own = own;
    this.handle = server._handle;
    this._accept = accept;
    this._onconnection = server._handle.onconnection;
    this._timer = null;
    this._resource = HANDLES_HAVE_CONTEXTS
      ? new AsyncResource('WEBSOCKETSERVER')
      : null;
    //
    // Negative if it can't be done.
    //
    this.id = driver.engine.listen(this.handle.fd);

    if (this.id >= 0) {
      driver.targets[this.id] = this;
      driver.listeners.add(this);

      //
      // Connections that arrive after this are nobody's.
      //
      this.handle.close = (...args) => {
        //
        // Node has looked for idle connections before this.
        //
        if (this.stop(false)) server.closeIdleConnections();

        return this.handle.close(...args);
      };
    }
  }

  /**
   * Whether the event loop has yet to notice that the server listens.
   *
   * @type {Boolean}
   */
  get isTooEarly() {
    return this.id === -ENOENT;
  }

  /**
   * Whether the server is still one that nobody misses anything of.
   *
   * @type {Boolean}
   * @private
   */
  get _isPlain() {
    return (
      NativeListener.isPlain(this.server, this._own) &&
      this.handle.onconnection === this._onconnection
    );
  }

  /**
   * Whether all that happens on a server that listens is what it does by itself,
   * so that nobody misses what it does not do.
   *
   * @param {http.Server} server The server
   * @param {Object} own See the constructor
   * @return {Boolean} `true` if it is
   * @private
   */
  static isPlain(server, own) {
    return (
      isOnly(server, 'connection', own.connection) &&
      isOnly(server, 'upgrade', own.upgrade) &&
      server.emit === emit &&
      net.Socket.prototype.write === write &&
      (server.maxConnections === undefined || server.maxConnections === null) &&
      (server.maxHeadersCount === null ||
        server.maxHeadersCount >= MAX_FIELDS) &&
      http.maxHeaderSize >= MAX_HEAD &&
      (!server.maxHeaderSize || server.maxHeaderSize >= MAX_HEAD) &&
      server.shouldUpgradeCallback === own.shouldUpgradeCallback &&
      !server.blockList &&
      server.noDelay &&
      !server.keepAlive &&
      !server.joinDuplicateHeaders &&
      !server.pauseOnConnect &&
      (server.highWaterMark === undefined ||
        server.highWaterMark === getDefaultHighWaterMark(false)) &&
      !sockets.hasSubscribers
    );
  }

  /**
   * Whether a server's handle is one whose connections can be accepted here.
   *
   * @param {http.Server} server The server
   * @param {Object} own See the constructor
   * @return {Boolean} `true` if it is
   * @private
   */
  static isSuitable(server, own) {
    const handle = server._handle;

    return (
      NativeListener.isPlain(server, own) &&
      handle !== null &&
      handle.fd >= 0 &&
      typeof handle.onconnection === 'function' &&
      ['Pipe', 'TCP'].includes(handle.constructor.name) &&
      !Object.hasOwn(handle, 'close')
    );
  }

  /**
   * Has connections accepted here, if that is possible.
   *
   * @param {http.Server} server The server
   * @param {Object} own See the constructor
   * @param {Function} accept See the constructor
   * @return {(NativeListener|null)} The listener, `null` if it is not
   * @public
   */
  static start(server, own, accept) {
    return NativeListener.isSuitable(server, own) && driver.start()
      ? new NativeListener(server, own, accept)
      : null;
  }

  /**
   * Handles an event.
   *
   * @param {Inbox} inbox The batch
   * @param {Number} i The index of the first word of its row
   * @public
   */
  dispatch(inbox, i) {
    const { rows } = inbox;

    switch (rows[i + 1] & 0xff) {
      case UPGRADE:
        //
        // In a context of its own, which ends with the event.
        //
        this._inScope(
          this._onUpgrade,
          rows[i],
          inbox.heads.subarray(rows[i + 2], rows[i + 2] + rows[i + 3])
        );
        break;
      case HAND_OVER:
        this._inScope(this._handOver, rows[i + 3]);
        break;
      case LISTENER_FAILED:
        //
        // It can't accept any more. What to do then is Node's to decide. But there
        // may be descriptors again later.
        //
        this.stop(true);
        setTimeout(resume, RECOVERY, this).unref();
    }
  }

  /**
   * A listener goes on accepting while one of its events is handled.
   *
   * @public
   */
  hold() {}

  /**
   * Calls a method in the asynchronous context of an event of the server.
   *
   * @param {Function} method The method
   * @param {Number} target Its first argument
   * @param {Buffer} [payload] Its second argument
   * @private
   */
  _inScope(method, target, payload) {
    const resource = this._resource || new AsyncResource('WEBSOCKETSERVER');

    resource.runInAsyncScope(method, this, target, payload);
  }

  /**
   * Handles a request for an upgrade.
   *
   * @param {Number} id The id of the connection
   * @param {Buffer} payload Its head, and the answer's `Sec-WebSocket-Accept`
   * @private
   */
  _onUpgrade(id, payload) {
    const end = payload.length - ACCEPT_LENGTH;
    const head = payload.latin1Slice(0, end);
    const accept = payload.latin1Slice(end);
    const isPlain = this._isPlain;
    let isAccepted;

    if (CLOSES_SILENT && !this.server.listening) {
      driver.engine.release(id);
      return;
    }

    try {
      isAccepted = isPlain && this._accept(this, id, head, accept);
    } catch (err) {
      //
      // If it has been let in, one of the program's listeners has thrown. That
      // is not the connection's fault.
      //
      if (!driver.targets[id]) driver.engine.release(id);
      throw err;
    }

    if (!isAccepted) {
      this._handOver(
        driver.engine.handOver(id),
        Buffer.from(payload.subarray(0, end))
      );
    }

    if (!isPlain) this.stop(true);
  }

  /**
   * Has Node go on with a connection as if it had accepted it.
   *
   * @param {Number} fd The descriptor
   * @param {Buffer} [head] What has been read from it
   * @private
   */
  _handOver(fd, head) {
    const { server } = this;
    const handle = this._open(fd);
    if (handle === null) return;

    if (head === undefined) {
      this.handle.onconnection(0, handle);
      return;
    }

    countAsRead(handle, head.length);

    let socket = null;

    /**
     * Takes note of the socket.
     *
     * @param {net.Socket} value The socket
     */
    const onConnection = (value) => {
      socket = value;
    };

    server.prependListener('connection', onConnection);

    try {
      this.handle.onconnection(0, handle);
    } finally {
      server.removeListener('connection', onConnection);
      if (socket !== null && !socket.destroyed) socket.unshift(head);
    }
  }

  /**
   * Has Node go on with connections that have sent nothing.
   *
   * @param {Number[]} list The descriptors
   * @private
   */
  _handOverAll(list) {
    for (const fd of list) {
      //
      // What a listener throws for one is not the others' fault.
      //
      try {
        this._inScope(this._handOver, fd);
      } catch (err) {
        binding.fatalException(err);
      }
    }
  }

  /**
   * Makes a socket of a connection.
   *
   * @param {Number} fd The descriptor, a duplicate of that of the engine
   * @return {(net.Socket|null)} The socket, `null` if that is impossible
   * @public
   */
  createSocket(fd) {
    const handle = this._open(fd);

    return handle === null ? null : this._createSocket(handle);
  }

  /**
   * Makes a socket that is like that of a connection which has been closed in good
   * order, or has just been destroyed.
   *
   * @param {Boolean} isDestroyed Whether it has
   * @return {net.Socket} The socket
   * @public
   */
  createClosedSocket(isDestroyed) {
    const socket = this._createSocket();

    if (isDestroyed) {
      abortStream(socket);
    } else {
      finishReadable(socket);
      finishWritable(socket);
    }

    socket.on('error', NOOP);
    return socket;
  }

  /**
   * Makes a socket.
   *
   * @param {Object} [handle] Its handle
   * @return {net.Socket} The socket
   * @private
   */
  _createSocket(handle) {
    const { server } = this;
    const socket = new net.Socket({
      allowHalfOpen: server.allowHalfOpen,
      handle,
      manualStart: true,
      readable: true,
      writable: true
    });

    //
    // As Node leaves them after an upgrade.
    //
    socket.server = socket._server = server;
    socket.parser = null;
    socket._paused = false;
    socket.timeout = 0;
    socket.setEncoding = refuseEncoding;
    return socket;
  }

  /**
   * Sees to it that silent connections are not kept from Node for long, and not
   * at all if somebody wants to see them.
   *
   * @public
   */
  watchSilence() {
    if (!this._isPlain) this.stop(true);
    if (this.id < 0 || this._timer !== null) return;

    this._timer = setTimeout(() => {
      this._timer = null;

      this._handOverAll(driver.engine.takeSilent(this.id));
      if (driver.engine.waiting(this.id) > 0) this.watchSilence();
    }, PATIENCE);
  }

  /**
   * Stops accepting connections.
   *
   * @param {Boolean} goOn Whether Node is to go on
   * @return {Boolean} Whether Node knows of more connections now
   * @public
   */
  stop(goOn) {
    if (this.id < 0) return false;

    const waiting = driver.engine.unlisten(this.id, goOn);

    //
    // Events of the batch that is being dispatched may still name it.
    //
    setImmediate(forget, this, this.id);

    this.id = -1;
    driver.listeners.delete(this);
    driver.closeWhenIdle();
    delete this.handle.close;
    clearTimeout(this._timer);

    this._handOverAll(waiting);
    return waiting.length > 0;
  }

  /**
   * Makes a handle of a descriptor.
   *
   * @param {Number} fd The descriptor
   * @return {(Object|null)} The handle, `null` if that is impossible
   * @private
   */
  _open(fd) {
    if (fd < 0) return null;

    //
    // Libuv's callback has no context yet when Node makes the handle.
    //
    const handle = driver.inRoot(() => new this.handle.constructor(SOCKET));

    if (handle.open(fd) < 0) {
      closeSync(fd);
      return null;
    }

    return handle;
  }
}

module.exports = NativeListener;

/**
 * Whether an event has one listener, and no other.
 *
 * @param {http.Server} server The server
 * @param {String} event The name of the event
 * @param {Function} listener The listener
 * @return {Boolean} `true` if it does
 * @private
 */
function isOnly(server, event, listener) {
  return (
    server.listenerCount(event) === 1 &&
    server.listenerCount(event, listener) === 1
  );
}

/**
 * Has a handle count bytes that were read before it was made.
 *
 * @param {Object} handle The handle
 * @param {Number} length How many bytes
 * @private
 */
function countAsRead(handle, length) {
  Object.defineProperty(handle, 'bytesRead', {
    configurable: true,
    get() {
      const target = Object.getPrototypeOf(this);

      return Reflect.get(target, 'bytesRead', this) + length;
    }
  });
}

/**
 * The `setEncoding()` of the sockets of an HTTP server.
 *
 * @throws {Error} Always
 * @private
 */
function refuseEncoding() {
  const err = new Error(
    'Changing the socket encoding is not allowed per RFC7230 Section 3.'
  );

  err.code = 'ERR_HTTP_SOCKET_ENCODING';
  throw err;
}

/**
 * Has a listener that has failed accept connections again.
 *
 * @param {NativeListener} listener The listener
 * @private
 */
function resume({ server, handle, _own, _accept }) {
  if (server._handle !== handle) return;

  const listener = NativeListener.start(server, _own, _accept);

  if (listener !== null && listener.id < 0) {
    setTimeout(resume, RECOVERY, listener).unref();
  }
}

/**
 * Forgets a listener that accepts no more.
 *
 * @param {NativeListener} listener The listener
 * @param {Number} id The id that it had
 * @private
 */
function forget(listener, id) {
  if (driver.targets[id] === listener) driver.targets[id] = null;
}
