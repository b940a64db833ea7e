// What programs do with `require('ws')`. Compiled, not run.

import WebSocket = require('ws');
import { EventEmitter, on, once } from 'events';
import * as http from 'http';
import * as https from 'https';
import * as net from 'net';
import { Duplex, Writable } from 'stream';

import { expectType } from './expect.cjs';

const url = 'ws://localhost:8080/chat?room=1';

export function constructors(): void {
  new WebSocket(url);
  new WebSocket(new URL(url));
  new WebSocket('http://localhost:8080');
  new WebSocket('https://localhost:8443');
  new WebSocket('ws+unix:/tmp/ws.sock:/path');
  new WebSocket(url, 'one');
  new WebSocket(url, ['one', 'two']);
  new WebSocket(url, ['one', 'two'], { origin: 'http://localhost' });
  new WebSocket(url, undefined, { handshakeTimeout: 1000 });
  new WebSocket(url, { followRedirects: true, maxRedirects: 3 });
  new WebSocket(null);
  new WebSocket(null, undefined, { autoPong: false, closeTimeout: 10 });

  // The class by its other names.
  expectType<typeof WebSocket>()(WebSocket.WebSocket);
  const byName: WebSocket.WebSocket = new WebSocket.WebSocket(url);
  const byClass: WebSocket = byName;
  const back: WebSocket.WebSocket = byClass;
  new WebSocket.WebSocket.Server({ noServer: true });
  new WebSocket.WebSocketServer({ noServer: true });
  back.terminate();

  // @ts-expect-error There is no such argument.
  new WebSocket();
  // @ts-expect-error An address is not a number.
  new WebSocket(8080);
  // @ts-expect-error A subprotocol is not a number.
  new WebSocket(url, 13);
  // @ts-expect-error The limit is a number.
  new WebSocket(url, { maxPayload: '1 MiB' });
  // @ts-expect-error There is no such option.
  new WebSocket(url, { maxMessageSize: 1024 });
}

export function clientOptions(): void {
  const options: WebSocket.ClientOptions = {
    agent: new http.Agent(),
    allowSynchronousEvents: false,
    autoPong: false,
    ca: Buffer.from('ca'),
    cert: 'cert',
    checkServerIdentity: (servername, cert) =>
      cert.subject.CN === servername ? undefined : new Error(servername),
    ciphers: 'HIGH',
    closeTimeout: 5000,
    createConnection: net.createConnection,
    family: 6,
    finishRequest(request, websocket) {
      expectType<http.ClientRequest>()(request);
      websocket.terminate();
      request.setHeader('X-Token', 'secret');
      request.end();
    },
    followRedirects: true,
    generateMask(mask) {
      expectType<Buffer>()(mask);
      mask.fill(7);
    },
    handshakeTimeout: 5000,
    headers: { Authorization: 'Bearer token' },
    host: 'localhost',
    key: ['key'],
    localAddress: '127.0.0.1',
    maxBufferedChunks: 0,
    maxFragments: 0,
    maxPayload: 10 * 1024 * 1024,
    maxPendingAutoPongs: 10,
    maxRedirects: 5,
    origin: 'http://localhost',
    perMessageDeflate: { threshold: 2048, zlibDeflateOptions: { level: 1 } },
    protocols: ['one', 'two'],
    protocolVersion: 8,
    rejectUnauthorized: false,
    servername: 'example.org',
    skipUTF8Validation: true
  };

  new WebSocket(url, options);
  new WebSocket(url, [], options);

  // Programs have believed that these are what a check returns and is given.
  new WebSocket(url, {
    checkServerIdentity: (_servername: string, _cert: WebSocket.CertMeta) =>
      false
  });

  // What only `http.request()` has.
  new WebSocket(url, {
    agent: false,
    auth: 'user:password',
    createConnection: () => new Duplex(),
    headers: { 'X-Numbers': ['1', '2'] },
    lookup: (_hostname, _options, callback) => callback(null, '127.0.0.1', 4),
    path: '/ignored',
    perMessageDeflate: false,
    port: 80,
    timeout: 5000
  });

  const args: http.ClientRequestArgs = { timeout: 5000 };
  new WebSocket(url, args);
}

