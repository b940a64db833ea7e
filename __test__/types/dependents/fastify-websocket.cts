// @fastify/websocket: its options are those of the server, its handlers and
// tests get connections.

import fastifyWebsocket = require('@fastify/websocket');
import fastify = require('fastify');
import WebSocket = require('ws');

export async function server(): Promise<void> {
  const app = fastify.fastify();
  const options: fastifyWebsocket.WebsocketPluginOptions = {
    errorHandler(error, socket) {
      socket.close(1011, error.message);
    },
    options: {
      clientTracking: true,
      maxPayload: 1024 * 1024,
      verifyClient: ({ req }, next) => next(req.url === '/')
    }
  };

  await app.register(fastifyWebsocket, options);

  app.get('/', { websocket: true }, (socket, request) => {
    const ws: WebSocket.WebSocket = socket;

    ws.on('message', (data, isBinary) =>
      socket.send(data, { binary: isBinary })
    );
    request.log.info(socket.protocol);
  });

  const wss: WebSocket.Server = app.websocketServer;
  for (const ws of wss.clients) ws.ping();

  const ws: WebSocket = await app.injectWS('/');
  ws.terminate();
}
