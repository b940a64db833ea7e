'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const http = require('node:http');
const https = require('node:https');
const path = require('node:path');
const { it } = require('node:test');

const ws = require('ws');

const oxws = require('..');

const { Child } = require('./helpers/child');
const { certificate, closed, listen, messages } = require('./helpers/pair');
const { once, suite } = require('./helpers/suite');

const CERTIFICATE = path.join(__dirname, 'fixtures', 'certificate.pem');
const KEY = path.join(__dirname, 'fixtures', 'key.pem');
const SCRIPT = path.join(__dirname, 'fixtures', 'peer.py');

const SIZES = [0, 1, 125, 126, 65535, 65536, 1 << 20];
const TEXT = 'grüße, 世界 🎈';

/** The kinds of connections: a scheme, and whether messages are compressed. */
const KINDS = ['ws plain', 'ws compressed', 'wss plain', 'wss compressed'];

/**
 * Finds the interpreter that has the Python package websockets.
 *
 * @return {(String|null)} Its path, or `null` if there is none
 */
function findPython() {
  const candidates = [
    process.env.OXWS_PYTHON,
    path.join(__dirname, '..', '.cache', 'python', 'bin', 'python')
  ];

  return candidates.find((file) => file && fs.existsSync(file)) || null;
}

const python = findPython();
const skipPython =
  python === null && process.env.OXWS_ALLOW_MISSING_PEERS
    ? 'there is no Python with the package websockets'
    : false;

/**
 * Starts a Python process.
 *
 * @param {TestContext} t The context of the test
 * @param {...String} args The arguments of the script
 * @return {Child} The process
 */
function startPython(t, ...args) {
  assert.notEqual(
    python,
    null,
    'there is no Python with the package websockets: set OXWS_PYTHON, or run ' +
      '`python3 -m venv .cache/python && .cache/python/bin/pip install ' +
      'websockets`, or set OXWS_ALLOW_MISSING_PEERS to do without'
  );
  return new Child(t, python, [SCRIPT, ...args]);
}

/**
 * Starts an echo server.
 *
 * @param {TestContext} t The context of the test
 * @param {Function} Server The class of the WebSocket server
 * @param {String} kind The kind of connections
 * @param {Function} [onConnection] A listener for its connections
 * @return {Promise<String>} The URL of the server
 */
async function echo(t, Server, kind, onConnection) {
  const [scheme, mode] = kind.split(' ');
  const server = await listen(
    t,
    scheme === 'wss' ? https.createServer(certificate()) : http.createServer()
  );
  const wss = new Server({
    perMessageDeflate: mode === 'compressed' && { threshold: 0 },
    server
  });

  wss.on('connection', (peer) => {
    peer.on('message', (data, binary) => peer.send(data, { binary }));
    if (onConnection) onConnection(peer);
  });
  return `${scheme}://127.0.0.1:${server.address().port}/${mode}`;
}

/**
 * Opens a client.
 *
 * @param {TestContext} t The context of the test
 * @param {Function} Class The class of the client
 * @param {String} url The URL, which says whether to compress
 * @return {Promise<WebSocket>} The client
 */
async function open(t, Class, url) {
  const client = new Class(url, {
    ca: fs.readFileSync(CERTIFICATE),
    perMessageDeflate: url.endsWith('/compressed') && { threshold: 0 }
  });

  t.after(() => client.terminate());
  await once(client, 'open');
  assert.equal(
    client.extensions,
    url.endsWith('/compressed') ? 'permessage-deflate' : ''
  );
  return client;
}

/**
 * Has messages of all kinds echoed.
 *
 * @param {WebSocket} client The client
 */
async function converse(client) {
  const sent = [TEXT];

  for (const size of SIZES) {
    sent.push('x'.repeat(size), Buffer.alloc(size, `${size} `));
  }

  const received = messages(client, sent.length);

  for (const data of sent) client.send(data);

  const list = await received;

  for (let i = 0; i < sent.length; i++) {
    const size = sent[i].length;

    assert.equal(typeof list[i], typeof sent[i], `type of ${size}`);
    assert.ok(
      typeof list[i] === 'string'
        ? list[i] === sent[i]
        : list[i].equals(sent[i]),
      `message ${i} of ${size} has changed`
    );
  }
}

/**
 * Sends messages in fragments, with a ping between them.
 *
 * @param {WebSocket} client The client
 */
async function fragment(client) {
  const received = messages(client, 2);
  const pong = once(client, 'pong');

  for (const make of [String, Buffer.from]) {
    client.send(make('frag'), { fin: false });
    client.ping('between');
    client.send(make('men'), { fin: false });
    client.send(make(''), { fin: false });
    client.send(make('ted'), { fin: true });
  }

  assert.equal((await pong)[0].toString(), 'between');
  assert.deepEqual(await received, ['fragmented', Buffer.from('fragmented')]);
}

