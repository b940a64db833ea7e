/// <reference types="node" />

// What `require()` gives: the class, with everything else as its statics.

import { IncomingMessage } from 'http';

import types = require('./lib/types');

declare class WebSocket extends types.WebSocket {}

// Within the namespace `WebSocket` is what programs get as `WebSocket.WebSocket`.
declare const WebSocketClass: typeof WebSocket;

declare namespace WebSocket {
  export import AddressInfo = types.AddressInfo;
  export import BinaryType = types.BinaryType;
  export import CertMeta = types.CertMeta;
  export import ClientOptions = types.ClientOptions;
  export import CloseEvent = types.CloseEvent;
  export import Data = types.Data;
  export import ErrorEvent = types.ErrorEvent;
  export import Event = types.Event;
  export import EventListenerOptions = types.EventListenerOptions;
  export import ExtensionParams = types.ExtensionParams;
  export import ExtensionParamsToFormat = types.ExtensionParamsToFormat;
  export import Extensions = types.Extensions;
  export import FinishRequestCallback = types.FinishRequestCallback;
  export import FrameOptions = types.FrameOptions;
  export import MessageEvent = types.MessageEvent;
  export import PerMessageDeflateOptions = types.PerMessageDeflateOptions;
  export import PerMessageDeflateParams = types.PerMessageDeflateParams;
  export import RawData = types.RawData;
  export import ReceiverOptions = types.ReceiverOptions;
  export import VerifyClientCallbackAsync = types.VerifyClientCallbackAsync;
  export import VerifyClientCallbackSync = types.VerifyClientCallbackSync;
  export import WebSocketEventMap = types.WebSocketEventMap;

  export import PerMessageDeflate = types.PerMessageDeflate;
  export import Receiver = types.Receiver;
  export import Sender = types.Sender;
  export import createWebSocketStream = types.createWebSocketStream;
  export import extension = types.extension;
  export import subprotocol = types.subprotocol;

  // These are declared once more: for the default of the first parameter, which
  // has to be the class by a name that a program can reach, and because programs
  // merge declarations of their own with them, which no alias for a value would
  // survive.

  interface ServerOptions<
    U extends typeof types.WebSocket = typeof WebSocketClass,
    V extends typeof IncomingMessage = typeof IncomingMessage
  > extends types.ServerOptions<U, V> {}

  class Server<
    T extends typeof types.WebSocket = typeof WebSocketClass,
    U extends typeof IncomingMessage = typeof IncomingMessage
  > extends types.Server<T, U> {
    constructor(options?: ServerOptions<T, U>, callback?: () => void);

    // `any`, so that a server of @types/ws and one of these can stand for each
    // other.
    options: ServerOptions<any, U>;
  }

  const WebSocketServer: typeof Server;
  interface WebSocketServer<
    T extends typeof types.WebSocket = typeof WebSocketClass,
    U extends typeof IncomingMessage = typeof IncomingMessage
  > extends Server<T, U> {}

  const WebSocket: typeof WebSocketClass;
  interface WebSocket extends types.WebSocket {}
}

export = WebSocket;