export function sending(ws: WebSocket, any: any): void {
  ws.send('text');
  ws.send(42);
  ws.send(Buffer.from('data'));
  ws.send(new Uint8Array(3));
  ws.send(new Float64Array(3), { binary: true, mask: true });
  ws.send(new DataView(new ArrayBuffer(8)));
  ws.send(new ArrayBuffer(8));
  ws.send(new SharedArrayBuffer(8));
  ws.send(new Blob(['data']));
  ws.send([1, 2, 3]);
  ws.send(any as readonly number[]);
  ws.send(any as NodeJS.ArrayBufferView);
  ws.send(any as { valueOf(): ArrayBuffer });
  ws.send(any as { valueOf(): SharedArrayBuffer });
  ws.send(any as { valueOf(): Uint8Array });
  ws.send(any as { valueOf(): readonly number[] });
  ws.send(any as { valueOf(): string });
  ws.send(any as { [Symbol.toPrimitive](hint: string): string });
  ws.send('text', () => {});
  ws.send('text', (error) => expectType<Error | undefined>()(error));
  ws.send('text', (error?: Error | null) => console.log(error));
  ws.send('text', {});
  ws.send('text', { compress: false, fin: false }, (error?: Error) => {
    if (error) throw error;
  });
  const options = { binary: true, fin: true };
  ws.send('text', options);

  ws.ping();
  ws.ping('data');
  ws.ping(1, true);
  ws.ping(Buffer.from('data'), false, (error: Error) => console.log(error));
  ws.ping('', undefined, (error?: Error | null) => console.log(error));
  ws.pong();
  ws.pong('data');
  ws.pong(new Blob([]), true, () => {});

  ws.close();
  ws.close(1000);
  ws.close(1000, 'reason');
  ws.close(1000, Buffer.from('reason'));
  ws.close(1000, new Uint8Array(2));
  ws.terminate();

  // @ts-expect-error An object is not data.
  ws.send({ hello: 'world' });
  // @ts-expect-error Nothing is not data.
  ws.send();
  // @ts-expect-error There is no such option.
  ws.send('text', { opcode: 1 });
  // @ts-expect-error A code is a number.
  ws.close('1000');
}

export function state(ws: WebSocket): void {
  expectType<number>()(ws.bufferedAmount);
  expectType<string>()(ws.extensions);
  expectType<boolean>()(ws.isPaused);
  expectType<string>()(ws.protocol);
  expectType<string>()(ws.url);
  expectType<0 | 1 | 2 | 3>()(ws.readyState);
  expectType<0>()(WebSocket.CONNECTING);
  expectType<1>()(WebSocket.OPEN);
  expectType<2>()(ws.CLOSING);
  expectType<3>()(ws.CLOSED);

  // @ts-expect-error Read-only, as all of these.
  ws.bufferedAmount = 1;
  // @ts-expect-error
  ws.extensions = 'permessage-deflate';
  // @ts-expect-error
  ws.isPaused = true;
  // @ts-expect-error
  ws.protocol = 'one';
  // @ts-expect-error
  ws.readyState = ws.OPEN;
  // @ts-expect-error
  ws.url = url;
  // @ts-expect-error
  ws.OPEN = 1;
  // @ts-expect-error
  WebSocket.CLOSED = 3;

  ws.binaryType = 'nodebuffer';
  ws.binaryType = 'arraybuffer';
  ws.binaryType = 'fragments';
  ws.binaryType = 'blob';
  const binaryType: WebSocket.BinaryType = ws.binaryType;
  // @ts-expect-error There is no such type.
  ws.binaryType = 'buffer';
  // @ts-expect-error It is a string.
  ws.binaryType = true;

  if (ws.isPaused) ws.resume();
  else ws.pause();

  console.log(binaryType);
}

export function narrowing(ws: WebSocket): string {
  switch (ws.readyState) {
    case WebSocket.CONNECTING:
      return 'connecting';
    case WebSocket.OPEN:
      expectType<1>()(ws.readyState);
      return 'open';
    case ws.CLOSING:
      return 'closing';
    case ws.CLOSED:
      return 'closed';
    default:
      return ws.readyState satisfies never;
  }
}

