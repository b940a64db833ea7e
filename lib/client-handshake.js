'use strict';

const https = require('https');
const http = require('http');
const net = require('net');
const querystring = require('querystring');
const tls = require('tls');
const { randomBytes } = require('crypto');
const { URL } = require('url');

const PerMessageDeflate = require('./permessage-deflate');
const { CLOSE_TIMEOUT } = require('./constants');
const { CLOSING, CONNECTING } = require('./ready-states');
const { acceptKey } = require('./binding');
const { format, parse } = require('./extension');
const { remember } = require('./handle-scope');

const kAborted = Symbol('kAborted');
const PROTOCOL_VERSIONS = [8, 13];
const TOKEN_REGEX = /^[!#$%&'*+\-.0-9A-Z^_`|a-z~]+$/;

/**
 * The opening handshake of a client: one HTTP request, and what comes back. A
 * redirect starts another one for the same `WebSocket`.
 */
class ClientHandshake {
  /**
   * Create a new `ClientHandshake`.
   *
   * @param {WebSocket} websocket The client
   * @param {(String|URL)} address The URL to connect to
   * @param {Array} protocols The subprotocols to offer
   * @param {Object} [options] The options of the user
   */
  constructor(websocket, address, protocols, options) {
    this.websocket = websocket;
    this.address = address;
    this.protocols = protocols;
    this.options = options;
    this.settings = resolveOptions(options);

    this.key = null;
    this.perMessageDeflate = null;
    this.protocolSet = null;
    this.req = null;
    this.url = null;
  }

  /**
   * Send the request.
   *
   * @return {(Object|undefined)} The options with the defaults filled in, which
   *     are at the same time those of the request; `undefined` if a redirect
   *     has led to a URL that can't be used
   * @throws {(RangeError|SyntaxError)} If an argument is invalid
   * @public
   */
  start() {
    const { settings, websocket } = this;

    if (!PROTOCOL_VERSIONS.includes(settings.protocolVersion)) {
      throw new RangeError(
        `Unsupported protocol version: ${settings.protocolVersion} ` +
          `(supported versions: ${PROTOCOL_VERSIONS.join(', ')})`
      );
    }

    this.url = parseAddress(this.address);
    websocket._url = this.url.href;

    const fault = findUrlFault(this.url);

    if (fault !== null) {
      const err = new SyntaxError(fault);

      if (websocket._redirects === 0) throw err;

      // Nobody is there any more to catch it.
      emitErrorAndClose(websocket, err);
      return undefined;
    }

    this.prepareRequest();
    this.sendRequest();

    return settings;
  }

  /**
   * Turn the settings into the options of the request.
   *
   * @throws {SyntaxError} If a subprotocol is invalid
   * @private
   */
  prepareRequest() {
    const { protocols, settings, url } = this;
    const isSecure = url.protocol === 'wss:';
    const defaultPort = isSecure ? 443 : 80;

    this.key = randomBytes(16).toString('base64');

    settings.createConnection =
      settings.createConnection || (isSecure ? tlsConnect : netConnect);
    settings.defaultPort = settings.defaultPort || defaultPort;
    settings.port = url.port || defaultPort;
    settings.host = url.hostname.startsWith('[')
      ? url.hostname.slice(1, -1)
      : url.hostname;
    settings.headers = {
      ...settings.headers,
      'Sec-WebSocket-Version': settings.protocolVersion,
      'Sec-WebSocket-Key': this.key,
      Connection: 'Upgrade',
      Upgrade: 'websocket'
    };
    settings.path = url.pathname + url.search;
    settings.timeout = settings.handshakeTimeout;

    if (settings.perMessageDeflate) {
      this.perMessageDeflate = new PerMessageDeflate({
        ...settings.perMessageDeflate,
        isServer: false,
        maxPayload: settings.maxPayload
      });
      settings.headers['Sec-WebSocket-Extensions'] = format({
        [PerMessageDeflate.extensionName]: this.perMessageDeflate.offer()
      });
    }

    this.protocolSet = toProtocolSet(protocols);

    if (protocols.length) {
      settings.headers['Sec-WebSocket-Protocol'] = protocols.join(',');
    }

    if (settings.origin) {
      // The name of the header changed when the draft became the RFC.
      const name =
        settings.protocolVersion < 13 ? 'Sec-WebSocket-Origin' : 'Origin';

      settings.headers[name] = settings.origin;
    }

    if (url.username || url.password) {
      const username = querystring.unescape(url.username);
      const password = querystring.unescape(url.password);

      settings.auth = `${username}:${password}`;
    }

    if (isIpc(url)) {
      // The path of the socket and that of the request, with a colon between.
      const { path } = settings;
      const colon = path.indexOf(':');

      settings.socketPath = colon === -1 ? path : path.slice(0, colon);
      settings.path = colon === -1 ? '' : path.slice(colon + 1);
    }
  }

  /**
   * Make the request and send it.
   *
   * @private
   */
  sendRequest() {
    const { settings, websocket } = this;
    const { request } = this.url.protocol === 'wss:' ? https : http;

    if (settings.followRedirects) this.guardCredentials();

    const req = (this.req = websocket._req = request(settings));

    // A listener may close the `WebSocket`. That is not looked at here, as it
    // may destroy the request with an error first, and then something has to
    // listen for this error.
    if (settings.followRedirects && websocket._redirects) {
      websocket.emit('redirect', websocket.url, req);
    }

    if (settings.timeout) {
      req.on('timeout', () => {
        abortHandshake(websocket, this.req, 'Opening handshake has timed out');
      });
    }

    req.on('error', (err) => this.onError(err));
    req.on('response', (res) => this.onResponse(res));
    req.on('upgrade', (res, socket, head) => this.onUpgrade(res, socket, head));

    // The error has the name of the object if this is no function.
    const opts = settings;

    if (opts.finishRequest) opts.finishRequest(req, websocket);
    else req.end();
  }

  /**
   * See that credentials meant for one host do not reach another one through a
   * redirect. Like curl, this takes a subdomain for another host. A user who
   * listens for `'redirect'` is in charge.
   *
   * @private
   */
  guardCredentials() {
    const { settings, url, websocket } = this;
    const isIpcUrl = isIpc(url);
    const isSecure = url.protocol === 'wss:';
    const hostOrSocketPath = isIpcUrl ? settings.socketPath : url.host;

    if (websocket._redirects === 0) {
      websocket._originalIpc = isIpcUrl;
      websocket._originalSecure = isSecure;
      websocket._originalHostOrSocketPath = hostOrSocketPath;

      // The next requests start from these options. They are changed below, so
      // they must not be the objects of the user.
      const headers = {};

      for (const [name, value] of Object.entries(this.options.headers || {})) {
        headers[name.toLowerCase()] = value;
      }

      this.options = { ...this.options, headers };
    } else if (websocket.listenerCount('redirect') === 0) {
      const isSameHost =
        isIpcUrl === websocket._originalIpc &&
        hostOrSocketPath === websocket._originalHostOrSocketPath;

      if (!isSameHost || (websocket._originalSecure && !isSecure)) {
        delete settings.headers.authorization;
        delete settings.headers.cookie;

        if (!isSameHost) delete settings.headers.host;

        settings.auth = undefined;
      }
    }

    // The first credentials of a chain of redirects win. A header that is set
    // takes precedence over `auth` in the request.
    if (settings.auth && !this.options.headers.authorization) {
      const credentials = Buffer.from(settings.auth).toString('base64');

      this.options.headers.authorization = `Basic ${credentials}`;
    }
  }

  /**
   * The listener of the `'error'` event of the request.
   *
   * @param {Error} err The error
   * @private
   */
  onError(err) {
    if (this.req === null || this.req[kAborted]) return;

    this.req = this.websocket._req = null;
    emitErrorAndClose(this.websocket, err);
  }

  /**
   * The listener of the `'response'` event of the request: the server does not
   * upgrade.
   *
   * @param {http.IncomingMessage} res The response
   * @private
   */
  onResponse(res) {
    const { req, settings, websocket } = this;
    const { location } = res.headers;
    const { statusCode } = res;

    if (
      location &&
      settings.followRedirects &&
      statusCode >= 300 &&
      statusCode < 400
    ) {
      this.followRedirect(location);
    } else if (!websocket.emit('unexpected-response', req, res)) {
      abortHandshake(
        websocket,
        req,
        `Unexpected server response: ${res.statusCode}`
      );
    }
  }

  /**
   * Start over with another URL.
   *
   * @param {String} location The URL, which may be relative
   * @private
   */
  followRedirect(location) {
    const { address, options, protocols, req, settings, websocket } = this;

    if (++websocket._redirects > settings.maxRedirects) {
      abortHandshake(websocket, req, 'Maximum redirects exceeded');
      return;
    }

    req.abort();

    let target;

    try {
      target = new URL(location, address);
    } catch {
      const err = new SyntaxError(`Invalid URL: ${location}`);

      emitErrorAndClose(websocket, err);
      return;
    }

    connect(websocket, target, protocols, options);
  }

  /**
   * The listener of the `'upgrade'` event of the request.
   *
   * @param {http.IncomingMessage} res The response
   * @param {Duplex} socket The socket
   * @param {Buffer} head What came after the response
   * @private
   */
  onUpgrade(res, socket, head) {
    const { settings, websocket } = this;

    websocket.emit('upgrade', res);

    // A listener may have closed the connection.
    if (websocket.readyState !== CONNECTING) return;

    this.req = websocket._req = null;

    const fault =
      this.checkAccept(res.headers) ||
      this.acceptProtocol(res.headers) ||
      this.acceptExtensions(res.headers);

    if (fault) {
      abortHandshake(websocket, socket, fault);
      return;
    }

    websocket.setSocket(socket, head, {
      allowSynchronousEvents: settings.allowSynchronousEvents,
      generateMask: settings.generateMask,
      maxBufferedChunks: settings.maxBufferedChunks,
      maxFragments: settings.maxFragments,
      maxPayload: settings.maxPayload,
      skipUTF8Validation: settings.skipUTF8Validation
    });
  }

  /**
   * Check that it is a WebSocket server that has answered, and this request
   * (RFC 6455, 4.1).
   *
   * @param {Object} headers The headers of the response
   * @return {(String|null)} What is wrong
   * @private
   */
  checkAccept(headers) {
    const { upgrade } = headers;

    if (upgrade === undefined || upgrade.toLowerCase() !== 'websocket') {
      return 'Invalid Upgrade header';
    }

    return headers['sec-websocket-accept'] === acceptKey(this.key)
      ? null
      : 'Invalid Sec-WebSocket-Accept header';
  }

  /**
   * Take over the subprotocol that the server has chosen.
   *
   * @param {Object} headers The headers of the response
   * @return {(String|null)} What is wrong
   * @private
   */
  acceptProtocol(headers) {
    const { protocolSet } = this;
    const protocol = headers['sec-websocket-protocol'];

    if (protocol === undefined) {
      return protocolSet.size ? 'Server sent no subprotocol' : null;
    }

    if (!protocolSet.size) {
      return 'Server sent a subprotocol but none was requested';
    }

    if (!protocolSet.has(protocol)) {
      return 'Server sent an invalid subprotocol';
    }

    this.websocket._protocol = protocol;
    return null;
  }

  /**
   * Take over the extensions that the server has chosen.
   *
   * @param {Object} headers The headers of the response
   * @return {(String|null)} What is wrong
   * @private
   */
  acceptExtensions(headers) {
    const header = headers['sec-websocket-extensions'];

    if (header === undefined) return null;

    if (!this.perMessageDeflate) {
      return (
        'Server sent a Sec-WebSocket-Extensions header but no extension was ' +
        'requested'
      );
    }

    const name = PerMessageDeflate.extensionName;

    try {
      const extensions = parse(header);
      const names = Object.keys(extensions);

      if (names.length !== 1 || names[0] !== name) {
        return 'Server indicated an extension that was not requested';
      }

      this.perMessageDeflate.accept(extensions[name]);
    } catch {
      return 'Invalid Sec-WebSocket-Extensions header';
    }

    this.websocket._extensions[name] = this.perMessageDeflate;
    return null;
  }
}

module.exports = { abortHandshake, connect };

/**
 * Connect a client to a server.
 *
 * @param {WebSocket} websocket The client
 * @param {(String|URL)} address The URL to connect to
 * @param {Array} protocols The subprotocols to offer
 * @param {Object} [options] Options, besides those of `http.request()`
 * @param {Boolean} [options.allowSynchronousEvents=true] Whether several
 *     `'message'`, `'ping'` and `'pong'` events may be emitted in one tick
 * @param {Boolean} [options.autoPong=true] Whether to answer pings
 * @param {Number} [options.closeTimeout=30000] How many milliseconds the
 *     closing handshake may take after `websocket.close()`
 * @param {Function} [options.finishRequest] A function that gets each request
 *     to complete and send it
 * @param {Boolean} [options.followRedirects=false] Whether to follow redirects
 * @param {Function} [options.generateMask] A function that makes the masking
 *     keys
 * @param {Number} [options.handshakeTimeout] How many milliseconds the request
 *     may take
 * @param {Number} [options.maxBufferedChunks=262144] How many chunks of data
 *     may be buffered
 * @param {Number} [options.maxFragments=16384] How many fragments a message
 *     may have
 * @param {Number} [options.maxPayload=104857600] How many bytes a message may
 *     have
 * @param {Number} [options.maxPendingAutoPongs=60] How many answers to pings
 *     may wait to be sent
 * @param {Number} [options.maxRedirects=10] How many redirects to follow
 * @param {String} [options.origin] The value of the `Origin` header
 * @param {(Boolean|Object)} [options.perMessageDeflate=true] Whether to offer
 *     permessage-deflate, and its options
 * @param {Number} [options.protocolVersion=13] The version of the protocol
 * @param {Boolean} [options.skipUTF8Validation=false] Whether to trust the peer
 *     that text and close reasons are UTF-8
 * @return {Object} The options with the defaults filled in
 * @throws {(RangeError|SyntaxError)} If an argument is invalid
 * @public
 */
function connect(websocket, address, protocols, options) {
  return new ClientHandshake(websocket, address, protocols, options).start();
}

/**
 * Give up the opening handshake. The error is emitted later: whoever calls
 * `close()` or `terminate()` does not expect it to come back while it runs.
 *
 * @param {WebSocket} websocket The client
 * @param {(http.ClientRequest|Duplex)} stream The request, or the socket once
 *     there is one
 * @param {String} message The message of the error
 * @public
 */
function abortHandshake(websocket, stream, message) {
  websocket._readyState = CLOSING;

  const err = new Error(message);

  Error.captureStackTrace(err, abortHandshake);

  // Only a request has headers to set.
  if (!stream.setHeader) {
    stream.destroy(err);
    stream.once('error', (err) => websocket.emit('error', err));
    stream.once('close', () => websocket.emitClose());
    return;
  }

  stream[kAborted] = true;
  stream.abort();

  // A request that has got its response is done: aborting it leaves the socket
  // alone.
  if (stream.socket && !stream.socket.destroyed) stream.socket.destroy();

  process.nextTick(emitErrorAndClose, websocket, err);
}

/**
 * Emit `'error'` and `'close'` on a client that never got a socket.
 *
 * @param {WebSocket} websocket The client
 * @param {Error} err The error
 * @private
 */
function emitErrorAndClose(websocket, err) {
  websocket._readyState = CLOSING;
  websocket._errorEmitted = true;
  websocket.emit('error', err);
  websocket.emitClose();
}

/**
 * Fill in the defaults. What the URL determines can't be set by the user.
 *
 * @param {Object} [options] The options of the user
 * @return {Object} A new object
 * @private
 */
function resolveOptions(options) {
  return {
    allowSynchronousEvents: true,
    autoPong: true,
    closeTimeout: CLOSE_TIMEOUT,
    protocolVersion: 13,
    maxBufferedChunks: 256 * 1024,
    maxFragments: 16 * 1024,
    maxPayload: 100 * 1024 * 1024,
    maxPendingAutoPongs: 60,
    skipUTF8Validation: false,
    perMessageDeflate: true,
    followRedirects: false,
    maxRedirects: 10,
    ...options,
    socketPath: undefined,
    hostname: undefined,
    protocol: undefined,
    protocols: undefined,
    timeout: undefined,
    method: 'GET',
    host: undefined,
    path: undefined,
    port: undefined
  };
}

/**
 * Parse the address that a user, or a redirect, has given.
 *
 * @param {(String|URL)} address The address
 * @return {URL} The URL, where `http:` and `https:` are replaced
 * @throws {SyntaxError} If it is not a URL
 * @private
 */
function parseAddress(address) {
  let url = address;

  if (!(address instanceof URL)) {
    try {
      url = new URL(address);
    } catch {
      throw new SyntaxError(`Invalid URL: ${address}`);
    }
  }

  if (url.protocol === 'http:' || url.protocol === 'https:') {
    // The object may be the user's.
    url = new URL(url);
    url.protocol = url.protocol === 'http:' ? 'ws:' : 'wss:';
  }

  return url;
}

/**
 * Look for what is wrong with a URL (RFC 6455, 3).
 *
 * @param {URL} url The URL
 * @return {(String|null)} What is wrong
 * @private
 */
function findUrlFault(url) {
  if (!['ws:', 'wss:', 'ws+unix:'].includes(url.protocol)) {
    return (
      'The URL\'s protocol must be one of "ws:", "wss:", "http:", "https:", ' +
      'or "ws+unix:"'
    );
  }

  if (isIpc(url) && !url.pathname) return "The URL's pathname is empty";
  if (url.hash) return 'The URL contains a fragment identifier';

  return null;
}

/**
 * Tell whether a URL leads to a UNIX domain socket or a pipe.
 *
 * @param {URL} url The URL
 * @return {Boolean} `true` if it does
 * @private
 */
function isIpc(url) {
  return url.protocol === 'ws+unix:';
}

/**
 * Check the subprotocols that a user wants to offer.
 *
 * @param {Array} protocols The subprotocols
 * @return {Set} The subprotocols
 * @throws {SyntaxError} If one is not a token or occurs twice
 * @private
 */
function toProtocolSet(protocols) {
  const seen = new Set();

  for (const protocol of protocols) {
    if (
      typeof protocol !== 'string' ||
      !TOKEN_REGEX.test(protocol) ||
      seen.has(protocol)
    ) {
      throw new SyntaxError(
        'An invalid or duplicated subprotocol was specified'
      );
    }

    seen.add(protocol);
  }

  return seen;
}

/**
 * Connect to a TCP port or a UNIX domain socket.
 *
 * @param {Object} options The options of the request
 * @return {net.Socket} The socket
 * @private
 */
function netConnect(options) {
  // For a request this is the path of the URL, for a socket that of a file.
  options.path = options.socketPath;
  return remember(net.connect(options));
}

/**
 * Connect to a TCP port and set up TLS.
 *
 * @param {Object} options The options of the request
 * @return {tls.TLSSocket} The socket
 * @private
 */
function tlsConnect(options) {
  options.path = undefined;

  // An empty name turns the server name indication off. That is for names, not
  // for addresses (RFC 6066, 3).
  if (!options.servername && options.servername !== '') {
    options.servername = net.isIP(options.host) ? '' : options.host;
  }

  return tls.connect(options);
}
