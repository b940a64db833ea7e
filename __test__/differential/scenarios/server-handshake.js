'use strict';

const http = require('http');
const net = require('net');

const { KEY } = require('../../helpers/handshake');
const { describe } = require('../recorder');

/**
 * Sends bytes to a server and logs the bytes of its answer, the events of the
 * server and whether the connection was closed.
 *
 * @param {Object} t The toolbox
 * @param {Function} log The log
 * @param {WebSocketServer} wss The server
 * @param {(Buffer|String|String[])} request The request; several strings are
 *     sent one after the other
 * @return {Promise} Resolved when the answer is complete
 */
async function exchange(t, log, wss, request) {
  const peer = await t.connect(wss.address().port);
  const answer = log.channel('answer');
  for (const part of [].concat(request)) {
    peer.write(part);
    if (Array.isArray(request)) await t.sleep(2);
  }
  const head = await peer.upgraded();
  if (head === null) {
    answer('closed', peer.bytes);
    return;
  }
  for (const line of head.trimEnd().split('\r\n')) {
    if (!line.startsWith('Date: ')) answer(line);
  }
  const length = /^Content-Length: (\d+)\r$/im.exec(head);
  if (/^Connection: close\r$/im.test(head)) {
    await peer.closed;
    answer('closed', peer.bytes);
  } else if (length !== null) {
    await peer.when(() => peer.bytes.length >= +length[1]);
    answer('open', peer.bytes);
  }
  peer.socket.destroy();
}

/**
 * Logs the events of a server.
 *
 * @param {Function} log The log
 * @param {WebSocketServer} wss The server
 */
function watch(log, wss) {
  wss.on('headers', (headers, req) => log('headers', headers, req.url));
  wss.on('connection', (ws, req) => {
    log('connection', {
      url: req.url,
      method: req.method,
      version: req.httpVersion,
      headers: req.headers,
      raw: req.rawHeaders,
      protocol: ws.protocol,
      extensions: ws.extensions
    });
    log('request', [
      req.constructor.name,
      req instanceof http.IncomingMessage,
      req.socket === ws._socket,
      req.client === ws._socket,
      req.connection === ws._socket,
      req.upgrade,
      req.complete,
      req.aborted,
      req.destroyed,
      req.statusCode,
      req.statusMessage,
      req.httpVersionMajor,
      req.httpVersionMinor,
      Object.keys(req.trailers).length,
      req.rawTrailers.length
    ]);
    ws.on('error', (err) => log('ws error', err));
  });
}

/**
 * Makes a request with some headers.
 *
 * @param {Object} t The toolbox
 * @param {Object} headers The headers
 * @param {String} [line] The request line
 * @return {String} The request
 */
function request(t, headers, line) {
  return t.request({ headers, line });
}

const EXTENSION = 'Sec-WebSocket-Extensions';
const PROTOCOL = 'Sec-WebSocket-Protocol';

