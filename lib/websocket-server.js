'use strict';

const EventEmitter = require('events');
const http = require('http');

const { acceptKey } = require('./binding');
const native = require('./native');
const originals = require('./originals');
const WebSocket = require('./websocket');
const { CLOSE_TIMEOUT, kWebSocket } = require('./constants');
const { accept } = require('./native-acceptance');
const { parseHead } = require('./upgrade-request');
const { setImmediate } = require('./scheduling');
const {
  abortHandshake,
  acceptExtensions,
  findFault,
  formatExtensions,
  parseProtocols,
  readLimits,
  rejectRequest
} = require('./server-handshake');

const { emit } = EventEmitter.prototype;

/**
 * How many iterations of the event loop it may take until that has noticed that
 * a server listens.
 */
const ATTEMPTS = 3;

/** The listener of the `'close'` events of the clients. */
const kOnClose = Symbol('kOnClose');

const RUNNING = 0;
const CLOSING = 1;
const CLOSED = 2;

/**
 * A WebSocket server.
 *
 * @extends EventEmitter
 */
class WebSocketServer extends EventEmitter {
  /**
   * Create a new `WebSocketServer`. Either `port`, `server` or `noServer` tells
   * where the requests come from.
   *
   * @param {Object} options Options
   * @param {Boolean} [options.allowSynchronousEvents=true] Whether several
   *     `'message'`, `'ping'` and `'pong'` events may be emitted in one tick
   * @param {Boolean} [options.autoPong=true] Whether to answer pings
   * @param {Number} [options.backlog=511] How many connections may wait to be
   *     accepted
   * @param {Boolean} [options.clientTracking=true] Whether to keep the set of
   *     clients
   * @param {Number} [options.closeTimeout=30000] How many milliseconds the
   *     closing handshake may take after `websocket.close()`
   * @param {Function} [options.handleProtocols] A function that chooses the
   *     subprotocol
   * @param {String} [options.host] The host to listen on
   * @param {Number} [options.maxBufferedChunks=262144] How many chunks of data
   *     may be buffered for a connection
   * @param {Number} [options.maxFragments=16384] How many fragments a message
   *     may have
   * @param {Number} [options.maxPayload=104857600] How many bytes a message may
   *     have
   * @param {Number} [options.maxPendingAutoPongs=60] How many answers to pings
   *     may wait to be sent
   * @param {Boolean} [options.noServer=false] Whether `handleUpgrade()` is
   *     called by the user
   * @param {String} [options.path] The only path to accept
   * @param {(Boolean|Object)} [options.perMessageDeflate=false] Whether to
   *     negotiate permessage-deflate, and its options
   * @param {Number} [options.port] The port to listen on
   * @param {(http.Server|https.Server)} [options.server] A server of the user
   * @param {Boolean} [options.skipUTF8Validation=false] Whether to trust peers
   *     that text and close reasons are UTF-8
   * @param {Function} [options.verifyClient] A function that may turn a request
   *     down
   * @param {Function} [options.WebSocket=WebSocket] The class to use, which is
   *     `WebSocket` or extends it
   * @param {Function} [callback] A listener for the `'listening'` event
   */
  constructor(options, callback) {
    super();

    options = {
      allowSynchronousEvents: true,
      autoPong: true,
      maxBufferedChunks: 256 * 1024,
      maxFragments: 16 * 1024,
      maxPayload: 100 * 1024 * 1024,
      maxPendingAutoPongs: 60,
      skipUTF8Validation: false,
      perMessageDeflate: false,
      handleProtocols: null,
      clientTracking: true,
      closeTimeout: CLOSE_TIMEOUT,
      verifyClient: null,
      noServer: false,
      backlog: null, // The default of `net.Server`.
      server: null,
      host: null,
      path: null,
      port: null,
      WebSocket,
      ...options
    };

    const hasPort = options.port != null;
    const sources = [hasPort, options.server, options.noServer];

    if (sources.filter(Boolean).length !== 1) {
      throw new TypeError(
        'One and only one of the "port", "server", or "noServer" options ' +
          'must be specified'
      );
    }

    if (hasPort) {
      this._server = http.createServer(requireUpgrade);
      this._server.listen(
        options.port,
        options.host,
        options.backlog,
        callback
      );
    } else if (options.server) {
      this._server = options.server;
    }

    if (this._server) {
      const emitConnection = this.emit.bind(this, 'connection');
      const emitListening = this.emit.bind(this, 'listening');
      const upgrade = (req, socket, head) => {
        this.handleUpgrade(req, socket, head, emitConnection);
      };
      const own = hasPort && {
        connection: this._server.rawListeners('connection')[0],
        shouldUpgradeCallback: this._server.shouldUpgradeCallback,
        upgrade
      };

      this._removeListeners = addListeners(this._server, {
        listening: hasPort
          ? () => {
              setImmediate(listenNatively, this, this._server, own, ATTEMPTS);
              emitListening();
            }
          : emitListening,
        error: this.emit.bind(this, 'error'),
        upgrade
      });
    }

    if (options.perMessageDeflate === true) options.perMessageDeflate = {};
    if (options.clientTracking) {
      this.clients = new Set();
      this._shouldEmitClose = false;
    }

    this.options = options;
    this._state = RUNNING;
  }

