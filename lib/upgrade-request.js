'use strict';

const { IncomingMessage } = require('http');

/**
 * What an object was returned by is made a part of, so that fields can be added
 * to it that only this file sees.
 */
class Returned {
  /**
   * Returns an object.
   *
   * @param {Object} object The object
   */
  constructor(object) {
    return object;
  }
}

/**
 * Where the socket of a request is found.
 */
class Origin extends Returned {
  #websocket;

  /**
   * Gives a request its origin.
   *
   * @param {http.IncomingMessage} request The request
   * @param {WebSocket} websocket The `WebSocket` that it led to
   */
  constructor(request, websocket) {
    super(request);
    this.#websocket = websocket;
  }

  /**
   * Finds the socket of a request.
   *
   * @param {http.IncomingMessage} request The request, or what inherits from it
   * @return {(net.Socket|undefined)} The socket, if it is known yet
   */
  static socketOf(request) {
    for (let o = request; o !== null; o = Object.getPrototypeOf(o)) {
      if (#websocket in o) return o.#websocket._socket;
    }
  }

  /**
   * Whether a request has got its origin.
   *
   * @param {http.IncomingMessage} request The request
   * @return {Boolean} `true` if it has
   */
  static isKnown(request) {
    return #websocket in request;
  }
}

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
      return Origin.socketOf(this);
    },
    set(value) {
      //
      // Node's constructor has no socket to set yet.
      //
      if (Object.hasOwn(this, name) && !Origin.isKnown(this)) return;

      Object.defineProperty(this, name, {
        configurable: true,
        enumerable: true,
        value,
        writable: true
      });
    }
  };
}

const properties = { socket: describe('socket'), client: describe('client') };

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
  const request = Object.create(IncomingMessage.prototype, properties);

  IncomingMessage.call(request);
  new Origin(request, websocket);

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

    fields.push(text.slice(start, colon), text.slice(colon + 1, end).trim());
    start = end + 2;
  }

  return {
    method: text.slice(0, url - 1),
    url: text.slice(url, text.indexOf(' ', url)),
    fields
  };
}

module.exports = { parseHead, upgradeRequest };