export function events(ws: WebSocket): void {
  ws.on('open', function () {
    this.send('hello');
  })
    .on('message', function (data, isBinary) {
      expectType<WebSocket.RawData>()(data);
      expectType<boolean>()(isBinary);
      this.send(data.toString());
    })
    .on('close', (code, reason) => {
      expectType<number>()(code);
      expectType<Buffer>()(reason);
    })
    .on('error', (error) => expectType<Error>()(error))
    .on('ping', (data) => expectType<Buffer>()(data))
    .on('pong', (data) => expectType<Buffer>()(data))
    .on('upgrade', (response) => expectType<http.IncomingMessage>()(response))
    .on('redirect', (to, request) => {
      expectType<string>()(to);
      expectType<http.ClientRequest>()(request);
    })
    .on('unexpected-response', (request, response) => {
      expectType<http.ClientRequest>()(request);
      expectType<http.IncomingMessage>()(response);
    });

  ws.once('message', (data) => expectType<WebSocket.RawData>()(data));
  ws.off('message', (data) => expectType<WebSocket.RawData>()(data));
  ws.addListener('pong', (data) => expectType<Buffer>()(data));
  ws.removeListener('close', (code) => expectType<number>()(code));
  ws.prependListener('open', () => {});
  ws.prependOnceListener('close', (code) => expectType<number>()(code));
  ws.removeAllListeners('message').emit('message', Buffer.from(''), false);
  ws.on('ping' as 'ping' | 'pong', (data) => expectType<Buffer>()(data));

  // Programs choose the type that they know to be right.
  ws.on('message', (data: Buffer) => data.readUInt8(0));
  ws.on('message', (data: string) => data.charAt(0));
  ws.on(
    'message',
    async (data: WebSocket.RawData | Blob, isBinary: boolean) => {
      if (data instanceof Blob) await data.arrayBuffer();
      return isBinary;
    }
  );
  ws.on('message', function (this: WebSocket, data: ArrayBuffer) {
    this.send(data.slice(0, 1));
  });

  // Events of the program.
  ws.on('heartbeat', (beat: number) => console.log(beat));
  ws.on(Symbol('own'), (...args) => expectType<any[]>()(args));

  const listener: Parameters<typeof ws.once>[1] = () => {};
  ws.once('error', () => ws.off('', listener));
  const name: string = 'message';
  ws.on(name, (data) => console.log(data));
}

export async function emitters(
  ws: WebSocket,
  wss: WebSocket.Server
): Promise<void> {
  const all: EventEmitter[] = [ws, wss, new WebSocket.Receiver()];
  const global: NodeJS.EventEmitter = ws;
  const [data] = await once(ws, 'message');

  for await (const [connection] of on(wss, 'connection')) connection.close();
  console.log(all, global, data, ws.listenerCount('message'));
}

export function eventTarget(ws: WebSocket): void {
  ws.onopen = (event: WebSocket.Event) => {
    expectType<string>()(event.type);
    event.target.send('hello');
  };
  ws.onmessage = (event) => {
    expectType<WebSocket.MessageEvent>()(event);
    expectType<WebSocket.Data>()(event.data);
  };
  ws.onmessage = ({ data }: { data: WebSocket.Data | Blob }) =>
    console.log(data);
  ws.onclose = (event: WebSocket.CloseEvent) => {
    expectType<number>()(event.code);
    expectType<string>()(event.reason);
    expectType<boolean>()(event.wasClean);
  };
  ws.onerror = (event: WebSocket.ErrorEvent) => {
    expectType<any>()(event.error);
    expectType<string>()(event.message);
  };
  ws.onopen = ws.onclose = ws.onerror = ws.onmessage = null;

  const onMessage = (event: WebSocket.MessageEvent): void =>
    console.log(event.data, event.target, event.type);
  const handler = {
    handleEvent(event: WebSocket.CloseEvent): void {
      console.log(event.code);
    }
  };

  ws.addEventListener('message', onMessage);
  ws.addEventListener('message', onMessage, { once: true });
  ws.removeEventListener('message', onMessage);
  ws.addEventListener('close', handler, {});
  ws.removeEventListener('close', handler);
  ws.addEventListener('error', (event) => expectType<any>()(event.error));

  const type = 'open' as keyof WebSocket.WebSocketEventMap;
  ws.addEventListener(type, console.log);
  ws.removeEventListener(type, console.log);

  // @ts-expect-error There is no such event.
  ws.addEventListener('ping', () => {});
  // @ts-expect-error There is no such event.
  ws.removeEventListener('ping', () => {});
  // @ts-expect-error The event of another type.
  ws.addEventListener('open', onMessage);
}

