'use strict';

const { IncomingMessage } = require('http');
const { inspect } = require('util');

const kState = Symbol('kState');

/**
 * Makes the request of a connection that the native listener has accepted. It is
 * what Node's HTTP server would have made of the same bytes, but only when
 * somebody looks at it: most programs do not.
 *
 * @param {String} head The head of the request
 * @param {WebSocket} websocket The `WebSocket` that it led to
 * @return {http.IncomingMessage} The request
 * @public
 */
function lazyRequest(head, websocket) {
  const request = Object.create(IncomingMessage.prototype);

  request[kState] = { head, websocket };
  request[inspect.custom] = inspectRequest;
  return new Proxy(request, traps);
}

/**
 * Every operation makes a real request of the target, in place, and is then
 * applied to that.
 */
const traps = {};

for (const name of Object.getOwnPropertyNames(Reflect)) {
  if (name === 'get') {
    traps.get = (target, key) => make(target)[key];
  } else if (name === 'set') {
    traps.set = (target, key, value) => Reflect.set(make(target), key, value);
  } else {
    traps[name] = (target, ...args) => Reflect[name](make(target), ...args);
  }
}

/**
 * Makes a real request of a target, unless it is one.
 *
 * @param {Object} target The target
 * @return {http.IncomingMessage} The same
 * @private
 */
function make(target) {
  const state = target[kState];

  if (state === undefined) return target;

  delete target[kState];
  delete target[inspect.custom];

  const { head, websocket } = state;
  const lines = head.split('\r\n');
  const [method, url] = lines[0].split(' ');
  const fields = [];

  for (let i = 1; i < lines.length && lines[i] !== ''; i++) {
    const colon = lines[i].indexOf(':');

    fields.push(lines[i].slice(0, colon), lines[i].slice(colon + 1).trim());
  }

  IncomingMessage.call(target);

  target.httpVersionMajor = 1;
  target.httpVersionMinor = 1;
  target.httpVersion = '1.1';
  target.joinDuplicateHeaders = null;
  target.url = url;
  target.method = method;
  target.upgrade = true;
  target.parser = null;
  target._addHeaderLines(fields, fields.length);

  //
  // The message is complete: a request of this kind has no body.
  //
  target.complete = true;
  target.push(null);

  for (const name of ['socket', 'client']) {
    Object.defineProperty(target, name, {
      configurable: true,
      enumerable: true,
      get: () => websocket._socket,
      set(value) {
        Object.defineProperty(target, name, {
          configurable: true,
          enumerable: true,
          value,
          writable: true
        });
      }
    });
  }

  return target;
}

/**
 * Shows a request that nobody has looked at. `util.inspect()` does so through no
 * trap.
 *
 * @param {Number} depth How deep to go
 * @param {Object} options The options of `util.inspect()`
 * @param {Function} show `util.inspect()`
 * @return {String} What it shows
 * @private
 */
function inspectRequest(depth, options, show) {
  return show(make(this), options);
}

module.exports = lazyRequest;
