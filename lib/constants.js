'use strict';

const hasBlob = typeof Blob !== 'undefined';

module.exports = {
  // The first entry is what a new `WebSocket` starts with.
  BINARY_TYPES: [
    'nodebuffer',
    'arraybuffer',
    'fragments',
    ...(hasBlob ? ['blob'] : [])
  ],

  // How long, in milliseconds, a peer may take to finish a closing handshake.
  CLOSE_TIMEOUT: 30000,

  EMPTY_BUFFER: Buffer.alloc(0),

  // Appended to the key of a request before it is hashed (RFC 6455, 1.3). The
  // addon does that; this is here because it is with ws.
  GUID: '258EAFA5-E914-47DA-95CA-C5AB0DC85B11',

  hasBlob,

  // Listeners added through the EventTarget interface carry the next two:
  // whether an `on<event>` attribute owns them, and the function of the user.
  kForOnEventAttribute: Symbol('kIsForOnEventAttribute'),
  kListener: Symbol('kListener'),

  // The close code that an error is answered with.
  kStatusCode: Symbol('status-code'),

  // The way back from a socket, receiver or sender to its `WebSocket`.
  kWebSocket: Symbol('websocket'),

  /** Does nothing. */
  NOOP: () => {}
};
