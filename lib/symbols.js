'use strict';

/**
 * The keys of what the files of this package have on objects of others.
 */
module.exports = {
  // Of a `WebSocket` or a socket: the connection of the native driver.
  kConnection: Symbol('kConnection'),

  // Of a `WebSocket`: its receiver, sender and socket, as far as they exist.
  kReceiver: Symbol('kReceiver'),
  kSender: Symbol('kSender'),
  kSocket: Symbol('kSocket'),

  // Of a `WebSocket`: what was agreed on when its socket was set, the options of
  // `setSocket()`.
  kOptions: Symbol('kOptions')
};
