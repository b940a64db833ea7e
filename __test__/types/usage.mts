// What programs do with `import` from ws. Compiled, not run.

import WebSocket, {
  PerMessageDeflate,
  Receiver,
  Sender,
  WebSocket as NamedWebSocket,
  WebSocketServer,
  createWebSocketStream,
  extension,
  subprotocol
} from 'ws';
import * as ws from 'ws';
import type {
  AddressInfo,
  BinaryType,
  CertMeta,
  ClientOptions,
  CloseEvent,
  Data,
  ErrorEvent,
  Event,
  EventListenerOptions,
  FinishRequestCallback,
  MessageEvent,
  PerMessageDeflateOptions,
  RawData,
  Server,
  ServerOptions,
  VerifyClientCallbackAsync,
  VerifyClientCallbackSync
} from 'ws';
import * as http from 'node:http';
import { Duplex } from 'node:stream';

import { expectType } from './expect.cjs';
import CommonJS = require('ws');

const url = 'ws://localhost:8080';

export function exported(): void {
  expectType<typeof WebSocket>()(NamedWebSocket);
  expectType<typeof WebSocket>()(ws.default);
  expectType<typeof WebSocketServer>()(ws.WebSocketServer);

  const client: ws.WebSocket = new NamedWebSocket(url);
  const server: ws.WebSocketServer = new ws.WebSocketServer({ port: 8080 });
  const sameServer: Server = server;
  expectType<Duplex>()(createWebSocketStream(client, { objectMode: false }));
  expectType<Set<string>>()(subprotocol.parse('one'));
  expectType<string>()(extension.format(extension.parse('a; b=1')));
  expectType<'permessage-deflate'>()(PerMessageDeflate.extensionName);
  new Receiver({ isServer: true }).on('message', (data) =>
    expectType<RawData>()(data)
  );
  expectType<(Buffer | string)[]>()(Sender.frame('', { opcode: 9 }));
  console.log(sameServer);

  // The class has none of them as a static, for it is not `require()`d.
  // @ts-expect-error
  new WebSocket.WebSocket(url);
  // @ts-expect-error
  new WebSocket.Server({ port: 8080 });
  // @ts-expect-error
  new WebSocket.WebSocketServer({ port: 8080 });
  // @ts-expect-error
  WebSocket.createWebSocketStream(client);
  // @ts-expect-error
  console.log(WebSocket.Sender);
  // @ts-expect-error And this is a type only.
  console.log(ws.Server);
}

// The types, by name and by the name of the class.
export interface Names {
  addressInfo: [AddressInfo, WebSocket.AddressInfo];
  binaryType: [BinaryType, WebSocket.BinaryType];
  certMeta: [CertMeta, WebSocket.CertMeta];
  clientOptions: [ClientOptions, WebSocket.ClientOptions];
  closeEvent: [CloseEvent, WebSocket.CloseEvent];
  data: [Data, WebSocket.Data];
  errorEvent: [ErrorEvent, WebSocket.ErrorEvent];
  event: [Event, WebSocket.Event];
  finishRequest: [FinishRequestCallback, WebSocket.FinishRequestCallback];
  listenerOptions: [EventListenerOptions, WebSocket.EventListenerOptions];
  map: WebSocket.WebSocketEventMap;
  messageEvent: [MessageEvent, WebSocket.MessageEvent];
  perMessageDeflate: [
    PerMessageDeflateOptions,
    WebSocket.PerMessageDeflateOptions
  ];
  rawData: [RawData, WebSocket.RawData];
  serverOptions: [ServerOptions, WebSocket.ServerOptions];
  verifyAsync: [VerifyClientCallbackAsync, WebSocket.VerifyClientCallbackAsync];
  verifySync: [
    VerifyClientCallbackSync<Request>,
    WebSocket.VerifyClientCallbackSync<Request>
  ];
}

export function clients(): void {
  const client = new WebSocket(url, 'one', {
    closeTimeout: 100,
    maxBufferedChunks: 4096,
    maxFragments: 1024,
    maxPayload: 1024,
    timeout: 5000
  });

  client.on('open', function () {
    this.send(new Float32Array(5), { binary: true, mask: true });
    this.send(new Blob(['data']));
  });
  client.on('message', (data, isBinary) => {
    expectType<RawData>()(data);
    expectType<boolean>()(isBinary);
  });
  client.addListener('redirect', (to, request) => {
    expectType<string>()(to);
    expectType<http.ClientRequest>()(request);
  });
  client.onmessage = (event) => expectType<Data>()(event.data);
  client.addEventListener('close', (event) =>
    expectType<WebSocket.CloseEvent>()(event)
  );
  client.binaryType = 'blob';
  expectType<0 | 1 | 2 | 3>()(client.readyState);

  // @ts-expect-error There is no such event.
  client.addEventListener('other', () => {});
  // @ts-expect-error An object is not data.
  client.send({ hello: 'world' });
  // @ts-expect-error There is no such type.
  client.binaryType = 'text';
  // @ts-expect-error Read-only.
  client.protocol = 'one';
  // @ts-expect-error The limit is a number.
  new WebSocket(url, { maxFragments: true });
}

class Request extends http.IncomingMessage {
  user = '';
}

class Client extends WebSocket {
  nickname?: string;
}

export function servers(): void {
  const wss = new WebSocketServer({
    server: http.createServer({ IncomingMessage: Request }),
    WebSocket: Client
  });

  wss.on('connection', (client, request) => {
    expectType<Client>()(client);
    expectType<Request>()(request);
    client.nickname = request.user;
  });
  wss.on('headers', (_headers, request) => expectType<Request>()(request));
  for (const client of wss.clients) expectType<Client>()(client);

  const typed: WebSocketServer<typeof Client, typeof Request> = wss;
  const bare: Server<typeof Client, typeof Request> = typed;
  bare.close();

  const address = new WebSocketServer({ noServer: true }).address();
  if (address !== null && typeof address !== 'string') {
    expectType<number>()(address.port);
  }

  // @ts-expect-error It must be a class of WebSockets.
  new WebSocketServer({ noServer: true, WebSocket: Request });
}

// What `import` and `require()` give goes together, in both directions.
export function together(
  client: WebSocket,
  required: CommonJS,
  wss: WebSocketServer,
  requiredServer: CommonJS.Server
): void {
  client = required;
  required = client;
  wss = requiredServer;
  requiredServer = wss;
  new WebSocketServer({ noServer: true, WebSocket: CommonJS });
  new CommonJS.Server({ noServer: true, WebSocket });
  createWebSocketStream(required);
  CommonJS.createWebSocketStream(client);
}