  /**
   * Get the address that the server is bound to: an object for an IP socket, a
   * string for a pipe or a UNIX domain socket.
   *
   * @return {(Object|String|null)} The address
   * @throws {Error} If there is no server to ask
   * @public
   */
  address() {
    if (this.options.noServer) {
      throw new Error('The server is operating in "noServer" mode');
    }

    return this._server ? this._server.address() : null;
  }

  /**
   * Stop accepting connections. `'close'` is emitted when the ones there are
   * have ended.
   *
   * @param {Function} [cb] A listener for the next `'close'` event, which gets
   *     an error if the server was closed already
   * @public
   */
  close(cb) {
    if (this._state === CLOSED) {
      if (cb) {
        this.once('close', () => {
          cb(new Error('The server is not running'));
        });
      }

      process.nextTick(emitClose, this);
      return;
    }

    if (cb) this.once('close', cb);

    if (this._state === CLOSING) return;
    this._state = CLOSING;

    const server = this._server;

    if (server) {
      this._removeListeners();
      this._removeListeners = this._server = null;
    }

    if (!this.options.noServer && !this.options.server) {
      // A server of its own. It waits for its connections, upgraded or not.
      native.unlisten(server);
      server.close(() => emitClose(this));
    } else if (this.clients && this.clients.size) {
      this._shouldEmitClose = true;
    } else {
      process.nextTick(emitClose, this);
    }
  }

  /**
   * Tell whether a request is meant for this server. Users may replace it.
   *
   * @param {http.IncomingMessage} req The request
   * @return {Boolean} `true` if it is
   * @public
   */
  shouldHandle(req) {
    const { path } = this.options;

    if (!path) return true;

    const end = req.url.indexOf('?');

    return (end === -1 ? req.url : req.url.slice(0, end)) === path;
  }

