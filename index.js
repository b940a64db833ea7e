'use strict';

const WebSocket = require('./lib/websocket');

// The class is the export, and everything else hangs on it.
module.exports = Object.assign(WebSocket, {
  createWebSocketStream: require('./lib/stream'),
  extension: require('./lib/extension'),
  PerMessageDeflate: require('./lib/permessage-deflate'),
  Receiver: require('./lib/receiver'),
  Sender: require('./lib/sender'),
  Server: require('./lib/websocket-server'),
  subprotocol: require('./lib/subprotocol'),
  WebSocket,
  WebSocketServer: require('./lib/websocket-server')
});