export function serverOptions(): void {
  new WebSocket.Server();
  new WebSocket.Server({ port: 8080 }, () => console.log('listening'));
  new WebSocket.Server({ server: http.createServer() });
  new WebSocket.Server({ server: https.createServer({}) });
  new WebSocket.Server({ noServer: true, perMessageDeflate: true });
  new WebSocket.Server({ noServer: true, perMessageDeflate: {} });

  const perMessageDeflate: WebSocket.PerMessageDeflateOptions = {
    clientMaxWindowBits: 10,
    clientNoContextTakeover: true,
    concurrencyLimit: 4,
    serverMaxWindowBits: 10,
    serverNoContextTakeover: true,
    threshold: 1024,
    zlibDeflateOptions: {
      chunkSize: 1024,
      dictionary: Buffer.from('dictionary'),
      finishFlush: 0,
      flush: 0,
      info: false,
      level: 3,
      memLevel: 7,
      strategy: 0,
      windowBits: 15
    },
    zlibInflateOptions: { chunkSize: 10 * 1024 }
  };
  const options: WebSocket.ServerOptions = {
    allowSynchronousEvents: false,
    autoPong: false,
    backlog: 100,
    clientTracking: false,
    closeTimeout: 5000,
    handleProtocols(protocols, request) {
      expectType<Set<string>>()(protocols);
      expectType<http.IncomingMessage>()(request);
      return protocols.has('one') ? 'one' : false;
    },
    host: '127.0.0.1',
    maxBufferedChunks: 4096,
    maxFragments: 1024,
    maxPayload: 1024,
    maxPendingAutoPongs: 0,
    path: '/chat',
    perMessageDeflate,
    port: 0,
    skipUTF8Validation: true,
    verifyClient: (info) => {
      expectType<string>()(info.origin);
      expectType<boolean>()(info.secure);
      expectType<http.IncomingMessage>()(info.req);
      return info.secure;
    },
    WebSocket
  };
  new WebSocket.Server(options);

  const verify: WebSocket.VerifyClientCallbackAsync = (info, callback) =>
    callback(info.secure, 401, 'Go away', { 'Retry-After': 120 });
  new WebSocket.Server({ noServer: true, verifyClient: verify });
  new WebSocket.Server({
    noServer: true,
    verifyClient: (
      info: { origin: string; secure: boolean; req: http.IncomingMessage },
      callback: (result: boolean) => void
    ): void => callback(info.secure)
  });
  new WebSocket.Server({
    noServer: true,
    verifyClient: (_info: any, callback: any) => callback(true)
  });
  new WebSocket.Server({
    noServer: true,
    verifyClient: async ({ req }, callback) => {
      expectType<http.IncomingMessage>()(req);
      callback(await Promise.resolve(false), 403);
    }
  });
  const verifySync: WebSocket.VerifyClientCallbackSync = ({ secure }) => secure;
  new WebSocket.Server({ noServer: true, verifyClient: verifySync });

  // @ts-expect-error A port is a number.
  new WebSocket.Server({ port: '8080' });
  // @ts-expect-error There is no such option.
  new WebSocket.Server({ noserver: true });
  // @ts-expect-error It must be a class of WebSockets.
  new WebSocket.Server({ noServer: true, WebSocket: class {} });
}

