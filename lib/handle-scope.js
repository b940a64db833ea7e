'use strict';

const { AsyncResource } = require('async_hooks');

/** In which asynchronous contexts sockets were created. */
const origins = new WeakMap();

const { runInAsyncScope } = AsyncResource.prototype;

module.exports = { handleScope, remember };

/**
 * Remembers the current asynchronous context as the one in which a socket was
 * created.
 *
 * @param {net.Socket} socket The socket
 * @return {net.Socket} The socket
 * @public
 */
function remember(socket) {
  origins.set(socket, new AsyncResource('WEBSOCKET'));
  return socket;
}

/**
 * Makes the handle of a socket an asynchronous context that can be entered here as
 * libuv's callbacks enter it: with the id of the handle, and what was current when
 * the socket was created. What a listener sets in it (`enterWith()`) stays, where
 * the handle is what Node keeps that in.
 *
 * @param {net.Socket} socket The socket
 * @return {Function} What runs a function in it: `runInAsyncScope()`
 * @public
 */
function handleScope(socket) {
  const handle = socket._handle;
  const origin = origins.get(socket) || new AsyncResource('WEBSOCKET');
  const id = origin.asyncId();

  for (const key of Object.getOwnPropertySymbols(origin)) {
    if (Object.hasOwn(handle, key)) continue;

    Object.defineProperty(handle, key, {
      configurable: true,
      value: origin[key] === id ? handle.getAsyncId() : origin[key],
      writable: true
    });
  }

  return runInAsyncScope.bind(handle);
}
