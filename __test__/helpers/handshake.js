'use strict';

const { createHash } = require('crypto');

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';

/**
 * Computes the value of the `Sec-WebSocket-Accept` header.
 *
 * @param {String} key The value of the `Sec-WebSocket-Key` header
 * @return {String} The value
 * @public
 */
function acceptKey(key) {
  return createHash('sha1')
    .update(key + GUID)
    .digest('base64');
}

/**
 * Makes the head of a request or of a response.
 *
 * @param {String} line The first line
 * @param {Object} headers The headers; those that are `undefined` are left out,
 *     and those that are arrays repeated
 * @return {String} The head
 * @public
 */
function formatHead(line, headers) {
  const lines = [line];

  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined) continue;
    for (const item of [].concat(value)) lines.push(`${name}: ${item}`);
  }

  return `${lines.join('\r\n')}\r\n\r\n`;
}

/**
 * Makes the head of an upgrade request.
 *
 * @param {Object} [options] What differs from a good request
 * @param {String} [options.method=GET] The method
 * @param {String} [options.path=/] The path
 * @param {String} [options.line] The request line, in place of these two
 * @param {Object} [options.headers] The headers to add, replace or (when
 *     `undefined`) leave out
 * @return {String} The head
 * @public
 */
function upgradeRequest({
  method = 'GET',
  path = '/',
  line = `${method} ${path} HTTP/1.1`,
  headers
} = {}) {
  return formatHead(line, {
    Host: 'localhost',
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Key': KEY,
    'Sec-WebSocket-Version': '13',
    ...headers
  });
}

/**
 * Makes the head of the response that accepts an upgrade request.
 *
 * @param {String} head The head of the request
 * @param {Object} [headers] The headers to add, replace or (when `undefined`)
 *     leave out
 * @param {String} [line] The status line
 * @return {String} The head
 * @public
 */
function acceptUpgrade(
  head,
  headers,
  line = 'HTTP/1.1 101 Switching Protocols'
) {
  const [, key] = /^sec-websocket-key: (.*)\r$/im.exec(head);

  return formatHead(line, {
    Upgrade: 'websocket',
    Connection: 'Upgrade',
    'Sec-WebSocket-Accept': acceptKey(key),
    ...headers
  });
}

module.exports = { KEY, acceptKey, acceptUpgrade, upgradeRequest };
