// isomorphic-ws: the export, handed on.

import IsomorphicWebSocket = require('isomorphic-ws');
import WebSocket = require('ws');

export function client(): IsomorphicWebSocket.ClientOptions {
  const ws: WebSocket = new IsomorphicWebSocket('ws://localhost', {
    perMessageDeflate: false
  });

  ws.onmessage = (event: IsomorphicWebSocket.MessageEvent) => {
    console.log(event.data);
  };
  new IsomorphicWebSocket.Server({ noServer: true }).close();

  return { handshakeTimeout: 1000 };
}
