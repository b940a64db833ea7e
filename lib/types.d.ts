/// <reference types="node" />

// What both entry points declare: `index.d.ts` adds the statics that only
// `require()` gives, `wrapper.d.mts` exports the names that `import` gives.
//
// What the declarations published for ws have is kept: at least as wide for what
// a program passes in, no wider for what it gets back, and with instances that
// are taken for instances of their namesakes. So what compiled with those
// compiles with these. The comments say where that makes a type say less than is
// known.

import { EventEmitter } from 'events';
import {
  Agent,
  ClientRequest,
  ClientRequestArgs,
  IncomingMessage,
  OutgoingHttpHeaders,
  Server as HttpServer
} from 'http';
import { RequestOptions, Server as HttpsServer } from 'https';
import { createConnection } from 'net';
import { Duplex, DuplexOptions, Writable } from 'stream';
import { SecureContextOptions } from 'tls';
import { URL } from 'url';
import { ZlibOptions } from 'zlib';

// Only what is marked is exported.
export {};

/** The arguments of the listeners of an emitter, by the name of the event. */
type EventList<Events> = { [Name in keyof Events]: any[] };

/**
 * An `EventEmitter` that knows its events. It has no counterpart at run time,
 * where the classes below extend `EventEmitter` itself.
 *
 * Every method has a second form for all other events and listeners, because
 * the types of the arguments are chosen by the program as often as not: a
 * listener that only ever gets Buffers says so.
 */
declare class Emitter<Events extends EventList<Events>> extends EventEmitter {
  addListener<Name extends keyof Events>(
    event: Name,
    listener: (this: this, ...args: Events[Name]) => void
  ): this;
  addListener(
    event: string | symbol,
    listener: (this: any, ...args: any[]) => void
  ): this;

  off<Name extends keyof Events>(
    event: Name,
    listener: (this: this, ...args: Events[Name]) => void
  ): this;
  off(
    event: string | symbol,
    listener: (this: any, ...args: any[]) => void
  ): this;

  on<Name extends keyof Events>(
    event: Name,
    listener: (this: this, ...args: Events[Name]) => void
  ): this;
  on(
    event: string | symbol,
    listener: (this: any, ...args: any[]) => void
  ): this;

  once<Name extends keyof Events>(
    event: Name,
    listener: (this: this, ...args: Events[Name]) => void
  ): this;
  once(
    event: string | symbol,
    listener: (this: any, ...args: any[]) => void
  ): this;

  prependListener<Name extends keyof Events>(
    event: Name,
    listener: (this: this, ...args: Events[Name]) => void
  ): this;
  prependListener(
    event: string | symbol,
    listener: (this: any, ...args: any[]) => void
  ): this;

  prependOnceListener<Name extends keyof Events>(
    event: Name,
    listener: (this: this, ...args: Events[Name]) => void
  ): this;
  prependOnceListener(
    event: string | symbol,
    listener: (this: any, ...args: any[]) => void
  ): this;

  removeListener<Name extends keyof Events>(
    event: Name,
    listener: (this: this, ...args: Events[Name]) => void
  ): this;
  removeListener(
    event: string | symbol,
    listener: (this: any, ...args: any[]) => void
  ): this;
}

// -- Messages ----------------------------------------------------------------

/**
 * What a `'message'` listener gets: a `Buffer` for text and, with the
 * `binaryType` that is set, a `Buffer`, an `ArrayBuffer` or the list of the
 * fragments for binary data.
 *
 * With `'blob'` binary data is a `Blob`. That is not part of the type, or no
 * program that handles the other three would compile; the listener says so:
 * `(data: RawData | Blob, isBinary: boolean) => void`.
 */
export type RawData = ArrayBuffer | Buffer | Buffer[];

/**
 * The `data` of a `MessageEvent`: as `RawData`, but text is a string. With the
 * `binaryType` `'blob'` see there.
 */
export type Data = RawData | string;

/** What `websocket.binaryType` may be. */
export type BinaryType = 'arraybuffer' | 'blob' | 'fragments' | 'nodebuffer';

/**
 * What can be sent: strings, numbers (as text), blobs, and whatever
 * `Buffer.from()` makes bytes of.
 */
