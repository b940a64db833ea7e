'use strict';

const http = require('http');
const { URL } = require('url');

const { describe } = require('../recorder');

const BAD_URLS = [
  '',
  'foo',
  'ws:',
  'ws://',
  'ws:///',
  '//localhost',
  'ws://local host',
  'ws://localhost:99999',
  'ftp://localhost',
  'mailto:a@b',
  'ws+unix:',
  'ws+unix://',
  'ws://localhost/#',
  'ws://localhost/#fragment',
  'wss://localhost#f',
  'http://localhost#f',
  'ws+unix:/tmp/none.sock:/#x',
  'ws://[::1',
  'WS+UNIX:',
  'javascript:alert(1)',
  null,
  undefined,
  17,
  {},
  [],
  true,
  new URL('ftp://localhost'),
  new URL('ws://localhost/#x')
];

const PROTOCOLS = [
  '',
  ' ',
  'a b',
  'a,b',
  'é',
  '"a"',
  'a/b',
  [''],
  ['a', 'a'],
  ['a', 'A', 'a'],
  ['a', 5],
  [null],
  [undefined],
  5,
  true,
  false,
  () => {},
  Symbol('a')
];

/**
 * Constructs a client that is not given the time to connect, and logs what
 * happened.
 *
 * @param {Function} WebSocket The class
 * @param {Function} log The log
 * @param {String} label The label
 * @param {Array} args The arguments of the constructor
 * @return {Promise} Resolved when the client is gone
 */
async function construct(WebSocket, log, label, args) {
  let ws;
  try {
    ws = new WebSocket(...args);
  } catch (err) {
    log(`${label} threw`, err);
    return;
  }
  log(label, ws.url, ws.readyState, ws.protocol, ws.binaryType);
  ws.on('error', () => {});
  const closed = new Promise((resolve) => ws.on('close', resolve));
  ws.terminate();
  await closed;
}