export function server(wss: WebSocket.Server): void {
  expectType<WebSocket.AddressInfo | string | null>()(wss.address());
  expectType<string>()(wss.path);
  wss.path = '/other';
  wss.options.maxPayload = 1024;
  wss.options.handleProtocols = () => 'one';
  wss.options.perMessageDeflate = false;
  wss.clients.forEach((ws) => ws.send('broadcast'));
  wss.close();
  wss.close((error) => expectType<Error | undefined>()(error));
  wss.shouldHandle = (request) => request.url === '/';

  wss
    .on('connection', function (ws, request) {
      expectType<http.IncomingMessage>()(request);
      ws.on('message', (data) => ws.send(`${request.url} ${data}`));
      this.clients.delete(ws);
    })
    .on('headers', (headers, request) => {
      expectType<string[]>()(headers);
      expectType<http.IncomingMessage>()(request);
    })
    .on('wsClientError', (error, socket, request) => {
      expectType<Error>()(error);
      expectType<Duplex>()(socket);
      expectType<http.IncomingMessage>()(request);
    })
    .on('error', (error) => expectType<Error>()(error))
    .on('listening', () => {})
    .on('close', () => {});
  wss.once('connection', (ws) => ws.send('once'));
  wss.off('connection', (ws) => ws.terminate());
  wss.addListener('headers', (headers) => headers.push('X-Server: 1'));
  wss.removeListener('error', (error) => console.log(error.message));
  wss.on('upgrade', (request: http.IncomingMessage) => request.destroy());

  http
    .createServer()
    .on('upgrade', (request: http.IncomingMessage, socket, head) => {
      if (!wss.shouldHandle(request)) return socket.destroy();

      return wss.handleUpgrade(request, socket, head, (ws, sameRequest) => {
        wss.emit('connection', ws, sameRequest);
      });
    });

  const same: WebSocket.WebSocketServer = wss;
  const back: WebSocket.Server = same;
  back.close();
}

class Client extends WebSocket {
  id = 0;

  override close(code?: number, data?: string | Buffer): void {
    super.close(code, data);
  }

  override on(
    event: string | symbol,
    listener: (...args: any[]) => void
  ): this {
    return super.on(event, listener);
  }

  whoAmI(): 'client' {
    return 'client';
  }
}

class Request extends http.IncomingMessage {
  user = '';
}

class Server extends WebSocket.Server<typeof Client, typeof Request> {
  constructor() {
    super({ noServer: true, WebSocket: Client });
  }

  override shouldHandle(request: Request): boolean {
    return request.user !== '' && super.shouldHandle(request) === true;
  }
}

export function subclasses(): void {
  const wss = new WebSocket.WebSocketServer({
    server: http.createServer({ IncomingMessage: Request }),
    verifyClient: ({ req }) => req.user === 'me',
    WebSocket: Client
  });

  wss.on('connection', (ws, request) => {
    expectType<Client>()(ws);
    expectType<'client'>()(ws.whoAmI());
    expectType<Request>()(request);
  });
  wss.once('connection', (ws) => expectType<Client>()(ws));
  wss.off('connection', (ws) => expectType<Client>()(ws));
  wss.addListener('connection', (ws) => expectType<Client>()(ws));
  wss.removeListener('connection', (ws) => expectType<Client>()(ws));
  wss.on('headers', (_headers, request) => expectType<Request>()(request));
  wss.once('wsClientError', (_error, _socket, request) =>
    expectType<Request>()(request)
  );
  for (const client of wss.clients) expectType<Client>()(client);
  wss.handleUpgrade(
    new Request(new net.Socket()),
    new Duplex(),
    Buffer.alloc(0),
    (ws) => expectType<Client>()(ws)
  );

  const any: WebSocket.Server = new WebSocket.Server({ WebSocket: Client });
  const typed: WebSocket.WebSocketServer<typeof Client> =
    new WebSocket.WebSocketServer<typeof Client>({ noServer: true });
  const own: WebSocket.Server<typeof Client, typeof Request> = new Server();
  const base: WebSocket = new Client(null);
  const options: WebSocket.ServerOptions<typeof Client> = { WebSocket: Client };
  console.log(any, typed, own, base, options);

  // @ts-expect-error The class of the connections is a parameter.
  wss.on('connection', (ws) => ws.whoAreYou());
}

interface Tagged extends WebSocket {
  isAlive: boolean;
}