type Sendable =
  | ArrayBuffer
  | ArrayBufferView
  | Blob
  | Buffer
  | DataView
  | SharedArrayBuffer
  | Uint8Array
  | number
  | readonly any[]
  | string
  | { [Symbol.toPrimitive](hint: string): string }
  | { valueOf(): ArrayBuffer }
  | { valueOf(): SharedArrayBuffer }
  | { valueOf(): Uint8Array }
  | { valueOf(): readonly number[] }
  | { valueOf(): string };

/** Options of `websocket.send()`. */
type SendOptions = {
  /** Whether it is a binary message. Default: unless `data` is a string. */
  binary?: boolean | undefined;
  /** Whether to compress, where permessage-deflate is on. Default: `true`. */
  compress?: boolean | undefined;
  /** Whether the message ends with this fragment. Default: `true`. */
  fin?: boolean | undefined;
  /** Whether to mask. Default: what the role of this end asks for. */
  mask?: boolean | undefined;
};

// -- Options -----------------------------------------------------------------

/** Options of the permessage-deflate extension (RFC 7692). */
export interface PerMessageDeflateOptions {
  /** Clear the window of the server after every message. */
  serverNoContextTakeover?: boolean | undefined;
  /** Clear the window of the client after every message. */
  clientNoContextTakeover?: boolean | undefined;
  /** The binary logarithm of the size of the window of the server: 8 to 15. */
  serverMaxWindowBits?: number | undefined;
  /** The binary logarithm of the size of the window of the client: 8 to 15. */
  clientMaxWindowBits?: number | undefined;
  /** More options for the compressor. */
  zlibDeflateOptions?: DeflateOptions | undefined;
  /** More options for the decompressor. */
  zlibInflateOptions?: ZlibOptions | undefined;
  /**
   * How many bytes a message must have to be compressed if the window does not
   * outlive it. Default: 1024.
   */
  threshold?: number | undefined;
  /**
   * How many messages may be compressed, or decompressed by zlib, at once, in the
   * process. The first instance sets it. Default: 10.
   */
  concurrencyLimit?: number | undefined;
}

type DeflateOptions = Omit<ZlibOptions, 'dictionary'> & {
  dictionary?: Buffer | Buffer[] | DataView | undefined;
};

/** Options that a client and the connections of a server have in common. */
interface ConnectionOptions {
  /**
   * Whether several `'message'`, `'ping'` and `'pong'` events may be emitted in
   * one tick. Default: `true`.
   */
  allowSynchronousEvents?: boolean | undefined;
  /** Whether to answer pings. Default: `true`. */
  autoPong?: boolean | undefined;
  /**
   * How many milliseconds the closing handshake may take after
   * `websocket.close()`. Default: 30000.
   */
  closeTimeout?: number | undefined;
  /**
   * How many chunks of data may be buffered for a frame, up to 2147483647.
   * Default: 262144; 0 is no limit.
   */
  maxBufferedChunks?: number | undefined;
  /**
   * How many fragments a message may have, up to 2147483647. Default: 16384; 0
   * is no limit.
   */
  maxFragments?: number | undefined;
  /**
   * How many bytes a message may have, up to 2147483647: larger numbers wrap, as
   * with ws. Default: 104857600 (100 MiB); 0 is no limit.
   */
  maxPayload?: number | undefined;
  /**
   * How many answers to pings may wait to be sent before the connection is
   * terminated. Default: 60; 0 is no limit.
   */
  maxPendingAutoPongs?: number | undefined;
  /**
   * Whether to negotiate permessage-deflate, and how. Default: `true` for a
   * client, `false` for a server.
   */
  perMessageDeflate?: PerMessageDeflateOptions | boolean | undefined;
  /**
   * Whether to trust the peer that text and close reasons are UTF-8. Default:
   * `false`.
   */
  skipUTF8Validation?: boolean | undefined;
}

/** What a certificate or a key may be given as. */
export type CertMeta = Buffer | Buffer[] | string | string[];

/**
 * A function that completes the request of a handshake. It has to call
 * `request.end()`.
 */