//
// What is sent, by name. Those in the second list leave the connection open on
// purpose, for the server waits or answers without closing.
//
const REQUESTS = {
  'a plain request': (t) => request(t, {}),
  'the method POST': (t) => request(t, {}, 'POST / HTTP/1.1'),
  'the method HEAD': (t) => request(t, {}, 'HEAD / HTTP/1.1'),
  'the method OPTIONS': (t) => request(t, {}, 'OPTIONS * HTTP/1.1'),
  'the method CONNECT': (t) => request(t, {}, 'CONNECT a:1 HTTP/1.1'),
  'an unknown method': (t) => request(t, {}, 'BREW / HTTP/1.1'),
  'the method get': (t) => request(t, {}, 'get / HTTP/1.1'),
  'a path with a query': (t) => request(t, {}, 'GET /a/b?c=d&e HTTP/1.1'),
  'a URL instead of a path': (t) => {
    return request(t, {}, 'GET http://example.com/x HTTP/1.1');
  },
  'a path that is not ASCII': (t) => request(t, {}, 'GET /\u00e9 HTTP/1.1'),
  'a path with a fragment': (t) => request(t, {}, 'GET /a#b HTTP/1.1'),
  'a star as path': (t) => request(t, {}, 'GET * HTTP/1.1'),
  'no path': (t) => request(t, {}, 'GET HTTP/1.1'),
  'two spaces in the request line': (t) => request(t, {}, 'GET  / HTTP/1.1'),
  'HTTP/1.0': (t) => request(t, {}, 'GET / HTTP/1.0'),
  'HTTP/0.9': (t) => request(t, {}, 'GET / HTTP/0.9'),
  'HTTP/2.0': (t) => request(t, {}, 'GET / HTTP/2.0'),
  'http/1.1 in small letters': (t) => request(t, {}, 'GET / http/1.1'),
  'an empty line before the request': (t) => `\r\n${request(t, {})}`,
  'header names in small letters': (t) => {
    return request(t, {})
      .toLowerCase()
      .replace(/get \/ http/, 'GET / HTTP')
      .replace(KEY.toLowerCase(), KEY);
  },
  'header names in capitals': (t) => {
    return request(t, {}).replace(/^[\w-]+:/gm, (name) => name.toUpperCase());
  },
  'no spaces after the colons': (t) => request(t, {}).replace(/: /g, ':'),
  'many spaces around the values': (t) => {
    return request(t, {}).replace(/: (.*)\r/g, ': \t  $1 \t \r');
  },
  'a space before a colon': (t) => request(t, { 'X-Own ': 'a' }),
  'a folded header': (t) => request(t, { 'X-Own': 'a\r\n b' }),
  'a header without value': (t) => request(t, { 'X-Own': '' }),
  'a header without name': (t) => request(t, {}).replace('Host', ''),
  'a header that is not ASCII': (t) => request(t, { 'X-Own': '\u00fc\u00ff' }),
  'a header with a zero byte': (t) => request(t, { 'X-Own': 'a\u0000b' }),
  'a header with a control character': (t) =>
    request(t, { 'X-Own': 'a\u0001' }),
  'a header with a tab': (t) => request(t, { 'X-Own': 'a\tb' }),
  'a header name with odd characters': (t) => request(t, { "X!#$%&'*": 'a' }),
  'a header name with a slash': (t) => request(t, { 'X/Y': 'a' }),
  'line feeds without carriage returns': (t) => {
    return request(t, {}).replace(/\r/g, '');
  },
  'no Host header': (t) => request(t, { Host: undefined }),
  'an empty Host header': (t) => request(t, { Host: '' }),
  'two Host headers': (t) => request(t, { Host: ['a', 'b'] }),
  'a header twice': (t) => request(t, { 'X-Own': ['a', 'b'] }),
  'cookies twice': (t) => request(t, { Cookie: ['a=b', 'c=d'] }),
  'the origin twice': (t) => request(t, { Origin: ['a', 'b'] }),
  '__proto__ as a header': (t) => request(t, { ['__proto__']: 'a' }),
  'many headers': (t) => {
    const headers = {};
    for (let i = 0; i < 100; i++) headers[`X-Header-${i}`] = `${i}`;
    return request(t, headers);
  },
  'more headers than are allowed': (t) => {
    const headers = {};
    for (let i = 0; i < 2100; i++) headers[`X${i}`] = '';
    return request(t, headers);
  },
  'headers of 10000 bytes': (t) => request(t, { 'X-Own': 'x'.repeat(10000) }),
  'headers of 20000 bytes': (t) => request(t, { 'X-Own': 'x'.repeat(20000) }),
  'a path of 20000 bytes': (t) => {
    return request(t, {}, `GET /${'x'.repeat(20000)} HTTP/1.1`);
  },
  'no Connection header': (t) => request(t, { Connection: undefined }),
  'Connection: close': (t) => request(t, { Connection: 'close' }),
  'Connection: keep-alive, Upgrade': (t) => {
    return request(t, { Connection: 'keep-alive, Upgrade' });
  },
  'Connection: close, Upgrade': (t) => {
    return request(t, { Connection: 'close, Upgrade' });
  },
  'Connection: upgrade in small letters': (t) => {
    return request(t, { Connection: 'upgrade' });
  },
  'two Connection headers': (t) => {
    return request(t, { Connection: ['keep-alive', 'Upgrade'] });
  },
  'Connection: X-Upgrade': (t) => request(t, { Connection: 'X-Upgrade' }),
  'no Upgrade header': (t) => request(t, { Upgrade: undefined }),
  'an empty Upgrade header': (t) => request(t, { Upgrade: '' }),
  'Upgrade: WebSocket': (t) => request(t, { Upgrade: 'WebSocket' }),
  'Upgrade: h2c': (t) => request(t, { Upgrade: 'h2c' }),
  'Upgrade: websocket, h2c': (t) => request(t, { Upgrade: 'websocket, h2c' }),
  'Upgrade: websocket/13': (t) => request(t, { Upgrade: 'websocket/13' }),
  'two Upgrade headers': (t) => {
    return request(t, { Upgrade: ['websocket', 'websocket'] });
  },
  'no key': (t) => request(t, { 'Sec-WebSocket-Key': undefined }),
  'an empty key': (t) => request(t, { 'Sec-WebSocket-Key': '' }),
  'a short key': (t) => request(t, { 'Sec-WebSocket-Key': 'YWJj' }),
  'a long key': (t) => request(t, { 'Sec-WebSocket-Key': `a${KEY}` }),
  'a key without padding': (t) => {
    return request(t, { 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQAA' });
  },
  'a key with other characters': (t) => {
    return request(t, { 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25j-_==' });
  },
  'two keys': (t) => request(t, { 'Sec-WebSocket-Key': [KEY, KEY] }),
  'no version': (t) => request(t, { 'Sec-WebSocket-Version': undefined }),
  'the version 8': (t) => request(t, { 'Sec-WebSocket-Version': '8' }),
  'the version 7': (t) => request(t, { 'Sec-WebSocket-Version': '7' }),
  'the version 14': (t) => request(t, { 'Sec-WebSocket-Version': '14' }),
  'the version 13.0': (t) => request(t, { 'Sec-WebSocket-Version': '13.0' }),
  'the version 0xd': (t) => request(t, { 'Sec-WebSocket-Version': '0xd' }),
  'the version 013': (t) => request(t, { 'Sec-WebSocket-Version': '013' }),
  'the version +13': (t) => request(t, { 'Sec-WebSocket-Version': '+13' }),
  'the version 1.3e1': (t) => request(t, { 'Sec-WebSocket-Version': '1.3e1' }),
  'the version x': (t) => request(t, { 'Sec-WebSocket-Version': 'x' }),
  'the versions 13, 8': (t) => {
    return request(t, { 'Sec-WebSocket-Version': '13, 8' });
  },
  'two versions': (t) => request(t, { 'Sec-WebSocket-Version': ['13', '13'] }),
  'a subprotocol': (t) => request(t, { [PROTOCOL]: 'a' }),
  subprotocols: (t) => request(t, { [PROTOCOL]: 'a, b ,c' }),
  'two subprotocol headers': (t) => request(t, { [PROTOCOL]: ['a', 'b'] }),
  'a subprotocol twice': (t) => request(t, { [PROTOCOL]: 'a, a' }),
  'an empty subprotocol': (t) => request(t, { [PROTOCOL]: '' }),
  'subprotocols that can not be parsed': (t) =>
    request(t, { [PROTOCOL]: 'a b' }),
  'a trailing comma in subprotocols': (t) => request(t, { [PROTOCOL]: 'a,' }),
  'an extension': (t) => request(t, { [EXTENSION]: 'permessage-deflate' }),
  'extensions that can not be parsed': (t) => request(t, { [EXTENSION]: ';' }),
  'two extension headers': (t) => {
    return request(t, { [EXTENSION]: ['x-one', 'permessage-deflate'] });
  },
  'an unknown extension': (t) => request(t, { [EXTENSION]: 'x-unknown' }),
  'an empty extension': (t) => request(t, { [EXTENSION]: '' }),
  'an unknown parameter': (t) => {
    return request(t, { [EXTENSION]: 'permessage-deflate; x' });
  },
  'two offers': (t) => {
    return request(t, {
      [EXTENSION]:
        'permessage-deflate; server_no_context_takeover, permessage-deflate'
    });
  },
  'all parameters': (t) => {
    return request(t, {
      [EXTENSION]:
        'permessage-deflate; client_max_window_bits=10; ' +
        'server_max_window_bits=11; client_no_context_takeover; ' +
        'server_no_context_takeover'
    });
  },
  'a body of two bytes': (t) => {
    return `${request(t, { 'Content-Length': '2' })}hi`;
  },
  'a body in chunks': (t) => {
    return `${request(t, { 'Transfer-Encoding': 'chunked' })}0\r\n\r\n`;
  },
  'an impossible Content-Length': (t) => {
    return request(t, { 'Content-Length': 'x' });
  },
  'Content-Length and Transfer-Encoding': (t) => {
    return request(t, {
      'Content-Length': '0',
      'Transfer-Encoding': 'chunked'
    });
  },
  'Expect: 100-continue': (t) => request(t, { Expect: '100-continue' }),
  'Expect: x': (t) => request(t, { Expect: 'x' }),
  'what is not HTTP': () => 'hello\r\n\r\n',
  'the beginning of TLS': () => Buffer.from('16030100010100\r\n\r\n', 'hex'),
  'an HTTP/2 preface': () => 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
};

const PLAIN = {
  'a plain GET': 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
  'a plain POST':
    'POST /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n' +
    'Content-Length: 2\r\n\r\nhi',
  'a plain HEAD': 'HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
  'HTTP/1.0': 'GET / HTTP/1.0\r\n\r\n',
  'two requests':
    'GET / HTTP/1.1\r\nHost: a\r\n\r\n' +
    'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'
};

const OPTIONS = [
  [{}, 'the defaults'],
  [{ perMessageDeflate: true }, 'perMessageDeflate']
];

const PARAMETERS = [
  '',
  '; client_max_window_bits',
  '; client_max_window_bits=8',
  '; client_max_window_bits=9',
  '; client_max_window_bits=15',
  '; client_max_window_bits=16',
  '; client_max_window_bits="10"',
  '; client_max_window_bits=x',
  '; client_max_window_bits=08',
  '; client_max_window_bits=8.0',
  '; client_max_window_bits=1e1',
  '; server_max_window_bits',
  '; server_max_window_bits=8',
  '; server_max_window_bits=15',
  '; server_no_context_takeover',
  '; server_no_context_takeover=1',
  '; client_no_context_takeover',
  '; client_no_context_takeover; client_no_context_takeover',
  '; server_max_window_bits=9, permessage-deflate',
  '; server_no_context_takeover, permessage-deflate; x',
  '; x, permessage-deflate'
];

const DEFLATE_OPTIONS = [
  {},
  { serverMaxWindowBits: 10 },
  { serverMaxWindowBits: false },
  { serverMaxWindowBits: true },
  { clientMaxWindowBits: 10 },
  { clientMaxWindowBits: false },
  { clientMaxWindowBits: true },
  { serverNoContextTakeover: true },
  { serverNoContextTakeover: false },
  { clientNoContextTakeover: true },
  { clientNoContextTakeover: false },
  {
    clientMaxWindowBits: 9,
    serverMaxWindowBits: 9,
    clientNoContextTakeover: true,
    serverNoContextTakeover: true
  }
];

const VERIFIERS = {
  'returns true': () => true,
  'returns false': () => false,
  'returns 1': () => 1,
  'returns undefined': () => undefined,
  'returns a promise': () => Promise.resolve(false),
  'calls back true': (info, callback) => callback(true),
  'calls back true later': (info, callback) => setImmediate(callback, true),
  'calls back false': (info, callback) => callback(false),
  'calls back false later': (info, callback) => setImmediate(callback, false),
  'calls back nothing': (info, callback) => callback(),
  'calls back 404': (info, callback) => callback(false, 404),
  'calls back 499': (info, callback) => callback(false, 499, 'own'),
  'calls back a message': (info, callback) => callback(false, 403, 'n\u00f6'),
  'calls back an empty message': (info, callback) => callback(false, 403, ''),
  'calls back headers': (info, callback) => {
    callback(false, 401, 'no', { 'WWW-Authenticate': 'Basic', 'X-List': 'a' });
  },
  'calls back headers that replace others': (info, callback) => {
    callback(false, 302, undefined, {
      Location: '/x',
      'Content-Type': 'text/plain',
      'Content-Length': 5,
      connection: 'own'
    });
  },
  'has three parameters': (info, callback, third) => third === undefined
};

const PROTOCOL_HANDLERS = {
  'returns the last': (protocols) => [...protocols].pop(),
  'returns false': () => false,
  'returns undefined': () => undefined,
  'returns an empty string': () => '',
  'returns what was not offered': () => 'own',
  'returns a number': () => 5,
  'returns what is not a token': () => 'a b'
};

const scenarios = [];

for (const [options, optionsName] of OPTIONS) {
  for (const [name, make] of Object.entries(REQUESTS)) {
    scenarios.push({
      title: `the server with ${optionsName} gets ${name}`,
      async run(WebSocket, log, t) {
        const wss = await t.server(options);
        watch(log, wss);
        await exchange(t, log, wss, Buffer.from(make(t), 'latin1'));
        await t.turn();
      }
    });
  }
}

for (const [name, bytes] of Object.entries(PLAIN)) {
  for (const mode of ['port', 'server']) {
    scenarios.push({
      title: `the server in the mode ${mode} gets ${name} without upgrade`,
      async run(WebSocket, log, t) {
        const server = http.createServer((req, res) => {
          log('request', req.method, req.url);
          res.end('own answer');
        });
        if (mode === 'server') await t.listen(server);
        const wss = await t.server(
          mode === 'server' ? { port: undefined, server } : {}
        );
        watch(log, wss);
        const peer = await t.connect(wss.address().port);
        peer.write(bytes);
        await peer.closed;
        log(
          'answer',
          (peer.head + peer.bytes.toString()).replace(/Date: .*\r\n/g, '')
        );
      }
    });
  }
}

for (const perMessageDeflate of DEFLATE_OPTIONS) {
  scenarios.push({
    title: `the server is offered permessage-deflate with ${describe(
      perMessageDeflate
    )}`,
    async run(WebSocket, log, t) {
      const wss = await t.server({ perMessageDeflate });
      wss.on('connection', (ws) => {
        const deflate = ws._extensions['permessage-deflate'];
        log('params', deflate && deflate.params, ws.extensions);
      });
      for (const parameters of PARAMETERS) {
        log.channel('answer')(`offer ${parameters}`);
        log(`offer ${parameters}`);
        await exchange(
          t,
          log,
          wss,
          request(t, { [EXTENSION]: `permessage-deflate${parameters}` })
        );
      }
    }
  });
}

for (const [name, verifyClient] of Object.entries(VERIFIERS)) {
  scenarios.push({
    title: `verifyClient ${name}`,
    async run(WebSocket, log, t) {
      const own = (info, callback) => {
        log('verifyClient', Object.keys(info), info.origin, info.secure);
        log('request', info.req.url, info.req.socket.readable);
        return verifyClient(info, callback);
      };
      let verifier = own;
      if (verifyClient.length < 2) verifier = (info) => own(info);
      if (verifyClient.length === 3) {
        verifier = (info, callback, third) => own(info, callback, third);
      }
      const wss = await t.server({ verifyClient: verifier });
      watch(log, wss);
      await exchange(t, log, wss, request(t, { Origin: 'http://o' }));
      await exchange(
        t,
        log,
        wss,
        request(t, {
          'Sec-WebSocket-Version': 8,
          'Sec-WebSocket-Origin': 'http://o8'
        })
      );
    }
  });
}

for (const [name, handleProtocols] of Object.entries(PROTOCOL_HANDLERS)) {
  scenarios.push({
    title: `handleProtocols ${name}`,
    async run(WebSocket, log, t) {
      const wss = await t.server({
        handleProtocols(protocols, req) {
          log('handleProtocols', protocols, req.url, this === wss.options);
          return handleProtocols(protocols, req);
        }
      });
      watch(log, wss);
      await exchange(t, log, wss, request(t, { [PROTOCOL]: 'a, b' }));
      await exchange(t, log, wss, request(t, {}));
    }
  });
}

for (const [name, change] of Object.entries({
  'adds one': (headers) => headers.push('Set-Cookie: a=b', 'X-Own: \u00e9'),
  'removes one': (headers) => headers.pop(),
  'replaces the status line': (headers) => {
    headers[0] = 'HTTP/1.1 101 Own';
  },
  'empties the list': (headers) => headers.splice(1),
  'adds something with line breaks': (headers) => headers.push('A: b\r\nC: d')
})) {
  scenarios.push({
    title: `a listener of the headers event ${name}`,
    async run(WebSocket, log, t) {
      const wss = await t.server();
      wss.on('headers', (headers, req) => {
        log('this', Array.isArray(headers), req.headers.host);
        change(headers);
        log('headers', headers);
      });
      await exchange(t, log, wss, request(t, {}));
    }
  });
}

for (const [name, make] of Object.entries(REQUESTS).filter(([name]) => {
  return /method|Upgrade|key|version|sub|ext|parameter|plain/.test(name);
})) {
  scenarios.push({
    title: `wsClientError for ${name}`,
    async run(WebSocket, log, t) {
      const wss = await t.server({ perMessageDeflate: true });
      wss.on('wsClientError', (err, socket, req) => {
        log('wsClientError', err, socket === req.socket, req.method);
        log('state', socket.writable, socket.readable, socket.destroyed);
        socket.end('HTTP/1.1 400 Own\r\n\r\n');
      });
      wss.on('connection', () => log('connection'));
      await exchange(t, log, wss, Buffer.from(make(t), 'latin1'));
    }
  });
}

scenarios.push(
  {
    title: 'shouldHandle() and the option path',
    async run(WebSocket, log, t) {
      const wss = await t.server({ path: '/x' });
      for (const url of ['/', '/x', '/x?', '/x?a=b', '/x/', '/X', '/%78', '']) {
        log(url, wss.shouldHandle({ url }));
      }
      wss.options.path = '/y';
      log('changed', wss.shouldHandle({ url: '/x' }));
      wss.path = '/x';
      log('own path', wss.shouldHandle({ url: '/x' }));
      wss.options.path = '';
      log('empty', wss.shouldHandle({ url: '/anything' }));
    }
  },
  {
    title: 'shouldHandle() replaced on the instance',
    async run(WebSocket, log, t) {
      const wss = await t.server();
      wss.shouldHandle = function (req) {
        log('shouldHandle', req.url, this === wss);
        return req.url === '/yes';
      };
      watch(log, wss);
      await exchange(t, log, wss, request(t, {}, 'GET /no HTTP/1.1'));
      await exchange(t, log, wss, request(t, {}, 'GET /yes HTTP/1.1'));
    }
  },
  {
    title: 'a wsClientError listener that does nothing',
    async run(WebSocket, log, t) {
      const wss = await t.server();
      const failed = t.once(wss, 'wsClientError');
      const peer = await t.connect(wss.address().port);
      peer.write(request(t, { Upgrade: 'x' }));
      const [err, socket, req] = await failed;
      log('error', err, socket.destroyed, req.url);
      await t.turn(3);
      log('still open', !peer.socket.destroyed, socket.listenerCount('error'));
      socket.destroy();
      await peer.closed;
    }
  },
  {
    title: 'options that are changed while the server runs',
    async run(WebSocket, log, t) {
      const wss = await t.server();
      watch(log, wss);
      const all = { [EXTENSION]: 'permessage-deflate', [PROTOCOL]: 'a, b' };
      await exchange(t, log, wss, request(t, all));
      wss.options.perMessageDeflate = { serverNoContextTakeover: true };
      await exchange(t, log, wss, request(t, all));
      wss.options.handleProtocols = () => 'b';
      await exchange(t, log, wss, request(t, all));
      wss.options.verifyClient = () => false;
      await exchange(t, log, wss, request(t, all));
      wss.options.verifyClient = null;
      wss.options.path = '/x';
      await exchange(t, log, wss, request(t, all));
      wss.options.path = null;
      class Own extends WebSocket {}
      wss.options.WebSocket = Own;
      wss.options.maxPayload = 1;
      wss.once('connection', (ws) => log('class', ws.constructor.name));
      wss.once('connection', (ws) => log('max', ws._receiver._maxPayload));
      await exchange(t, log, wss, request(t, all));
      wss.options.perMessageDeflate = false;
      await exchange(t, log, wss, request(t, all));
    }
  },
  {
    title: 'a request in many packets',
    async run(WebSocket, log, t) {
      const wss = await t.server();
      watch(log, wss);
      const bytes = request(t, { 'X-Own': 'value' });
      const parts = [];
      for (let i = 0; i < bytes.length; i += 9) {
        parts.push(bytes.slice(i, i + 9));
      }
      await exchange(t, log, wss, parts);
    }
  },
  {
    title: 'an invalid request in many packets',
    async run(WebSocket, log, t) {
      const wss = await t.server();
      watch(log, wss);
      const bytes = request(t, { Upgrade: 'other' });
      await exchange(t, log, wss, [bytes.slice(0, 30), bytes.slice(30)]);
    }
  },
  {
    title: 'a plain request and then an upgrade on the same connection',
    async run(WebSocket, log, t) {
      const wss = await t.server();
      watch(log, wss);
      const peer = await t.connect(wss.address().port);
      peer.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
      const first = await peer.upgraded();
      log('first', first.split('\r\n')[0]);
      await peer.when(() => peer.bytes.length >= 16 || peer.frames.length);
      peer.head = null;
      peer.bytes = Buffer.alloc(0);
      peer.write(request(t, {}), peer.frame(1, 'a'));
      const second = await peer.upgraded();
      log('second', second.split('\r\n')[0]);
    }
  },
  {
    title: 'an upgrade right behind a plain request in one packet',
    async run(WebSocket, log, t) {
      const wss = await t.server();
      watch(log, wss);
      const connected = t.once(wss, 'connection');
      const peer = await t.connect(wss.address().port);
      peer.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n', request(t, {}));
      await connected;
      log('first', (await peer.upgraded()).split('\r\n')[0]);
    }
  },
  {
    title: 'a client that ends before its request is complete',
    async run(WebSocket, log, t) {
      const wss = await t.server();
      watch(log, wss);
      wss._server.on('clientError', (err) => log('clientError', err.code));
      wss._server.removeAllListeners('clientError');
      const peer = await t.connect(wss.address().port);
      peer.socket.end(request(t, {}).slice(0, 40));
      await peer.closed;
      log('answer', peer.head, peer.bytes);
    }
  },
  {
    title: 'a client that connects and ends',
    async run(WebSocket, log, t) {
      const wss = await t.server();
      watch(log, wss);
      const peer = await t.connect(wss.address().port);
      peer.socket.end();
      await peer.closed;
      log('answer', peer.head, peer.bytes);
    }
  },
  {
    title: 'a client that sends its request and ends',
    async run(WebSocket, log, t) {
      const wss = await t.server();
      watch(log, wss);
      const closed = new Promise((resolve) => {
        wss.on('connection', (ws) => {
          ws.on('close', (...args) => {
            log('close', ...args);
            resolve();
          });
        });
        wss._server.on('connection', (socket) => socket.on('close', resolve));
      });
      const peer = await t.connect(wss.address().port);
      peer.socket.end(request(t, {}));
      await closed;
      await peer.closed;
      log('answer', peer.head && peer.head.split('\r\n')[0]);
    }
  },
  {
    title: 'clientError listeners of the server that listens',
    async run(WebSocket, log, t) {
      const wss = await t.server();
      wss._server.on('clientError', (err, socket) => {
        log('clientError', err.code, socket instanceof net.Socket);
        socket.end('HTTP/1.1 400 Own\r\n\r\n');
      });
      await exchange(t, log, wss, 'hello\r\n\r\n');
    }
  },
  {
    title: 'request listeners added to the server that listens',
    async run(WebSocket, log, t) {
      const wss = await t.server();
      log('listeners', wss._server.listenerCount('request'));
      wss._server.removeAllListeners('request');
      wss._server.on('request', (req, res) => {
        log('request', req.url);
        res.end('own');
      });
      const peer = await t.connect(wss.address().port);
      peer.write(PLAIN['a plain GET']);
      await peer.closed;
      log('body', peer.bytes);
      watch(log, wss);
      await exchange(t, log, wss, request(t, {}));
    }
  },
  {
    title: 'upgrade listeners added to the server that listens',
    async run(WebSocket, log, t) {
      const wss = await t.server();
      wss._server.prependListener('upgrade', (req, socket, head) => {
        log('before', req.url, socket instanceof net.Socket, head);
      });
      wss._server.on('upgrade', (req, socket) => {
        log('after', wss.clients.size, socket.writable);
      });
      watch(log, wss);
      await exchange(t, log, wss, request(t, {}));
    }
  },
  {
    title: 'connection listeners added to the server that listens',
    async run(WebSocket, log, t) {
      const wss = await t.server();
      let socket;
      wss._server.on('connection', (value) => {
        socket = value;
        log('connection', socket instanceof net.Socket, socket.server !== null);
      });
      wss.on('connection', (ws) => log('same', ws._socket === socket));
      await exchange(t, log, wss, request(t, {}));
    }
  },
  {
    title: 'timeouts and settings of the server that listens',
    async run(WebSocket, log, t) {
      const wss = await t.server();
      for (const key of [
        'timeout',
        'headersTimeout',
        'requestTimeout',
        'keepAliveTimeout',
        'maxHeadersCount',
        'maxConnections',
        'listening',
        'maxRequestsPerSocket'
      ]) {
        log(key, wss._server[key]);
      }
      log('address', Object.keys(wss._server.address()));
      wss._server.maxConnections = 1;
      const first = await t.connect(wss.address().port);
      first.write(request(t, {}));
      log('first', (await first.upgraded()).split('\r\n')[0]);
      const second = await t.connect(wss.address().port);
      await second.closed;
      log('second', second.head);
    }
  },
  ...['connection', 'upgrade'].map((event) => ({
    title: `a listener in the place of the server's own for '${event}'`,
    async run(WebSocket, log, t) {
      const wss = await t.server();
      wss.on('connection', () => log('let in'));
      wss._server.removeAllListeners(event);
      const seen = new Promise((resolve) => {
        wss._server.on(event, (...args) => {
          log(event, args.length);
          args.find(({ destroy }) => destroy).destroy();
          resolve();
        });
      });
      const peer = await t.connect(wss.address().port);
      peer.write(request(t, {}));
      await seen;
      await peer.closed;
    }
  })),
  {
    title: 'what the server that listens is told to listen on',
    async run(WebSocket, log, t) {
      const { listen } = http.Server.prototype;
      http.Server.prototype.listen = function (...args) {
        log('listen', ...args);
        return Reflect.apply(listen, this, args);
      };
      try {
        await t.server({ host: '127.0.0.1', backlog: 7 });
        await t.server({ host: undefined });
      } finally {
        http.Server.prototype.listen = listen;
      }
    }
  },
  {
    title: 'getConnections() of the server that listens',
    async run(WebSocket, log, t) {
      const wss = await t.server();
      const peers = [];
      for (let i = 0; i < 3; i++) {
        const peer = await t.connect(wss.address().port);
        peer.write(request(t, {}));
        await peer.upgraded();
        peers.push(peer);
      }
      const count = () =>
        new Promise((resolve) => {
          wss._server.getConnections((err, number) => resolve(number));
        });
      log('connections', await count(), wss.clients.size);
      peers[0].socket.destroy();
      await t.poll(() => wss.clients.size === 2);
      await t.turn(2);
      log('connections', await count(), wss.clients.size);
    }
  }
);

module.exports = scenarios;