export function tagged(wss: WebSocket.Server): void {
  wss.on('connection', (ws: Tagged) => {
    ws.isAlive = true;
    ws.on('pong', () => (ws.isAlive = true));
  });
  for (const ws of wss.clients as Set<Tagged>) {
    if (!ws.isAlive) ws.terminate();
  }
}

export function streams(ws: WebSocket): void {
  const duplex = WebSocket.createWebSocketStream(ws, {
    allowHalfOpen: false,
    encoding: 'utf8'
  });

  expectType<Duplex>()(duplex);
  process.stdin.pipe(WebSocket.createWebSocketStream(ws)).pipe(process.stdout);

  // @ts-expect-error A stream is not a WebSocket.
  WebSocket.createWebSocketStream(duplex);
}

export function headers(): void {
  const { extension, subprotocol } = WebSocket;
  const offers = extension.parse('permessage-deflate; client_max_window_bits');

  expectType<{ [name: string]: WebSocket.ExtensionParams[] }>()(offers);
  expectType<string>()(extension.format(offers));
  extension.format({ a: { b: 1, c: [true, 'd'] }, e: [{ f: 'g' }] });
  expectType<Set<string>>()(subprotocol.parse('one, two'));

  // @ts-expect-error A header is a string.
  subprotocol.parse(['one', 'two']);
}

export function buildingBlocks(socket: Duplex): void {
  const deflate = new WebSocket.PerMessageDeflate({
    isServer: true,
    maxPayload: 1024,
    threshold: 0
  });

  expectType<'permessage-deflate'>()(WebSocket.PerMessageDeflate.extensionName);
  const offer: WebSocket.PerMessageDeflateParams = deflate.offer();
  const accepted = deflate.accept(
    WebSocket.extension.parse('permessage-deflate')['permessage-deflate'] ?? []
  );
  expectType<WebSocket.PerMessageDeflateParams>()(accepted);
  WebSocket.extension.format({ 'permessage-deflate': [offer] });
  deflate.compress('data', true, (error, result) => {
    expectType<Error | null>()(error);
    expectType<Buffer>()(result);
  });
  deflate.decompress(Buffer.alloc(0), false, () => {});
  deflate.cleanup();

  const extensions: WebSocket.Extensions = { 'permessage-deflate': deflate };
  const options: WebSocket.ReceiverOptions = {
    allowSynchronousEvents: true,
    binaryType: 'blob',
    extensions,
    isServer: true,
    maxBufferedChunks: 16,
    maxFragments: 16,
    maxPayload: 1024,
    skipUTF8Validation: false
  };
  const receiver = new WebSocket.Receiver(options);
  const writable: Writable = receiver;

  writable.write(Buffer.from([0x81, 0x00]));
  new WebSocket.Receiver()
    .on('message', (data, isBinary) => {
      expectType<WebSocket.RawData>()(data);
      expectType<boolean>()(isBinary);
    })
    .on('conclude', (code, reason) => {
      expectType<number>()(code);
      expectType<Buffer>()(reason);
    })
    .on('ping', (data) => expectType<Buffer>()(data))
    .once('pong', (data) => expectType<Buffer>()(data))
    .on('error', (error) => expectType<Error>()(error))
    .on('drain', () => {});
  socket.pipe(receiver);

  const frame: WebSocket.FrameOptions = { fin: true, opcode: 1 };
  expectType<(Buffer | string)[]>()(WebSocket.Sender.frame('data', frame));
  WebSocket.Sender.frame(Buffer.from('data'), {
    fin: true,
    generateMask: (mask) => mask.fill(1),
    mask: true,
    maskBuffer: Buffer.alloc(4),
    opcode: 2,
    readOnly: true,
    rsv1: false
  });
  // @ts-expect-error A frame needs an opcode.
  WebSocket.Sender.frame('data', { fin: true });

  const sender = new WebSocket.Sender(socket, extensions, (mask) => {
    mask.fill(1);
  });
  sender.send('data', { binary: false, compress: true, fin: true });
  sender.send(new Blob([]), { binary: true }, (error) => console.log(error));
  sender.ping('', true);
  sender.pong(Buffer.alloc(0), false, () => {});
  sender.close(1000, 'reason', true, () => {});
  // @ts-expect-error It writes to a stream.
  new WebSocket.Sender({});
}