export type FinishRequestCallback = (
  request: ClientRequest,
  websocket: WebSocket
) => void;

/** Options of `http.request()` and `https.request()` that are passed on. */
type ForwardedOptions = Pick<
  RequestOptions,
  | 'auth'
  | 'defaultPort'
  | 'hints'
  | 'insecureHTTPParser'
  | 'joinDuplicateHeaders'
  | 'localPort'
  | 'lookup'
  | 'maxHeaderSize'
  | 'servername'
  | 'setHost'
  | 'signal'
  | 'uniqueHeaders'
>;

/**
 * Options of a client. The constructor also takes every other option of
 * `http.request()` and `https.request()`.
 */
export interface ClientOptions
  extends ConnectionOptions, ForwardedOptions, SecureContextOptions {
  agent?: Agent | undefined;
  /**
   * Checks the name in the certificate, a `tls.PeerCertificate`, and returns
   * what is wrong with it as an error. The types are open because the published
   * declarations have others.
   */
  checkServerIdentity?(servername: string, cert: any): any;
  /** Makes the connection, which may be any `Duplex`. */
  createConnection?: typeof createConnection | undefined;
  family?: number | undefined;
  /** Completes the request of the handshake, which it has to end. */
  finishRequest?: FinishRequestCallback | undefined;
  /** Whether to follow redirects. Default: `false`. */
  followRedirects?: boolean | undefined;
  /** Fills a masking key, synchronously. Default: random bytes. */
  generateMask?(mask: Buffer): void;
  /** How many milliseconds the handshake may take. Default: no limit. */
  handshakeTimeout?: number | undefined;
  headers?: { [key: string]: string } | undefined;
  /** Has no effect: the URL says it. */
  host?: string | undefined;
  localAddress?: string | undefined;
  /** How many redirects may be followed. Default: 10. */
  maxRedirects?: number | undefined;
  /** The value of the `Origin` header. */
  origin?: string | undefined;
  /** Has no effect: the URL says it. */
  protocol?: string | undefined;
  /** The subprotocols, unless they are an argument. */
  protocols?: string | string[] | undefined;
  /** The value of the `Sec-WebSocket-Version` header: 13 (default) or 8. */
  protocolVersion?: number | undefined;
  rejectUnauthorized?: boolean | undefined;
}

/** What a `verifyClient` function is told. */
type VerifyClientInfo<Request extends IncomingMessage> = {
  /** The value of the `Origin` header; `undefined` if there is none. */
  origin: string;
  /** The request of the handshake. */
  req: Request;
  /** Whether the connection is encrypted. */
  secure: boolean;
};

/** A `verifyClient` function that accepts with `true`. */
export type VerifyClientCallbackSync<
  Request extends IncomingMessage = IncomingMessage
> = (info: VerifyClientInfo<Request>) => boolean;

/**
 * A `verifyClient` function that answers through a callback, or refuses with a
 * status code, a body and headers.
 */
export type VerifyClientCallbackAsync<
  Request extends IncomingMessage = IncomingMessage
> = (
  info: VerifyClientInfo<Request>,
  callback: (
    result: boolean,
    code?: number,
    message?: string,
    headers?: OutgoingHttpHeaders
  ) => void
) => void;

/** Options of a server, but for the class. */
interface ServerSettings<
  V extends typeof IncomingMessage
> extends ConnectionOptions {
  /** How many connections may wait to be accepted. Default: 511. */
  backlog?: number | undefined;
  /** Whether to keep the set of clients. Default: `true`. */
  clientTracking?: boolean | undefined;
  /**
   * Chooses the subprotocol; `false` is none. Default: the first that the
   * client has asked for.
   */
  handleProtocols?: (
    protocols: Set<string>,
    request: InstanceType<V>
  ) => string | false;
  /** The host to listen on, with `port`. */
  host?: string | undefined;
  /** Whether the program calls `handleUpgrade()` itself. */
  noServer?: boolean | undefined;
  /** The only path to accept. Default: any. */
  path?: string | undefined;
  /** The port to listen on. */
  port?: number | undefined;
  /** The HTTP or HTTPS server whose upgrades to handle. */
  server?: HttpServer<V> | HttpsServer<V> | undefined;
  /**
   * May refuse a handshake: either a `VerifyClientCallbackSync` or, if it has
   * the second parameter, a `VerifyClientCallbackAsync`. This is the type of
   * both, and one that gives the parameters of a function their types. Refusing
   * in an `'upgrade'` listener is the better way.
   */
  verifyClient?:
    | ((...args: Parameters<VerifyClientCallbackAsync<InstanceType<V>>>) => any)
    | undefined;
}