  /**
   * Handle an upgrade request.
   *
   * @param {http.IncomingMessage} req The request
   * @param {Duplex} socket The socket it came on
   * @param {Buffer} head What came after the request
   * @param {Function} cb What to call with the `WebSocket` and the request
   * @public
   */
  handleUpgrade(req, socket, head, cb) {
    socket.on('error', socketOnError);

    const key = req.headers['sec-websocket-key'];
    const version = +req.headers['sec-websocket-version'];
    const fault = findFault(req, key, version);

    if (fault) {
      rejectRequest(this, req, socket, fault);
      return;
    }

    if (!this.shouldHandle(req)) {
      abortHandshake(socket, 400);
      return;
    }

    let protocols;

    try {
      protocols = parseProtocols(req.headers['sec-websocket-protocol']);
    } catch {
      const message = 'Invalid Sec-WebSocket-Protocol header';
      rejectRequest(this, req, socket, { code: 400, message });
      return;
    }

    let extensions;

    try {
      extensions = acceptExtensions(
        req.headers['sec-websocket-extensions'],
        this.options
      );
    } catch {
      const message = 'Invalid or unacceptable Sec-WebSocket-Extensions header';
      rejectRequest(this, req, socket, { code: 400, message });
      return;
    }

    const complete = () => {
      this.completeUpgrade(extensions, key, protocols, req, socket, head, cb);
    };

    if (!this.options.verifyClient) {
      complete();
      return;
    }

    const info = {
      origin: req.headers[version === 8 ? 'sec-websocket-origin' : 'origin'],
      secure: !!(req.socket.authorized || req.socket.encrypted),
      req
    };

    // A second parameter is a callback: the answer comes through it.
    if (this.options.verifyClient.length === 2) {
      this.options.verifyClient(info, (verified, code, message, headers) => {
        if (verified) complete();
        else abortHandshake(socket, code || 401, message, headers);
      });
    } else if (this.options.verifyClient(info)) {
      complete();
    } else {
      abortHandshake(socket, 401);
    }
  }

  /**
   * Accept an upgrade request that has passed all checks.
   *
   * @param {Object} extensions The extensions that have been agreed on
   * @param {String} key The value of the `Sec-WebSocket-Key` header
   * @param {Set} protocols The subprotocols that the client offers
   * @param {http.IncomingMessage} req The request
   * @param {Duplex} socket The socket it came on
   * @param {Buffer} head What came after the request
   * @param {Function} cb What to call with the `WebSocket` and the request
   * @throws {Error} If the socket belongs to a `WebSocket` already
   * @private
   */
  completeUpgrade(extensions, key, protocols, req, socket, head, cb) {
    // The client went away while the request was being looked at.
    if (!socket.readable || !socket.writable) return socket.destroy();

    if (socket[kWebSocket]) {
      throw new Error(
        'server.handleUpgrade() was called more than once with the same ' +
          'socket, possibly due to a misconfiguration'
      );
    }

    if (this._state > RUNNING) return abortHandshake(socket, 503);

    const headers = [
      'HTTP/1.1 101 Switching Protocols',
      'Upgrade: websocket',
      'Connection: Upgrade',
      `Sec-WebSocket-Accept: ${acceptKey(String(key))}`
    ];

    // The options are read now and not when the server is created: users change
    // them while it runs.
    const { options } = this;
    const ws = new options.WebSocket(null, undefined, options);

    if (protocols.size) {
      const protocol = options.handleProtocols
        ? options.handleProtocols(protocols, req)
        : protocols.values().next().value;

      if (protocol) {
        headers.push(`Sec-WebSocket-Protocol: ${protocol}`);
        ws._protocol = protocol;
      }
    }

    const value = formatExtensions(extensions);

    if (value) {
      headers.push(`Sec-WebSocket-Extensions: ${value}`);
      ws._extensions = extensions;
    }

    // Listeners may change the list.
    this.emit('headers', headers, req);

    socket.write(headers.concat('\r\n').join('\r\n'));
    socket.removeListener('error', socketOnError);

    ws.setSocket(socket, head, readLimits(this));

    track(this, ws);
    cb(ws, req);
  }
}

module.exports = WebSocketServer;

// What the native listener leaves out while nobody has replaced it.
const { completeUpgrade, handleUpgrade, shouldHandle } =
  WebSocketServer.prototype;
const { setSocket } = originals.WebSocket;

/**
 * The `'request'` listener of a server that speaks nothing but WebSocket.
 *
 * @param {http.IncomingMessage} req The request
 * @param {http.ServerResponse} res The response
 * @private
 */