module.exports = [
  {
    title: 'new WebSocket() with addresses that are refused',
    async run(WebSocket, log) {
      for (const address of BAD_URLS) {
        if (address === null) continue;
        await construct(WebSocket, log, describe(address), [address]);
      }
      await construct(WebSocket, log, 'no argument', []);
    }
  },
  {
    title: 'new WebSocket(null) without options',
    async run(WebSocket, log, t) {
      t.attempt(log, 'null', () => new WebSocket(null));
      t.attempt(log, 'null options', () => new WebSocket(null, null, null));
      t.attempt(log, 'empty', () => new WebSocket(null, undefined, {}));
    }
  },
  {
    title: 'new WebSocket() with addresses that are accepted',
    async run(WebSocket, log) {
      for (const address of [
        'ws://127.0.0.1:1',
        'ws://127.0.0.1:1/a/../b?c=d',
        'WS://127.0.0.1:1/',
        'ws://user:p%40ss@127.0.0.1:1/',
        'http://127.0.0.1:1/x',
        'https://127.0.0.1:1/x',
        'wss://127.0.0.1:1/x',
        'ws://127.0.0.1:80/x',
        'ws://[::1]:1/',
        ' ws://127.0.0.1:1/ ',
        'ws://127.0.0.1:1/\u00e9?\u00fc',
        'ws+unix:/nonexistent/a.sock',
        'ws+unix:/nonexistent/a.sock:/path?x=1',
        'ws+unix:./relative.sock:/',
        new URL('ws://127.0.0.1:1/url'),
        new URL('http://127.0.0.1:1/url')
      ]) {
        await construct(WebSocket, log, String(address), [address]);
      }
    }
  },
  {
    title: 'a URL object with the scheme http is not changed',
    async run(WebSocket, log) {
      const url = new URL('http://127.0.0.1:1/');
      await construct(WebSocket, log, 'first', [url]);
      log('url', url.href);
    }
  },
  {
    title: 'new WebSocket() with subprotocols that are refused',
    async run(WebSocket, log) {
      for (const protocols of PROTOCOLS) {
        const label = describe(protocols);
        await construct(WebSocket, log, `argument ${label}`, [
          'ws://127.0.0.1:1',
          protocols
        ]);
        await construct(WebSocket, log, `option ${label}`, [
          'ws://127.0.0.1:1',
          { protocols }
        ]);
        await construct(WebSocket, log, `undefined and option ${label}`, [
          'ws://127.0.0.1:1',
          undefined,
          { protocols }
        ]);
      }
      await construct(WebSocket, log, 'null', ['ws://127.0.0.1:1', null]);
      await construct(WebSocket, log, 'null option', [
        'ws://127.0.0.1:1',
        { protocols: null }
      ]);
    }
  },
  {
    title: 'new WebSocket() with protocol versions',
    async run(WebSocket, log) {
      for (const protocolVersion of [
        7,
        8,
        12,
        13,
        14,
        '13',
        null,
        undefined,
        NaN
      ]) {
        await construct(WebSocket, log, describe(protocolVersion), [
          'ws://127.0.0.1:1',
          { protocolVersion }
        ]);
      }
    }
  },
  {
    title: 'the order in which new WebSocket() checks its arguments',
    async run(WebSocket, log) {
      await construct(WebSocket, log, 'version before address', [
        'bad',
        { protocolVersion: 1 }
      ]);
      await construct(WebSocket, log, 'address before subprotocol', [
        'bad',
        'a b'
      ]);
      await construct(WebSocket, log, 'fragment before subprotocol', [
        'ws://127.0.0.1:1/#a',
        'a b'
      ]);
    }
  },
  {
    title: 'options that Node refuses synchronously',
    async run(WebSocket, log) {
      for (const [label, options] of [
        ['header name', { headers: { 'a b': 'c' } }],
        ['header value', { headers: { a: 'b\r\nc' } }],
        ['undefined header', { headers: { a: undefined } }],
        ['origin', { origin: 'a\nb' }],
        ['timeout', { handshakeTimeout: 'soon' }],
        ['negative timeout', { handshakeTimeout: -1 }],
        ['agent', { agent: {} }],
        ['auth', { auth: 5 }],
        ['insecure parser', { insecureHTTPParser: 1 }],
        ['max header size', { maxHeaderSize: 'x' }]
      ]) {
        await construct(WebSocket, log, label, ['ws://127.0.0.1:1', options]);
      }
      await construct(WebSocket, log, 'path', ['ws+unix:/a b:/x y']);
    }
  },
  {
    title: 'permessage-deflate options that are refused by the client',
    async run(WebSocket, log) {
      for (const perMessageDeflate of [
        { clientMaxWindowBits: 7 },
        { serverMaxWindowBits: 'x' },
        { clientMaxWindowBits: 16 },
        'yes',
        1,
        null
      ]) {
        await construct(WebSocket, log, describe(perMessageDeflate), [
          'ws://127.0.0.1:1',
          { perMessageDeflate }
        ]);
      }
    }
  },
  {
    title: 'instance fields that follow from the options of a client',
    async run(WebSocket, log) {
      for (const options of [
        {},
        { autoPong: false },
        { autoPong: true, maxPendingAutoPongs: 0 },
        { maxPendingAutoPongs: '12' },
        { maxPendingAutoPongs: -1 },
        { closeTimeout: 123 },
        { closeTimeout: undefined }
      ]) {
        const ws = new WebSocket('ws://127.0.0.1:1', options);
        ws.on('error', () => {});
        log(
          describe(options),
          ws._autoPong,
          ws._maxPendingAutoPongs,
          ws._pendingAutoPongs,
          ws._closeTimeout,
          typeof ws._autoPongComplete
        );
        ws.terminate();
        await new Promise((resolve) => ws.on('close', resolve));
      }
    }
  },
  {
    title: 'instance fields that follow from the options of a server',
    async run(WebSocket, log) {
      for (const options of [
        {},
        { autoPong: false },
        { autoPong: 1, maxPendingAutoPongs: 2.5 },
        { closeTimeout: 99 }
      ]) {
        const ws = new WebSocket(null, undefined, options);
        log(
          describe(options),
          ws._autoPong,
          ws._maxPendingAutoPongs,
          ws._closeTimeout,
          ws._isServer,
          ws._url,
          ws._bufferedAmount,
          ws.bufferedAmount,
          ws.url
        );
      }
    }
  },
  {
    title: 'new WebSocketServer() with impossible combinations of options',
    async run(WebSocket, log, t) {
      const server = http.createServer();
      for (const [label, options] of [
        ['nothing', undefined],
        ['empty', {}],
        ['null', null],
        ['port and server', { port: 0, server }],
        ['port and noServer', { port: 0, noServer: true }],
        ['server and noServer', { server, noServer: true }],
        ['all', { port: 0, server, noServer: true }],
        ['port null', { port: null }],
        ['port undefined', { port: undefined }],
        ['noServer false', { noServer: false }],
        ['bad port', { port: 65536 }],
        ['negative port', { port: -1 }]
      ]) {
        t.attempt(log, label, () => {
          return new WebSocket.Server(options).constructor.name;
        });
      }
      t.attempt(log, 'no argument', () => new WebSocket.Server());
      t.attempt(log, 'without new', () => WebSocket.Server({ port: 0 }));
    }
  },
  {
    title: 'the defaults of the options of a WebSocketServer',
    async run(WebSocket, log) {
      const wss = new WebSocket.Server({ noServer: true });
      for (const [key, value] of Object.entries(wss.options)) {
        log(key, key === 'WebSocket' ? value === WebSocket : value);
      }
      log('unknown', new WebSocket.Server({ noServer: true, x: 1 }).options.x);
    }
  },
  ...[
    'allowSynchronousEvents',
    'autoPong',
    'backlog',
    'clientTracking',
    'closeTimeout',
    'handleProtocols',
    'host',
    'maxBufferedChunks',
    'maxFragments',
    'maxPayload',
    'maxPendingAutoPongs',
    'path',
    'perMessageDeflate',
    'skipUTF8Validation',
    'verifyClient'
  ].map((name) => ({
    title: `the option ${name} of a WebSocketServer set to odd values`,
    async run(WebSocket, log, t) {
      for (const value of [undefined, null, false, true, 0, 1, 'x', {}]) {
        t.attempt(log, describe(value), () => {
          const wss = new WebSocket.Server({ noServer: true, [name]: value });
          return [wss.options[name], 'clients' in wss, wss._state];
        });
      }
    }
  }))
];
