'use strict';

const fs = require('fs');
const http = require('http');
const https = require('https');
const net = require('net');
const path = require('path');

const { describe } = require('../recorder');

/**
 * Takes what differs from run to run out of a request.
 *
 * @param {String} head The request
 * @return {String[]} Its lines
 */
function lines(head) {
  return head
    .replace(/^(sec-websocket-key: ).*\r$/im, '$1<key>\r')
    .trimEnd()
    .split('\r\n');
}

/**
 * Lets a client connect to a raw server that answers as told, and logs what
 * both of them saw.
 *
 * @param {Object} t The toolbox
 * @param {Function} log The log
 * @param {Function} answer Gives the bytes of the answer, or `null` to close
 *     the connection
 * @param {Object} [config] Configuration object
 * @param {Array} [config.args] Arguments of the client after the address
 * @param {Function} [config.prepare] Called with the client
 * @param {String} [config.path] What follows the port in the address
 * @return {Promise<Object>} The client and the peer
 */
async function handshake(t, log, answer, { args = [], prepare, path } = {}) {
  let peer;
  const port = await t.rawServer((other, head) => {
    peer = other;
    for (const line of lines(head)) log.channel('request')(line);
    const bytes = answer(head);
    if (bytes === null) peer.socket.end();
    else if (bytes !== undefined) peer.write(bytes);
  });
  const ws = t.watch(
    t.client(`ws://127.0.0.1:${port}${path || '/'}`, ...args),
    log
  );
  const done = new Promise((resolve) => {
    ws.on('open', resolve);
    ws.on('close', resolve);
  });
  if (prepare) prepare(ws);
  await done;
  log('result', {
    state: ws.readyState,
    protocol: ws.protocol,
    extensions: ws.extensions,
    code: ws._closeCode,
    socket: ws._socket === null,
    receiver: ws._receiver === null,
    req: ws._req === null,
    emitted: ws._errorEmitted
  });
  return { ws, peer };
}

const OPTIONS = [
  ['no options', []],
  ['one subprotocol', ['chat']],
  ['two subprotocols', [['chat', 'superchat']]],
  ['the option protocols', [{ protocols: ['a', 'b'] }]],
  ['the option protocols as a string', [{ protocols: 'a' }]],
  ['both kinds of subprotocols', [['a'], { protocols: ['b'] }]],
  ['an empty list of subprotocols', [[]]],
  ['an origin', [{ origin: 'https://example.com' }]],
  ['protocol version 8', [{ protocolVersion: 8 }]],
  [
    'protocol version 8 and an origin',
    [{ protocolVersion: 8, origin: 'https://example.com' }]
  ],
  [
    'headers',
    [{ headers: { 'X-One': '1', cookie: 'a=b', 'x-list': ['a', 'b'] } }]
  ],
  [
    'headers that the handshake sets itself',
    [
      {
        headers: {
          'Sec-WebSocket-Version': '7',
          'sec-websocket-key': 'own',
          Upgrade: 'h2c',
          Connection: 'close',
          Host: 'example.com'
        }
      }
    ]
  ],
  ['the option auth', [{ auth: 'user:secret' }]],
  ['an authorization header', [{ headers: { Authorization: 'Bearer x' } }]],
  ['the option setHost', [{ setHost: false }]],
  ['the option host and path', [{ host: 'example.com', path: '/ignored' }]],
  ['the option method', [{ method: 'POST' }]],
  ['the option timeout', [{ timeout: 1 }]],
  ['joinDuplicateHeaders', [{ joinDuplicateHeaders: true }]],
  ['perMessageDeflate false', [{ perMessageDeflate: false }]],
  ['perMessageDeflate true', [{ perMessageDeflate: true }]],
  ['an empty perMessageDeflate', [{ perMessageDeflate: {} }]]
];

for (const serverMaxWindowBits of [undefined, false, true, 9]) {
  for (const clientMaxWindowBits of [undefined, false, true, 10]) {
    for (const [server, client] of [
      [undefined, undefined],
      [true, false],
      [false, true],
      [true, true]
    ]) {
      const perMessageDeflate = {
        serverMaxWindowBits,
        clientMaxWindowBits,
        serverNoContextTakeover: server,
        clientNoContextTakeover: client
      };
      OPTIONS.push([
        `perMessageDeflate ${describe(perMessageDeflate)}`,
        [{ perMessageDeflate }]
      ]);
    }
  }
}