suite('peers', () => {
  for (const kind of KINDS) {
    for (const [title, Server, Client] of [
      ['serves ws', oxws.WebSocketServer, ws],
      ['is a client of ws', ws.WebSocketServer, oxws]
    ]) {
      it(`${title} (${kind})`, async (t) => {
        let peer;
        const url = await echo(t, Server, kind, (connection) => {
          peer = connection;
        });
        const client = await open(t, Client, url);

        await converse(client);
        await fragment(client);

        const ends = [closed(client), closed(peer)];

        client.close(4000, 'grüße');
        assert.deepEqual(await Promise.all(ends), [
          { code: 4000, reason: 'grüße' },
          { code: 4000, reason: 'grüße' }
        ]);
      });
    }
  }

  for (const options of [
    { serverNoContextTakeover: true },
    { clientNoContextTakeover: true },
    { serverMaxWindowBits: 9 },
    { clientMaxWindowBits: 9 },
    {
      serverNoContextTakeover: true,
      clientNoContextTakeover: true,
      serverMaxWindowBits: 10,
      clientMaxWindowBits: 12
    }
  ]) {
    const title = JSON.stringify(options);

    for (const [role, Server, Client] of [
      ['server', oxws.WebSocketServer, ws],
      ['client', ws.WebSocketServer, oxws]
    ]) {
      it(`compresses as a ${role} of ws with ${title}`, async (t) => {
        const server = await listen(t, http.createServer());
        const wss = new Server({
          perMessageDeflate: { ...options, threshold: 0 },
          server
        });

        wss.on('connection', (peer) => {
          peer.on('message', (data, binary) => peer.send(data, { binary }));
        });

        const client = await open(
          t,
          Client,
          `ws://127.0.0.1:${server.address().port}/compressed`
        );

        await converse(client);
        await fragment(client);
        client.close();
        await closed(client);
      });
    }
  }

  it('is a client of Python websockets', { skip: skipPython }, async (t) => {
    const child = startPython(t, 'server', CERTIFICATE, KEY);
    const ports = await child.next();

    assert.deepEqual(Object.keys(ports).sort(), [...KINDS].sort());

    for (const kind of KINDS) {
      const [scheme, mode] = kind.split(' ');
      const client = await open(
        t,
        oxws,
        `${scheme}://127.0.0.1:${ports[kind]}/${mode}`
      );

      await converse(client);
      await fragment(client);

      const fragments = messages(client, 2);

      client.send('fragments');
      assert.deepEqual(await fragments, [
        'fragmented',
        Buffer.from('fragmented')
      ]);

      const pong = messages(client);

      client.send('ping');
      assert.deepEqual(await pong, ['pong']);

      const end = closed(client);

      client.send('close');
      assert.deepEqual(await end, { code: 4001, reason: 'from Python' });
    }

    assert.equal(child.stderr, '');
  });

  it('serves Python websockets', { skip: skipPython }, async (t) => {
    const ends = [];
    const urls = await Promise.all(
      KINDS.map((kind) =>
        echo(t, oxws.WebSocketServer, kind, (peer) => ends.push(closed(peer)))
      )
    );
    const child = startPython(t, 'client', CERTIFICATE, ...urls);

    for (const kind of KINDS) {
      assert.deepEqual(await child.next(), {
        messages: 1 + 2 * SIZES.length + 2,
        extensions: kind.endsWith('compressed') ? ['permessage-deflate'] : [],
        close: [4000, 'bye']
      });
    }

    assert.deepEqual(await child.ended(), { code: 0, signal: null });
    assert.deepEqual(
      await Promise.all(ends),
      KINDS.map(() => ({ code: 4000, reason: 'bye' }))
    );
  });

  it('serves the WebSocket that is built into Node.js', async (t) => {
    const flag = '--experimental-websocket';
    const isGlobal = typeof globalThis.WebSocket === 'function';

    if (!isGlobal && !process.allowedNodeEnvironmentFlags.has(flag)) {
      t.skip('this version of Node.js has none');
      return;
    }

    const urls = await Promise.all(
      KINDS.map((kind) => echo(t, oxws.WebSocketServer, kind))
    );
    const child = Child.fixture(t, 'builtin.js', urls, {
      NODE_EXTRA_CA_CERTS: CERTIFICATE,
      NODE_OPTIONS: isGlobal ? '' : flag
    });

    for (const kind of KINDS) {
      assert.deepEqual(
        await child.next(),
        { messages: 1 + 2 * SIZES.length, close: [4000, 'bye', true] },
        kind
      );
    }

    assert.deepEqual(await child.ended(), { code: 0, signal: null });
  });
});