/**
 * Options of a server. One and only one of `port`, `server` and `noServer` must
 * be given. The type parameters, here and below, have the names under which
 * programs know them: a declaration to merge has to repeat them.
 */
export interface ServerOptions<
  U extends typeof WebSocket = typeof WebSocket,
  V extends typeof IncomingMessage = typeof IncomingMessage
> extends ServerSettings<V> {
  /** The class of the connections. */
  WebSocket?: U | undefined;
}

/** Where a server listens. */
export interface AddressInfo {
  address: string;
  family: string;
  port: number;
}

// -- Events in the manner of browsers ----------------------------------------

/** The `'open'` event, and what the others have as well. */
export interface Event {
  target: WebSocket;
  type: string;
}

/** The `'close'` event. */
export interface CloseEvent {
  code: number;
  reason: string;
  target: WebSocket;
  type: string;
  /** Whether a close frame has been both sent and received. */
  wasClean: boolean;
}

/** The `'error'` event. */
export interface ErrorEvent {
  error: any;
  message: string;
  target: WebSocket;
  type: string;
}

/** The `'message'` event. */
export interface MessageEvent {
  data: Data;
  target: WebSocket;
  type: string;
}

/** The events that `addEventListener()` knows. */
export interface WebSocketEventMap {
  close: CloseEvent;
  error: ErrorEvent;
  message: MessageEvent;
  open: Event;
}

/** Options of `addEventListener()`. */
export interface EventListenerOptions {
  /** Whether to remove the listener when it is called. */
  once?: boolean | undefined;
}

/** What `addEventListener()` takes. */
type EventHandler<T> = ((event: T) => void) | { handleEvent(event: T): void };

// -- WebSocket ---------------------------------------------------------------

/** The arguments of the listeners of a `WebSocket`. */
interface WebSocketEvents {
  close: [code: number, reason: Buffer];
  error: [error: Error];
  message: [data: RawData, isBinary: boolean];
  open: [];
  ping: [data: Buffer];
  pong: [data: Buffer];
  redirect: [url: string, request: ClientRequest];
  'unexpected-response': [request: ClientRequest, response: IncomingMessage];
  upgrade: [response: IncomingMessage];
}

/** A WebSocket: a client, or one connection of a server. */
export class WebSocket extends Emitter<WebSocketEvents> {
  /** The handshake is not complete. */
  static readonly CONNECTING: 0;
  /** Messages can be sent and received. */
  static readonly OPEN: 1;
  /** The closing handshake is under way. */
  static readonly CLOSING: 2;
  /** The connection is closed. */
  static readonly CLOSED: 3;

  /**
   * Make one that is not connected, as a server does. Of the options those
   * count that are not about the handshake. That they may be left out is true of
   * the type only: there has to be an object.
   */
  constructor(address: null, protocols?: undefined, options?: ServerOptions);
  /** Connect to a `ws:`, `wss:`, `http:`, `https:` or `ws+unix:` URL. */
  constructor(
    address: URL | string,
    options?: ClientOptions | ClientRequestArgs
  );
  /** Connect, and ask for one of some subprotocols. */
  constructor(
    address: URL | string,
    protocols?: string | string[],
    options?: ClientOptions | ClientRequestArgs
  );

  /** The handshake is not complete. */
  readonly CONNECTING: 0;
  /** Messages can be sent and received. */
  readonly OPEN: 1;
  /** The closing handshake is under way. */
  readonly CLOSING: 2;
  /** The connection is closed. */
  readonly CLOSED: 3;

