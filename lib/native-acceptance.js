'use strict';

const native = require('./native');
const {
  acceptExtensions,
  formatExtensions,
  parseProtocols,
  readLimits
} = require('./server-handshake');
const { upgradeRequest } = require('./upgrade-request');

// The beginning of the response, up to the value of the last field.
const RESPONSE =
  'HTTP/1.1 101 Switching Protocols\r\n' +
  'Upgrade: websocket\r\n' +
  'Connection: Upgrade\r\n' +
  'Sec-WebSocket-Accept: ';

const END = '\r\n\r\n';

const PROTOCOL_FIELD = 'sec-websocket-protocol';
const EXTENSIONS_FIELD = 'sec-websocket-extensions';

module.exports = { accept };

/**
 * Accept a request that the native listener has taken, which is one for an
 * upgrade that nothing is wrong with, without Node's HTTP server.
 *
 * @param {WebSocketServer} server The server
 * @param {Object} request The request
 * @param {NativeListener} request.listener The listener
 * @param {Number} request.id The id of the connection
 * @param {Object} request.head The head, parsed
 * @param {Number} request.length Its length in bytes
 * @param {String} request.answer The `Sec-WebSocket-Accept` that answers it
 * @return {(Object|null)} The `WebSocket` and the request that listeners get;
 *     `null` if Node is to handle it
 * @public
 */
function accept(server, { listener, id, head, length, answer }) {
  const { options } = server;
  const protocolHeader = readField(head, PROTOCOL_FIELD);
  let protocol = '';
  let extensions = null;

  if (protocolHeader !== undefined && options.handleProtocols) return null;

  // The request is well-formed, but what it asks for may not be.
  try {
    if (protocolHeader !== undefined) {
      [protocol] = parseProtocols(protocolHeader);
    }

    if (options.perMessageDeflate) {
      extensions = acceptExtensions(readField(head, EXTENSIONS_FIELD), options);
    }
  } catch {
    return null;
  }

  const ws = new options.WebSocket(null, undefined, options);
  const req = upgradeRequest(head, ws);
  const response = [RESPONSE, answer];

  if (protocol) {
    ws._protocol = protocol;
    response.push(`\r\nSec-WebSocket-Protocol: ${protocol}`);
  }

  const value = extensions === null ? '' : formatExtensions(extensions);

  if (value) {
    ws._extensions = extensions;
    response.push(`\r\nSec-WebSocket-Extensions: ${value}`);
  }

  response.push(END);

  native.open(
    ws,
    { listener, id, received: length },
    response,
    readLimits(server)
  );

  return { ws, req };
}

/**
 * Read a field of a head that has it once at the most.
 *
 * @param {Object} head The head
 * @param {String[]} head.fields The names and values, by turns
 * @param {String} name The name in lower case
 * @return {(String|undefined)} The value, if there is one
 * @private
 */
function readField({ fields }, name) {
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i].length === name.length && fields[i].toLowerCase() === name) {
      return fields[i + 1];
    }
  }
}