//
// The request that each of these options leads to. They share scenarios, for
// only few bytes of each differ.
//
const REQUESTS = [];
for (let i = 0; i < OPTIONS.length; i += i < 22 ? 1 : 16) {
  REQUESTS.push(OPTIONS.slice(i, i < 22 ? i + 1 : i + 16));
}

const ANSWERS = [
  ['a correct answer', {}],
  ['no Upgrade header', { Upgrade: undefined }],
  ['a wrong Upgrade header', { Upgrade: 'h2c' }],
  ['an Upgrade header in capitals', { Upgrade: 'WebSocket' }],
  ['an empty Upgrade header', { Upgrade: '' }],
  ['no Connection header', { Connection: undefined }],
  ['Connection: keep-alive', { Connection: 'keep-alive' }],
  ['no Sec-WebSocket-Accept header', { 'Sec-WebSocket-Accept': undefined }],
  ['a wrong Sec-WebSocket-Accept header', { 'Sec-WebSocket-Accept': 'x' }],
  ['a subprotocol', { 'Sec-WebSocket-Protocol': 'a' }],
  ['an empty subprotocol', { 'Sec-WebSocket-Protocol': '' }],
  ['two subprotocols', { 'Sec-WebSocket-Protocol': ['a', 'b'] }],
  ['an extension', { 'Sec-WebSocket-Extensions': 'permessage-deflate' }],
  ['an unknown extension', { 'Sec-WebSocket-Extensions': 'x-unknown' }],
  [
    'two extensions',
    { 'Sec-WebSocket-Extensions': 'permessage-deflate, x-unknown' }
  ],
  [
    'the extension twice',
    { 'Sec-WebSocket-Extensions': 'permessage-deflate, permessage-deflate' }
  ],
  ['an empty extension', { 'Sec-WebSocket-Extensions': '' }],
  ['extensions that can not be parsed', { 'Sec-WebSocket-Extensions': ';' }],
  ...[
    'client_no_context_takeover',
    'server_no_context_takeover',
    'client_max_window_bits',
    'client_max_window_bits=10',
    'client_max_window_bits=7',
    'client_max_window_bits=16',
    'client_max_window_bits=10; client_max_window_bits=10',
    'server_max_window_bits=10',
    'server_max_window_bits',
    'server_max_window_bits=8',
    'server_no_context_takeover=1',
    'unknown',
    'client_max_window_bits=15; server_max_window_bits=15; ' +
      'client_no_context_takeover; server_no_context_takeover'
  ].map((parameters) => [
    `the extension parameters ${parameters}`,
    { 'Sec-WebSocket-Extensions': `permessage-deflate; ${parameters}` }
  ]),
  ['other headers', { 'Set-Cookie': ['a=b', 'c=d'], 'X-Own': 'x' }]
];