  /**
   * What binary messages are given as. Default: `'nodebuffer'`.
   *
   * Reading has no `'blob'`: copies of the published declarations, which some
   * packages carry within their own, do not know it, and would not take this
   * class for theirs.
   */
  get binaryType(): Exclude<BinaryType, 'blob'>;
  set binaryType(type: BinaryType);
  /** How many bytes, with frame headers, have not yet been handed over. */
  readonly bufferedAmount: number;
  /** The names of the extensions in use. */
  readonly extensions: string;
  /** Whether `pause()` is in force. */
  readonly isPaused: boolean;
  /** The subprotocol in use, or an empty string. */
  readonly protocol: string;
  /** The state of the connection, one of the four constants. */
  readonly readyState: 0 | 1 | 2 | 3;
  /** The URL. Connections of a server have none. */
  readonly url: string;

  /** A listener for the `'close'` event. */
  onclose: ((event: CloseEvent) => void) | null;
  /** A listener for the `'error'` event. */
  onerror: ((event: ErrorEvent) => void) | null;
  /** A listener for the `'message'` event. */
  onmessage: ((event: MessageEvent) => void) | null;
  /** A listener for the `'open'` event. */
  onopen: ((event: Event) => void) | null;

  /** Add a listener that gets one event object. */
  addEventListener<Type extends keyof WebSocketEventMap>(
    type: Type,
    listener: EventHandler<WebSocketEventMap[Type]>,
    options?: EventListenerOptions
  ): void;
  /** Remove a listener that `addEventListener()` has added. */
  removeEventListener<Type extends keyof WebSocketEventMap>(
    type: Type,
    listener: EventHandler<WebSocketEventMap[Type]>
  ): void;

  /**
   * Start the closing handshake.
   *
   * @throws {TypeError} If the code may not be sent
   * @throws {RangeError} If the reason is longer than 123 bytes
   */
  close(code?: number, reason?: Uint8Array | string): void;
  /** Destroy the connection without a closing handshake. */
  terminate(): void;

  /**
   * Send a message, or a fragment of one. The callback is called when the data
   * has been written out, or with an error.
   *
   * @throws {Error} If the handshake is not complete
   */
  send(data: Sendable, callback?: (error?: Error) => void): void;
  send(
    data: Sendable,
    options: SendOptions,
    callback?: (error?: Error) => void
  ): void;

  /**
   * Send a ping with at most 125 bytes of data.
   *
   * @throws {Error} If the handshake is not complete
   */
  ping(data?: any, mask?: boolean, callback?: (error: Error) => void): void;
  /**
   * Send a pong with at most 125 bytes of data.
   *
   * @throws {Error} If the handshake is not complete
   */
  pong(data?: any, mask?: boolean, callback?: (error: Error) => void): void;

  /** Stop reading. What has been read already may still be emitted. */
  pause(): void;
  /** Read again. */
  resume(): void;
}

// The types are to be had by the name of the class too. No values here: the
// default export of the ES module does not have them.
export namespace WebSocket {
  export {
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
    ServerOptions,
    VerifyClientCallbackAsync,
    VerifyClientCallbackSync,
    WebSocketEventMap
  };

  /** An alias, so that declarations made from a program do not choose it. */
  export type Server<
    T extends typeof WebSocket = typeof WebSocket,
    U extends typeof IncomingMessage = typeof IncomingMessage
  > = SocketServer<T, U>;
}

// Within the namespace `Server` is the alias.
type SocketServer<
  T extends typeof WebSocket,
  U extends typeof IncomingMessage
> = Server<T, U>;

// -- WebSocketServer ---------------------------------------------------------

/** The arguments of the listeners of a `Server`. */
interface ServerEvents<Socket, Request> {
  close: [];
  connection: [websocket: Socket, request: Request];
  error: [error: Error];
  headers: [headers: string[], request: Request];
  listening: [];
  wsClientError: [error: Error, socket: Duplex, request: Request];
}

/**
 * A WebSocket server. The type parameters are the class of its connections and
 * that of the requests, which the `WebSocket` and `server` options set.
 */
export class Server<
  T extends typeof WebSocket = typeof WebSocket,
  U extends typeof IncomingMessage = typeof IncomingMessage
