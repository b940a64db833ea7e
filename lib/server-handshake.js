'use strict';

const http = require('http');

const extension = require('./extension');
const PerMessageDeflate = require('./permessage-deflate');
const subprotocol = require('./subprotocol');

// The base64 form of 16 bytes (RFC 6455, 4.2.1).
const KEY_REGEX = /^[+/0-9A-Za-z]{22}==$/;

/** Of a server: the options of its connections. */
const kLimits = Symbol('kLimits');

module.exports = {
  abortHandshake,
  acceptExtensions,
  findFault,
  formatExtensions,
  parseProtocols,
  readLimits,
  rejectRequest
};

/**
 * Look for what is wrong with a request (RFC 6455, 4.2.1).
 *
 * @param {http.IncomingMessage} req The request
 * @param {(String|undefined)} key The value of the `Sec-WebSocket-Key` header
 * @param {Number} version The value of the `Sec-WebSocket-Version` header
 * @return {(Object|null)} What to answer, `null` if nothing is wrong
 * @public
 */
function findFault(req, key, version) {
  const { upgrade } = req.headers;

  if (req.method !== 'GET') {
    return { code: 405, message: 'Invalid HTTP method' };
  }

  if (upgrade === undefined || upgrade.toLowerCase() !== 'websocket') {
    return { code: 400, message: 'Invalid Upgrade header' };
  }

  if (key === undefined || !KEY_REGEX.test(key)) {
    return {
      code: 400,
      message: 'Missing or invalid Sec-WebSocket-Key header'
    };
  }

  if (version !== 13 && version !== 8) {
    return {
      code: 400,
      message: 'Missing or invalid Sec-WebSocket-Version header',
      headers: { 'Sec-WebSocket-Version': '13, 8' }
    };
  }

  return null;
}

/**
 * Get the subprotocols that a request offers.
 *
 * @param {String} [header] The value of the header
 * @return {Set} The subprotocols
 * @throws {SyntaxError} If the syntax is wrong
 * @public
 */
function parseProtocols(header) {
  return header === undefined ? new Set() : subprotocol.parse(header);
}

/**
 * Accept what a request offers of the extensions that the server has.
 *
 * @param {(String|undefined)} header The value of the header
 * @param {Object} options The options of the server
 * @return {Object} The extensions by name
 * @throws {Error} If the syntax is wrong or no offer is acceptable
 * @public
 */
function acceptExtensions(header, { maxPayload, perMessageDeflate: options }) {
  const extensions = {};

  if (!options || header === undefined) return extensions;

  const name = PerMessageDeflate.extensionName;
  const perMessageDeflate = new PerMessageDeflate({
    ...options,
    isServer: true,
    maxPayload
  });
  const offers = extension.parse(header);

  if (offers[name]) {
    perMessageDeflate.accept(offers[name]);
    extensions[name] = perMessageDeflate;
  }

  return extensions;
}

/**
 * Format the extensions that have been accepted.
 *
 * @param {Object} extensions The extensions by name
 * @return {String} The value of the header; empty if there are none
 * @public
 */
function formatExtensions(extensions) {
  const name = PerMessageDeflate.extensionName;

  return extensions[name]
    ? extension.format({ [name]: [extensions[name].params] })
    : '';
}

/**
 * Read the options that a connection has from its server. Connections share them
 * while they do not change.
 *
 * @param {WebSocketServer} server The server
 * @return {Object} The options
 * @public
 */
function readLimits(server) {
  const { [kLimits]: limits, options } = server;

  if (
    limits === undefined ||
    limits.allowSynchronousEvents !== options.allowSynchronousEvents ||
    limits.maxBufferedChunks !== options.maxBufferedChunks ||
    limits.maxFragments !== options.maxFragments ||
    limits.maxPayload !== options.maxPayload ||
    limits.skipUTF8Validation !== options.skipUTF8Validation
  ) {
    server[kLimits] = {
      allowSynchronousEvents: options.allowSynchronousEvents,
      maxBufferedChunks: options.maxBufferedChunks,
      maxFragments: options.maxFragments,
      maxPayload: options.maxPayload,
      skipUTF8Validation: options.skipUTF8Validation
    };
  }

  return server[kLimits];
}

/**
 * Answer a request with an error and close the connection.
 *
 * @param {Duplex} socket The socket the request came on
 * @param {Number} code The status code
 * @param {String} [message] The body
 * @param {Object} [headers] Further headers
 * @public
 */
function abortHandshake(socket, code, message, headers) {
  const reason = http.STATUS_CODES[code];
  const body = message || reason;
  const fields = {
    Connection: 'close',
    'Content-Type': 'text/html',
    'Content-Length': Buffer.byteLength(body),
    ...headers
  };

  const lines = [
    `HTTP/1.1 ${code} ${reason}`,
    ...Object.keys(fields).map((name) => `${name}: ${fields[name]}`),
    '',
    body
  ];

  // The client may keep its side open for as long as it likes. If the user has
  // ended the socket before, `end()` fails and the error destroys it.
  socket.once('finish', socket.destroy);
  socket.end(lines.join('\r\n'));
}

/**
 * Turn a faulty request down. With a listener for `'wsClientError'` that is the
 * task of the user.
 *
 * @param {WebSocketServer} server The server
 * @param {http.IncomingMessage} req The request
 * @param {Duplex} socket The socket it came on
 * @param {Object} fault What is wrong
 * @param {Number} fault.code The status code
 * @param {String} fault.message The body
 * @param {Object} [fault.headers] Further headers
 * @public
 */
function rejectRequest(server, req, socket, { code, message, headers }) {
  if (server.listenerCount('wsClientError') === 0) {
    abortHandshake(socket, code, message, headers);
    return;
  }

  const err = new Error(message);

  Error.captureStackTrace(err, rejectRequest);
  server.emit('wsClientError', err, socket, req);
}