function requireUpgrade(req, res) {
  const body = http.STATUS_CODES[426];

  res.writeHead(426, {
    'Content-Length': body.length,
    'Content-Type': 'text/plain'
  });
  res.end(body);
}

/**
 * Add listeners to an `EventEmitter`.
 *
 * @param {EventEmitter} emitter The emitter
 * @param {Object.<String, Function>} listeners The listeners by event
 * @return {Function} A function that removes them again
 * @private
 */
function addListeners(emitter, listeners) {
  const entries = Object.entries(listeners);

  for (const [event, listener] of entries) emitter.on(event, listener);

  return function removeListeners() {
    for (const [event, listener] of entries) {
      emitter.removeListener(event, listener);
    }
  };
}

/**
 * Have the native listener accept connections, if the server is one that it can
 * do that for.
 *
 * @param {WebSocketServer} server The server
 * @param {http.Server} httpServer Its own HTTP server, which listens
 * @param {Object} own What this has in any case: listeners, by event, and Node's
 *     `shouldUpgradeCallback()`
 * @param {Number} attempts How often to try
 * @private
 */
function listenNatively(server, httpServer, own, attempts) {
  if (server._server !== httpServer || !canAccept(server)) return;

  const isTooEarly = native.listen(
    httpServer,
    own,
    (listener, id, head, answer) => {
      return acceptNatively(server, listener, id, head, answer);
    }
  );

  if (isTooEarly && attempts > 1) {
    setImmediate(listenNatively, server, httpServer, own, attempts - 1);
  }
}

/**
 * Tell whether upgrades need nothing of the program, so that nobody misses the
 * calls that are left out.
 *
 * @param {WebSocketServer} server The server
 * @return {Boolean} `true` if they do not
 * @private
 */
function canAccept(server) {
  const { options } = server;

  return (
    server._state === RUNNING &&
    server.emit === emit &&
    !options.verifyClient &&
    server.handleUpgrade === handleUpgrade &&
    server.completeUpgrade === completeUpgrade &&
    server.shouldHandle === shouldHandle &&
    server.listenerCount('headers') === 0 &&
    options.WebSocket.prototype.setSocket === setSocket
  );
}

/**
 * Accept a connection of the native listener, whose request is one for an
 * upgrade that nothing is wrong with.
 *
 * @param {WebSocketServer} server The server
 * @param {NativeListener} listener The listener
 * @param {Number} id The id of the connection
 * @param {String} text The head of the request
 * @param {String} answer The `Sec-WebSocket-Accept` that answers it
 * @return {Boolean} `false` if Node is to handle it
 * @private
 */
function acceptNatively(server, listener, id, text, answer) {
  if (!canAccept(server)) return false;

  const head = parseHead(text);
  if (!shouldHandle.call(server, head)) return false;

  const { length } = text;
  const accepted = accept(server, { listener, id, head, length, answer });

  if (accepted === null) return false;

  track(server, accepted.ws);
  server.emit('connection', accepted.ws, accepted.req);
  return true;
}

/**
 * Keep track of a client.
 *
 * @param {WebSocketServer} server The server
 * @param {WebSocket} ws The client
 * @private
 */
function track(server, ws) {
  if (!server.clients) return;

  if (server[kOnClose] === undefined) {
    server[kOnClose] = function () {
      server.clients.delete(this);

      if (server._shouldEmitClose && !server.clients.size) {
        process.nextTick(emitClose, server);
      }
    };
  }

  server.clients.add(ws);
  ws.on('close', server[kOnClose]);
}

/**
 * Mark a server as closed and emit the `'close'` event.
 *
 * @param {WebSocketServer} server The server
 * @private
 */
function emitClose(server) {
  server._state = CLOSED;
  server.emit('close');
}

/**
 * The listener of the `'error'` event of a socket during the handshake.
 *
 * @private
 */
function socketOnError() {
  this.destroy();
}