> extends Emitter<ServerEvents<InstanceType<T>, InstanceType<U>>> {
  /**
   * @throws {TypeError} Unless one and only one of `port`, `server` and
   *     `noServer` is given
   */
  constructor(options?: ServerOptions<T, U>, callback?: () => void);

  /** The connections, unless `clientTracking` is off. */
  clients: Set<InstanceType<T>>;
  /**
   * The options with the defaults filled in. They can be changed. Their class
   * must not tell servers apart: the class that `import` gives has fewer statics
   * than the one that `require()` gives.
   */
  options: ServerOptions<any, U>;
  /** Left to the program: ws itself neither sets it nor reads it. */
  path: string;

  /**
   * Where the server listens, with the name as a string for a pipe or a Unix
   * socket.
   *
   * @throws {Error} If it is in `noServer` mode
   */
  address(): AddressInfo | string | null;
  /** Accept no more connections. Those that are open stay open. */
  close(callback?: (error?: Error) => void): void;
  /** Complete a handshake, as far as it is valid. */
  handleUpgrade(
    request: InstanceType<U>,
    socket: Duplex,
    head: Buffer,
    callback: (websocket: InstanceType<T>, request: InstanceType<U>) => void
  ): void;
  /**
   * Say whether to handle a request. Made to be overridden. The result is not
   * waited for: a promise is as good as `true`.
   */
  shouldHandle(request: InstanceType<U>): Promise<boolean> | boolean;
}

/** The name that the class has at run time. */
export const WebSocketServer: typeof Server;
export interface WebSocketServer<
  T extends typeof WebSocket = typeof WebSocket,
  U extends typeof IncomingMessage = typeof IncomingMessage
> extends Server<T, U> {}

// -- Streams -----------------------------------------------------------------

/** Wrap a `WebSocket` in a stream. */
export function createWebSocketStream(
  websocket: WebSocket,
  options?: DuplexOptions
): Duplex;

// -- Building blocks ---------------------------------------------------------

/** Extension parameters as in a header; `true` stands for one with no value. */
export interface ExtensionParams {
  [name: string]: (string | true)[];
}

/** What `extension.format()` takes for the parameters of an extension. */
export interface ExtensionParamsToFormat {
  [name: string]:
    boolean | number | string | readonly (boolean | number | string)[];
}

/** The `Sec-WebSocket-Extensions` header. */
export const extension: {
  /** Write the value of the header. */
  format(extensions: {
    [name: string]:
      | ExtensionParamsToFormat
      | PerMessageDeflateParams
      | readonly (ExtensionParamsToFormat | PerMessageDeflateParams)[];
  }): string;
  /**
   * Read the value of the header: the offers by the name of the extension.
   *
   * @throws {SyntaxError} If the syntax is wrong
   */
  parse(header: string): { [name: string]: ExtensionParams[] };
};

/** The `Sec-WebSocket-Protocol` header. */
export const subprotocol: {
  /**
   * Read the value of the header.
   *
   * @throws {SyntaxError} If the syntax is wrong or a name comes twice
   */
  parse(header: string): Set<string>;
};

/** The negotiated parameters of permessage-deflate. */
export interface PerMessageDeflateParams {
  client_max_window_bits?: number | true;
  client_no_context_takeover?: true;
  server_max_window_bits?: number | true;
  server_no_context_takeover?: true;
}

/** The permessage-deflate extension of one connection. */
export class PerMessageDeflate {
  static readonly extensionName: 'permessage-deflate';

  constructor(
    options?: PerMessageDeflateOptions & {
      /** Whether this is the end of the server. Default: `false`. */
      isServer?: boolean | undefined;
      /** How many bytes a message may inflate to. Default: no limit. */
      maxPayload?: number | undefined;
    }
  );

  /** The parameters, or `null` as long as there are none. */
  params: PerMessageDeflateParams | null;

