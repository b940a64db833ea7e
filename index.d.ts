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
  export import SendOptions = types.SendOptions;
  export import ServerOptions = types.ServerOptions;
  export import VerifyClientCallbackAsync = types.VerifyClientCallbackAsync;
  export import VerifyClientCallbackSync = types.VerifyClientCallbackSync;
  export import WebSocketEventMap = types.WebSocketEventMap;

  export import PerMessageDeflate = types.PerMessageDeflate;
  export import Receiver = types.Receiver;
  export import Sender = types.Sender;
  export import createWebSocketStream = types.createWebSocketStream;
  export import extension = types.extension;
  export import subprotocol = types.subprotocol;

  // Programs merge declarations of their own with these three, which an alias
  // would not survive as a value.
  class Server<
    T extends typeof types.WebSocket = typeof types.WebSocket,
    U extends typeof IncomingMessage = typeof IncomingMessage
  > extends types.WebSocketServer<T, U> {}

  const WebSocketServer: typeof Server;
  interface WebSocketServer<
    T extends typeof types.WebSocket = typeof types.WebSocket,
    U extends typeof IncomingMessage = typeof IncomingMessage
  > extends Server<T, U> {}

  const WebSocket: typeof WebSocketClass;
  interface WebSocket extends types.WebSocket {}
}

export = WebSocket;
