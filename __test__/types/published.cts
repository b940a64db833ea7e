// Packages carry copies of the declarations published for ws within their own,
// or have a version of them to themselves. What they declare with those must
// take, and give, what this package declares.

import Ours = require('ws');
import Published = require('published-types');

export function instances(
  ours: Ours,
  published: Published,
  oursByName: Ours.WebSocket,
  publishedByName: Published.WebSocket
): void {
  ours = published;
  published = ours;
  oursByName = publishedByName;
  publishedByName = oursByName;
}

export function servers(ours: Ours.Server, published: Published.Server): void {
  ours = published;
  published = ours;
}

export function classes(
  published: typeof Published,
  publishedServer: typeof Published.Server
): void {
  published = Ours;
  publishedServer = Ours.Server;
  new Ours.Server({ noServer: true, WebSocket: published });
  new publishedServer({ noServer: true, WebSocket: Ours });
}

export function options(
  client: [Ours.ClientOptions, Published.ClientOptions],
  deflate: [Ours.PerMessageDeflateOptions, Published.PerMessageDeflateOptions],
  server: [Ours.ServerOptions, Published.ServerOptions]
): void {
  client[0] = client[1];
  client[1] = client[0];
  deflate[0] = deflate[1];
  deflate[1] = deflate[0];
  server[1] = server[0];
}

export function events(
  ours: Ours.WebSocketEventMap,
  published: Published.WebSocketEventMap
): void {
  ours = published;
  published = ours;
}

// Every name that is published is here.
export type Names = [
  Ours.AddressInfo,
  Ours.CertMeta,
  Ours.ClientOptions,
  Ours.CloseEvent,
  Ours.Data,
  Ours.ErrorEvent,
  Ours.Event,
  Ours.EventListenerOptions,
  Ours.FinishRequestCallback,
  Ours.MessageEvent,
  Ours.PerMessageDeflateOptions,
  Ours.RawData,
  Ours.Server,
  Ours.ServerOptions,
  Ours.VerifyClientCallbackAsync,
  Ours.VerifyClientCallbackSync,
  Ours.WebSocket,
  Ours.WebSocketEventMap,
  Ours.WebSocketServer
];
export const values: readonly (keyof typeof Ours)[] =
  [] as (keyof typeof Published)[];