  /**
   * Accept one of the offers of a client, or the response of a server.
   *
   * @throws {Error} If that is impossible
   */
  accept(configurations: ExtensionParams[]): PerMessageDeflateParams;
  /** Release what the extension holds. */
  cleanup(): void;
  /** Compress a fragment. */
  compress(
    data: Buffer | string,
    fin: boolean,
    callback: (error: Error | null, result: Buffer) => void
  ): void;
  /** Decompress a fragment. */
  decompress(
    data: Buffer,
    fin: boolean,
    callback: (error: Error | null, result: Buffer) => void
  ): void;
  /** The parameters that a client offers. */
  offer(): PerMessageDeflateParams;
}

/** The extensions of a connection, by name. */
export interface Extensions {
  [name: string]: PerMessageDeflate;
}

/** Options of a `Receiver`. All limits are off by default. */
export interface ReceiverOptions extends Pick<
  ConnectionOptions,
  | 'allowSynchronousEvents'
  | 'maxBufferedChunks'
  | 'maxFragments'
  | 'maxPayload'
  | 'skipUTF8Validation'
> {
  /** What binary messages are given as. Default: `'nodebuffer'`. */
  binaryType?: BinaryType | undefined;
  /** The extensions that have been negotiated. */
  extensions?: Extensions | undefined;
  /** Whether frames must be masked, or else must not be. Default: `false`. */
  isServer?: boolean | undefined;
}

/** The arguments of the listeners that a `Receiver` has of its own. */
interface ReceiverEvents {
  conclude: [code: number, reason: Buffer];
  message: [data: RawData, isBinary: boolean];
  ping: [data: Buffer];
  pong: [data: Buffer];
}

/** A stream that frames are written to and that emits what is in them. */
export class Receiver extends Writable {
  constructor(options?: ReceiverOptions);

  on<Name extends keyof ReceiverEvents>(
    event: Name,
    listener: (this: this, ...args: ReceiverEvents[Name]) => void
  ): this;
  on(event: 'error', listener: (this: this, error: Error) => void): this;
  on(
    event: string | symbol,
    listener: (this: any, ...args: any[]) => void
  ): this;

  once<Name extends keyof ReceiverEvents>(
    event: Name,
    listener: (this: this, ...args: ReceiverEvents[Name]) => void
  ): this;
  once(event: 'error', listener: (this: this, error: Error) => void): this;
  once(
    event: string | symbol,
    listener: (this: any, ...args: any[]) => void
  ): this;
}

/** What goes into the header of a frame. */
export interface FrameOptions {
  /** Whether the message ends with this frame. Default: `false`. */
  fin?: boolean | undefined;
  /** Fills the masking key. Default: random bytes. */
  generateMask?: ((mask: Buffer) => void) | undefined;
  /** Whether to mask the data. Default: `false`. */
  mask?: boolean | undefined;
  /** Where to put the masking key: 4 bytes. */
  maskBuffer?: Buffer | undefined;
  /** What kind of frame it is (RFC 6455, 5.2). */
  opcode: number;
  /** Whether the data may not be masked in place. Default: `false`. */
  readOnly?: boolean | undefined;
  /** Whether to set the bit that tells compressed data. Default: `false`. */
  rsv1?: boolean | undefined;
}

/** Frames data and writes it to a socket. */
export class Sender {
  /**
   * Frame data. A header and data that stay as they are come as two buffers;
   * masked `readOnly` data is copied behind the header.
   */
  static frame(
    data: Buffer | string,
    options: FrameOptions
  ): (Buffer | string)[];

  constructor(
    socket: Duplex,
    extensions?: Extensions,
    generateMask?: (mask: Buffer) => void
  );

  /**
   * Send a close frame.
   *
   * @throws {TypeError} If the code may not be sent
   * @throws {RangeError} If the reason is longer than 123 bytes
   */
  close(
    code?: number,
    reason?: Uint8Array | string,
    mask?: boolean,
    callback?: (error?: Error | null) => void
  ): void;
  /** Send a ping. */
  ping(
    data: Sendable,
    mask?: boolean,
    callback?: (error?: Error | null) => void
  ): void;
  /** Send a pong. */
  pong(
    data: Sendable,
    mask?: boolean,
    callback?: (error?: Error | null) => void
  ): void;
  /** Send a message, or a fragment of one. No option is on by default. */
  send(
    data: Sendable,
    options: SendOptions,
    callback?: (error?: Error | null) => void
  ): void;
}
