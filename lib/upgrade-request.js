'use strict';

const { IncomingMessage } = require('http');

const isSpace = require('./is-space');

/** The `WebSocket` that a request led to. */
const kOrigin = Symbol('kOrigin');

/**
 * Describes a property whose value is the socket. That is made when it is looked
 * at: most programs do not.
 *
 * @param {String} name The name of the property
 * @return {Object} The descriptor
 * @private
 */
function describe(name) {
  return {
    configurable: true,
    enumerable: true,
    get() {
      const origin = this[kOrigin];

      return origin === undefined ? undefined : origin._socket;
    },
    set(value) {
      //
      // Node's constructor has no socket to set yet.
      //
      if (this[kOrigin] === undefined) return;

      Object.defineProperty(this, name, {
        configurable: true,
        enumerable: true,
        value,
        writable: true
      });
    }
  };
}

const socket = describe('socket');
const client = describe('client');

/**
 * Makes an `IncomingMessage` that has these properties and no others yet. An
 * object that comes from a constructor has room for many, and properties that are
 * defined one by one take half the time that they take together.
 *
 * @constructor
 * @private
 */
function Request() {
  Object.defineProperty(this, 'socket', socket);
  Object.defineProperty(this, 'client', client);
}

Request.prototype = IncomingMessage.prototype;

/**
 * Makes the request of a connection that the native listener has accepted. It is
 * what Node's HTTP server would have made of the same bytes.
 *
 * @param {Object} head What `parseHead()` gives
 * @param {WebSocket} websocket The `WebSocket` that it led to
 * @return {http.IncomingMessage} The request
 * @public
 */
function upgradeRequest({ method, url, fields }, websocket) {
  const request = new Request();

  IncomingMessage.call(request);
  Object.defineProperty(request, kOrigin, { value: websocket });

  request.httpVersionMajor = 1;
  request.httpVersionMinor = 1;
  request.httpVersion = '1.1';
  request.joinDuplicateHeaders = null;
  request.url = url;
  request.method = method;
  request.upgrade = true;
  request.parser = null;
  request._addHeaderLines(fields, fields.length);

  //
  // The message is complete: a request of this kind has no body.
  //
  request.complete = true;
  request.push(null);
  return request;
}

/**
 * Parses the head of a request, which is well-formed.
 *
 * @param {String} text The head
 * @return {Object} The method, the URL and the header fields, names and values
 *     by turns
 * @public
 */
function parseHead(text) {
  const url = text.indexOf(' ') + 1;
  const fields = [];
  let start = text.indexOf('\r\n') + 2;

  for (;;) {
    const end = text.indexOf('\r\n', start);

    if (end <= start) break;

    const colon = text.indexOf(':', start);
    let from = colon + 1;
    let to = end;

    while (isSpace(text.charCodeAt(from)) && from < to) from++;
    while (isSpace(text.charCodeAt(to - 1)) && from < to) to--;

    fields.push(text.slice(start, colon), text.slice(from, to));
    start = end + 2;
  }

  return {
    method: text.slice(0, url - 1),
    url: text.slice(url, text.indexOf(' ', url)),
    fields
  };
}

module.exports = { parseHead, upgradeRequest };