const RESPONSES = [
  ['200', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi'],
  ['204', 'HTTP/1.1 204 No Content\r\n\r\n'],
  ['301 that is not followed', 'HTTP/1.1 301 Moved\r\nLocation: /x\r\n\r\n'],
  [
    '401 with chunks',
    'HTTP/1.1 401 Unauthorized\r\nTransfer-Encoding: chunked\r\n\r\n' +
      '2\r\nno\r\n0\r\n\r\n'
  ],
  ['404', 'HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n'],
  [
    '426',
    'HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13\r\n' +
      'Content-Length: 0\r\n\r\n'
  ],
  ['500 without length', 'HTTP/1.1 500 Internal Server Error\r\n\r\nbody'],
  [
    '100 and then 400',
    'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 400 Bad\r\n' +
      'Content-Length: 0\r\n\r\n'
  ],
  ['what is not HTTP', 'SSH-2.0-server\r\n\r\n'],
  ['HTTP with an impossible header', 'HTTP/1.1 200 OK\r\nA B: c\r\n\r\n'],
  [
    'HTTP with an impossible length',
    'HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n'
  ],
  ['the connection being closed', null]
];

const scenarios = [];

for (const group of REQUESTS) {
  const [first] = group;
  scenarios.push({
    title:
      `the request of a client with ${first[0]}` +
      (group.length > 1 ? ` and ${group.length - 1} more` : ''),
    async run(WebSocket, log, t) {
      for (const [name, args] of group) {
        log(name);
        const before = describe(args);
        await handshake(t, log, () => null, { args });
        log('arguments unchanged', before === describe(args));
      }
    }
  });
}

for (const path of [
  '',
  '/path?query=1',
  '?only=query',
  '/a%20b/é?ü=ß',
  '//double//slash',
  '/;a=b,c'
]) {
  scenarios.push({
    title: `the request of a client with the path ${path || 'missing'}`,
    async run(WebSocket, log, t) {
      const { ws } = await handshake(t, log, () => null, { path });
      log('url', ws.url);
    }
  });
}

for (const [name, headers] of ANSWERS) {
  scenarios.push({
    title: `the client gets ${name}`,
    async run(WebSocket, log, t) {
      for (const args of [
        [],
        [{ perMessageDeflate: false }],
        [['a', 'c'], { perMessageDeflate: { clientMaxWindowBits: 12 } }],
        ['b', { perMessageDeflate: { clientMaxWindowBits: false } }],
        [{ perMessageDeflate: { clientNoContextTakeover: false } }]
      ]) {
        log(describe(args));
        const answer = (head) => t.answer(head, headers);
        const { ws, peer } = await handshake(t, log, answer, {
          args,
          prepare(ws) {
            ws.on('upgrade', (res) => log('headers', res.rawHeaders.slice(6)));
          }
        });
        const deflate = ws._extensions['permessage-deflate'];
        log('params', deflate && deflate.params);
        if (ws.readyState === 3) await peer.closed;
      }
    }
  });
}

for (const [name, bytes] of RESPONSES) {
  scenarios.push(
    {
      title: `the client gets ${name}`,
      async run(WebSocket, log, t) {
        const { peer } = await handshake(t, log, () => bytes);
        await peer.closed;
      }
    },
    {
      title: `the client listens to 'unexpected-response' and gets ${name}`,
      async run(WebSocket, log, t) {
        await handshake(t, log, () => bytes, {
          prepare(ws) {
            ws.on('unexpected-response', (req, res) => {
              log('unexpected', req, res, res.headers, ws.readyState);
              log('same request', req === ws._req, req.res === res);
              let body = '';
              res.on('data', (chunk) => (body += chunk));
              const end = () => {
                log('body', body, res.complete);
                ws.terminate();
              };
              if (name.startsWith('500') || name.startsWith('301')) end();
              else res.on('end', end);
            });
          }
        });
      }
    }
  );
}

/**
 * Makes a redirecting HTTP server whose answers are told by a map from path
 * to location, and which upgrades everything else.
 *
 * @param {Function} WebSocket The class
 * @param {Function} log The log
 * @param {Object} t The toolbox
 * @param {Object} map The map
 * @return {Promise<Number>} The port
 */
async function redirecting(WebSocket, log, t, map) {
  const server = http.createServer();
  const port = await t.listen(server);
  const wss = new WebSocket.Server({ noServer: true });
  server.on('upgrade', (req, socket, head) => {
    const { headers } = req;
    log.channel('requests')(req.url, {
      host: headers.host,
      authorization: headers.authorization,
      cookie: headers.cookie,
      own: headers['x-own']
    });
    if (map[req.url] !== undefined) {
      const location = map[req.url].replace('PORT', port);
      socket.end(
        `HTTP/1.1 302 Found\r\nLocation: ${location}\r\n` +
          'Connection: close\r\nContent-Length: 0\r\n\r\n'
      );
      return;
    }
    wss.handleUpgrade(req, socket, head, (ws) => ws.close(1000, req.url));
  });
  return port;
}

const REDIRECTS = [
  ['a path', { '/': '/end' }],
  ['a relative path', { '/': 'end?x=y' }],
  ['two steps', { '/': '/one', '/one': '/end' }],
  ['a loop', { '/': '/' }],
  ['a full URL', { '/': 'ws://127.0.0.1:PORT/end' }],
  ['the scheme http', { '/': 'http://127.0.0.1:PORT/end' }],
  ['another name of the host', { '/': 'ws://localhost:PORT/end' }],
  ['an invalid URL', { '/': 'http://' }],
  ['another scheme', { '/': 'ftp://127.0.0.1/' }],
  ['a fragment', { '/': '/end#x' }],
  ['an empty hash', { '/': '/end#' }],
  ['a socket path', { '/': 'ws+unix:/nonexistent/oxws.sock:/' }],
  ['a user', { '/': 'ws://other:pass@127.0.0.1:PORT/end' }]
];

for (const [name, map] of REDIRECTS) {
  for (const withListener of [false, true]) {
    scenarios.push({
      title:
        `the client is redirected to ${name}` +
        (withListener ? ' with a listener' : ''),
      async run(WebSocket, log, t) {
        const port = await redirecting(WebSocket, log, t, map);
        const ws = t.client(`ws://user:secret@127.0.0.1:${port}/`, {
          followRedirects: true,
          maxRedirects: 3,
          headers: { Cookie: 'a=b', 'X-Own': 'x', Host: 'own' }
        });
        t.watch(ws, log);
        if (withListener) {
          ws.on('redirect', (url, req) => {
            log('redirect', url, req, req.getHeaderNames().sort());
            log('state', ws.readyState, ws._redirects, req === ws._req);
          });
        }
        await t.over(ws);
        log('end', ws.url, ws._redirects);
      }
    });
  }
}

scenarios.push(
  {
    title: 'redirects that are not followed by default',
    async run(WebSocket, log, t) {
      const port = await redirecting(WebSocket, log, t, { '/': '/end' });
      const ws = t.watch(t.client(`ws://127.0.0.1:${port}/`), log);
      await t.over(ws);
    }
  },
  ...['close', 'terminate', 'destroy', 'destroy with an error'].map((how) => ({
    title: `the client gives up in its redirect event: ${how}`,
    async run(WebSocket, log, t) {
      const port = await redirecting(WebSocket, log, t, { '/': '/end' });
      const ws = t.client(`ws://127.0.0.1:${port}/`, { followRedirects: true });
      t.watch(ws, log);
      ws.on('redirect', (url, req) => {
        log('redirect', url);
        if (how === 'destroy') req.destroy();
        else if (how === 'destroy with an error') req.destroy(new Error('own'));
        else ws[how]();
        log('state', ws.readyState);
      });
      await t.over(ws);
      await t.turn(2);
    }
  })),
  {
    title: 'redirects from and to other credentials, and their headers',
    async run(WebSocket, log, t) {
      for (const [headers, auth] of [
        [undefined, 'user:pass@'],
        [{ authorization: 'Bearer x' }, 'user:pass@'],
        [{ AUTHORIZATION: 'Bearer x', HOST: 'x' }, ''],
        [{ cookie: 'c=d' }, '']
      ]) {
        for (const host of ['127.0.0.1', 'localhost']) {
          const port = await redirecting(WebSocket, log, t, {
            '/': `ws://${host}:PORT/end`
          });
          const ws = t.client(`ws://${auth}127.0.0.1:${port}/`, {
            followRedirects: true,
            headers
          });
          t.watch(ws, log);
          await t.over(ws);
        }
      }
    }
  },
  {
    title: 'a handshake that times out',
    async run(WebSocket, log, t) {
      await handshake(t, log, () => undefined, {
        args: [{ handshakeTimeout: 30 }]
      });
    }
  },
  {
    title: 'a handshake that times out while a redirect is followed',
    async run(WebSocket, log, t) {
      let count = 0;
      await handshake(
        t,
        log,
        () =>
          count++ === 0
            ? 'HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n'
            : undefined,
        { args: [{ handshakeTimeout: 200, followRedirects: true }] }
      );
    }
  },
  {
    title: 'the connection is refused',
    async run(WebSocket, log, t) {
      const server = net.createServer();
      const port = await t.listen(server);
      await new Promise((resolve) => server.close(resolve));
      const ws = t.watch(t.client(`ws://127.0.0.1:${port}/`), log);
      await t.over(ws);
      log('end', ws._req, ws._socket, ws._errorEmitted);
    }
  },
  {
    title: 'the Unix socket does not exist',
    async run(WebSocket, log, t) {
      const ws = t.client(`ws+unix:${t.folder()}/none.sock:/`);
      t.watch(ws, log);
      await t.over(ws);
    }
  },
  {
    title: 'an error without listener while connecting',
    async run(WebSocket, log, t) {
      t.onUncaught = (err, origin) => log(origin, err);
      const server = net.createServer();
      const port = await t.listen(server);
      await new Promise((resolve) => server.close(resolve));
      const ws = new WebSocket(`ws://127.0.0.1:${port}/`);
      ws.on('close', (...args) => log('close', ...args));
      await t.once(process, 'uncaughtException');
      await t.turn(2);
      log('state', ws.readyState);
    }
  },
  {
    title: 'a client over a Unix socket',
    async run(WebSocket, log, t) {
      const file = path.join(t.folder(), 'a.sock');
      const server = http.createServer();
      await t.listen(server, file);
      const wss = new WebSocket.Server({ server });
      wss.on('connection', (ws, req) => {
        log.channel('server')('connection', req.url, req.headers.host);
        ws.on('message', (data) => ws.send(data));
      });
      const ws = t.client(`ws+unix:${file}:/path?x=1`);
      t.watch(ws, log);
      await t.once(ws, 'open');
      log('url', ws.url.startsWith('ws+unix:'));
      ws.send('over unix');
      await t.once(ws, 'message');
      ws.close(1000, 'bye');
      await t.over(ws);
    }
  },
  {
    title: 'a client over a Unix socket without a path',
    async run(WebSocket, log, t) {
      const file = path.join(t.folder(), 'a.sock');
      const server = http.createServer();
      await t.listen(server, file);
      const wss = new WebSocket.Server({ server });
      wss.on('connection', (ws, req) => ws.close(1000, req.url));
      const ws = t.client(`ws+unix:${file}`);
      t.watch(ws, log);
      await t.over(ws);
    }
  },
  {
    title: 'the option finishRequest',
    async run(WebSocket, log, t) {
      await handshake(t, log, (head) => t.answer(head), {
        args: [
          {
            finishRequest(...args) {
              const [req, ws] = args;
              log('finishRequest', args.length, req, ws.readyState);
              log('same', req === ws._req, ws.url.length > 0);
              req.setHeader('X-Late', 'yes');
              setTimeout(() => req.end(), 5);
            }
          }
        ]
      });
    }
  },
  {
    title: 'the option finishRequest that is no function',
    async run(WebSocket, log, t) {
      const { port } = await t.httpServer();
      t.attempt(log, 'constructor', () => {
        t.client(`ws://127.0.0.1:${port}/`, { finishRequest: 1 });
      });
    }
  },
  {
    title: 'the option finishRequest that never ends the request',
    async run(WebSocket, log, t) {
      const port = await t.rawServer(() => log('never'));
      const ws = t.client(`ws://127.0.0.1:${port}/`, { finishRequest() {} });
      t.watch(ws, log);
      await t.turn(3);
      ws.close();
      await t.over(ws);
    }
  },
  {
    title: 'the option finishRequest that destroys the request',
    async run(WebSocket, log, t) {
      const port = await t.rawServer(() => log('never'));
      const ws = t.client(`ws://127.0.0.1:${port}/`, {
        finishRequest: (req) => req.destroy(new Error('own'))
      });
      t.watch(ws, log);
      await t.over(ws);
    }
  },
  {
    title: 'the option createConnection',
    async run(WebSocket, log, t) {
      let created;
      const { ws } = await handshake(t, log, (head) => t.answer(head), {
        args: [
          {
            createConnection(options, callback) {
              log('createConnection', typeof callback, {
                host: options.host,
                path: options.path,
                headers: Object.keys(options.headers)
              });
              created = net.connect(options.port, options.host);
              return created;
            }
          }
        ]
      });
      log('same socket', ws._socket === created);
    }
  },
  {
    title: 'the option createConnection that gives a Duplex',
    async run(WebSocket, log, t) {
      const { Duplex } = require('stream');
      let written = '';
      const duplex = new Duplex({
        read() {},
        write(chunk, encoding, callback) {
          written += chunk.toString('latin1');
          callback();
          if (written.endsWith('\r\n\r\n')) {
            const head = written;
            written = '';
            process.nextTick(() => duplex.push(t.answer(head)));
          }
        }
      });
      const ws = t.client('ws://127.0.0.1:1/', {
        createConnection: () => duplex
      });
      t.watch(ws, log);
      await t.once(ws, 'open');
      log('same', ws._socket === duplex);
      duplex.push(Buffer.from([0x81, 1, 0x61]));
      await t.turn();
      ws.send('x', (err) => log('sent', err, written.length));
      await t.turn();
      duplex.push(null);
      await t.over(ws);
    }
  },
  {
    title: 'the option agent',
    async run(WebSocket, log, t) {
      const agent = new http.Agent();
      const { createConnection } = agent;
      agent.createConnection = function (options, callback) {
        log('createConnection', options.host, typeof callback);
        return createConnection.call(this, options, callback);
      };
      agent.on('free', () => log('free'));
      const { ws, peer } = await handshake(t, log, (head) => t.answer(head), {
        args: [{ agent }]
      });
      peer.write(peer.closeFrame());
      await t.over(ws);
      log('sockets', Object.keys(agent.sockets).length);
    }
  },
  {
    title: 'an agent that calls back with an error',
    async run(WebSocket, log, t) {
      const agent = new http.Agent();
      agent.createConnection = (options, callback) => {
        process.nextTick(callback, new Error('no connection'));
      };
      const ws = t.client('ws://127.0.0.1:1/', { agent });
      t.watch(ws, log);
      await t.over(ws);
    }
  },
  {
    title: 'the upgrade event comes before open and gives the response',
    async run(WebSocket, log, t) {
      const { ws } = await handshake(
        t,
        log,
        (head) => t.answer(head, { 'Set-Cookie': ['a=1', 'b=2'] }),
        {
          prepare(ws) {
            ws.on('upgrade', (res) => {
              log('upgrade', res.headers['set-cookie'], res.statusMessage);
              log('state', ws.readyState, ws._socket, ws._req !== null);
              log('instance', res instanceof http.IncomingMessage);
              log('http', res.httpVersion, res.complete);
            });
          }
        }
      );
      log('listeners', ws._socket.listenerCount('close') > 0);
    }
  },
  {
    title: 'the socket of a client in the request and in the WebSocket',
    async run(WebSocket, log, t) {
      let socket;
      let req;
      const { ws } = await handshake(t, log, (head) => t.answer(head), {
        prepare(ws) {
          req = ws._req;
          log('request', req instanceof http.ClientRequest, req.path);
          log('headers', req.getHeaderNames());
          req.on('socket', (value) => (socket = value));
        }
      });
      log('same', socket === ws._socket, req.destroyed, ws._req);
      log('net', ws._socket instanceof net.Socket);
      log('timeout', ws._socket.timeout);
    }
  },
  {
    title: 'many answers in one socket: 100, 102 and then 101',
    async run(WebSocket, log, t) {
      await handshake(
        t,
        log,
        (head) =>
          'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n' +
          t.answer(head)
      );
    }
  },
  {
    title: 'an answer that comes byte by byte',
    async run(WebSocket, log, t) {
      let peer;
      const port = await t.rawServer(async (other, head) => {
        peer = other;
        for (const letter of t.answer(head)) {
          peer.write(letter);
          await t.turn();
        }
        peer.write(peer.frame(1, 'a'));
      });
      const ws = t.watch(t.client(`ws://127.0.0.1:${port}/`), log);
      await t.once(ws, 'message');
    }
  },
  {
    title: 'an answer of HTTP/1.0',
    async run(WebSocket, log, t) {
      await handshake(t, log, (head) =>
        t.answer(head, {}, 'HTTP/1.0 101 Switching')
      );
    }
  },
  {
    title: 'the server closes right after the handshake',
    async run(WebSocket, log, t) {
      let peer;
      const port = await t.rawServer((other, head) => {
        peer = other;
        peer.socket.end(t.answer(head));
      });
      const ws = t.watch(t.client(`ws://127.0.0.1:${port}/`), log);
      await t.over(ws);
    }
  },
  {
    title: 'a client over TLS',
    async run(WebSocket, log, t) {
      const folder = path.join(__dirname, '..', '..', 'fixtures');
      const server = https.createServer({
        key: fs.readFileSync(path.join(folder, 'key.pem')),
        cert: fs.readFileSync(path.join(folder, 'certificate.pem'))
      });
      const port = await t.listen(server);
      const wss = new WebSocket.Server({
        server,
        verifyClient(info) {
          log('verifyClient', info.secure, info.req.socket.encrypted);
          return true;
        }
      });
      wss.on('connection', (ws) => {
        t.watch(ws, log.channel('server'));
        ws.on('message', (data, binary) => ws.send(data, { binary }));
      });
      const ws = t.client(`wss://127.0.0.1:${port}/`, {
        rejectUnauthorized: false
      });
      t.watch(ws, log);
      await t.once(ws, 'open');
      log('tls', ws._socket.encrypted, ws._socket.authorized);
      ws.send('over tls');
      await t.once(ws, 'message');
      ws.send(Buffer.alloc(100000, 'x'));
      await t.once(ws, 'message');
      ws.close(1000, 'bye');
      await t.over(ws);

      const failing = t.watch(t.client(`wss://127.0.0.1:${port}/`), log);
      await t.over(failing);
      log(
        'servername',
        (() => {
          const client = t.client(`wss://localhost:${port}/`, {
            createConnection(options) {
              log('options', options.servername, options.path);
              return net.connect(port, '127.0.0.1');
            }
          });
          client.on('error', () => {});
          client.terminate();
          return client.url.length > 0;
        })()
      );
    }
  }
);

module.exports = scenarios;
