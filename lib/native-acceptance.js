'use strict';

const native = require('./native');
const upgradeRequest = require('./upgrade-request');
const {
  acceptExtensions,
  formatExtensions,
  parseProtocols,
  readLimits
} = require('./server-handshake');

// The beginning of the response, up to the value of the last field.
const RESPONSE =
  'HTTP/1.1 101 Switching Protocols\r\n' +
  'Upgrade: websocket\r\n' +
  'Connection: Upgrade\r\n' +
  'Sec-WebSocket-Accept: ';

const PROTOCOL_FIELD = /\r\nsec-websocket-protocol:[ \t]*(.*?)[ \t]*\r\n/i;
const EXTENSIONS_FIELD = /\r\nsec-websocket-extensions:[ \t]*(.*?)[ \t]*\r\n/i;

module.exports = { accept, readUrl };

/**
 * Accept a request that the native listener has taken, which is one for an
 * upgrade that nothing is wrong with, without Node's HTTP server.
 *
 * @param {WebSocketServer} server The server
 * @param {Object} request The request
 * @param {NativeListener} request.listener The listener
 * @param {Number} request.id The id of the connection
 * @param {String} request.head The head
 * @param {String} request.answer The `Sec-WebSocket-Accept` that answers it
 * @return {(Object|null)} The `WebSocket` and the request that listeners get;
 *     `null` if Node is to handle it
 * @public
 */
function accept(server, { listener, id, head, answer }) {
  const { options } = server;
  let protocols;
  let extensions;

  // The request is well-formed, but what it asks for may not be.
  try {
    protocols = parseProtocols(readField(head, PROTOCOL_FIELD));
    extensions = options.perMessageDeflate
      ? acceptExtensions(readField(head, EXTENSIONS_FIELD), options)
      : {};
  } catch {
    return null;
  }

  if (protocols.size && options.handleProtocols) return null;

  const ws = new options.WebSocket(null, undefined, options);
  const req = upgradeRequest(head, ws);
  let fields = '';

  if (protocols.size) {
    ws._protocol = protocols.values().next().value;
    fields += `\r\nSec-WebSocket-Protocol: ${ws._protocol}`;
  }

  const value = formatExtensions(extensions);

  if (value) {
    fields += `\r\nSec-WebSocket-Extensions: ${value}`;
    ws._extensions = extensions;
  }

  native.open(
    ws,
    { listener, id, received: head.length },
    [`${RESPONSE}${answer}${fields}\r\n\r\n`],
    readLimits(server)
  );

  return { ws, req };
}

/**
 * Read a field of a head that has it once at the most.
 *
 * @param {String} head The head
 * @param {RegExp} field The field
 * @return {(String|undefined)} Its value, if it is there
 * @private
 */
function readField(head, field) {
  const match = field.exec(head);

  return match === null ? undefined : match[1];
}

/**
 * Read what a request is for.
 *
 * @param {String} head The head
 * @return {String} The target
 * @public
 */
function readUrl(head) {
  const start = head.indexOf(' ') + 1;

  return head.slice(start, head.indexOf(' ', start));
}
