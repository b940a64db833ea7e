'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { execFile } = require('node:child_process');
const { it } = require('node:test');
const { promisify } = require('node:util');
const { EventEmitter } = require('node:events');
const { Writable } = require('node:stream');

const { suite } = require('./helpers/suite');

const WebSocket = require('..');
const manifest = require('../package.json');

const root = path.join(__dirname, '..');
const name = manifest.name;

/**
 * Runs a program in a Node.js process of its own.
 *
 * @param {String} type `commonjs` or `module`
 * @param {String} source The program, which writes JSON to stdout
 * @return {Promise} What the program has written
 */
async function evaluate(type, source) {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [`--input-type=${type}`, '--eval', source],
    { cwd: root, timeout: 10000 }
  );

  return JSON.parse(stdout);
}

suite('exports', () => {
  it('is the WebSocket class itself', () => {
    assert.equal(typeof WebSocket, 'function');
    assert.equal(WebSocket.name, 'WebSocket');
    assert.equal(WebSocket.WebSocket, WebSocket);
    assert.equal(Object.getPrototypeOf(WebSocket), EventEmitter);
    assert.throws(() => WebSocket(), /without 'new'/);
  });

  it('has the other exports as enumerable statics, in the order of ws', () => {
    assert.deepEqual(Object.keys(WebSocket), [
      'CONNECTING',
      'OPEN',
      'CLOSING',
      'CLOSED',
      'createWebSocketStream',
      'extension',
      'PerMessageDeflate',
      'Receiver',
      'Sender',
      'Server',
      'subprotocol',
      'WebSocket',
      'WebSocketServer'
    ]);
    assert.equal(WebSocket.Server, WebSocket.WebSocketServer);
    assert.equal(WebSocket.WebSocketServer.name, 'WebSocketServer');
  });

  it('gives the classes and modules by destructuring', () => {
    const { PerMessageDeflate, Receiver, Sender, extension, subprotocol } =
      WebSocket;

    assert.equal(typeof Sender.frame, 'function');
    assert.ok(new Sender({}) instanceof Sender);
    assert.ok(new Receiver() instanceof Writable);
    assert.equal(PerMessageDeflate.extensionName, 'permessage-deflate');
    assert.deepEqual(Object.keys(extension).sort(), ['format', 'parse']);
    assert.equal(extension.format({ a: [{ b: [1] }] }), 'a; b=1');
    assert.deepEqual(Object.keys(subprotocol), ['parse']);
    assert.deepEqual(subprotocol.parse('a, b'), new Set(['a', 'b']));
  });

  it('keeps its statics in copies made by spreading and by interop code', () => {
    const copy = { ...WebSocket };

    assert.equal(copy.Server, WebSocket.Server);
    assert.equal(copy.OPEN, 1);

    // What TypeScript's and Rollup's helpers do for `import * as`.
    const namespace = { default: WebSocket };

    for (const key in WebSocket) {
      if (Object.prototype.hasOwnProperty.call(WebSocket, key)) {
        namespace[key] = WebSocket[key];
      }
    }

    assert.equal(namespace.WebSocketServer, WebSocket.WebSocketServer);
    assert.equal(
      namespace.createWebSocketStream,
      WebSocket.createWebSocketStream
    );
  });

  it('has the ready states as constants of the class and its instances', () => {
    const states = { CONNECTING: 0, OPEN: 1, CLOSING: 2, CLOSED: 3 };

    for (const [key, value] of Object.entries(states)) {
      for (const owner of [WebSocket, WebSocket.prototype]) {
        assert.deepEqual(Object.getOwnPropertyDescriptor(owner, key), {
          configurable: false,
          enumerable: true,
          value,
          writable: false
        });
      }
    }
  });

  it('has the attributes of a browser WebSocket as enumerable accessors', () => {
    for (const key of [
      'binaryType',
      'bufferedAmount',
      'extensions',
      'isPaused',
      'onclose',
      'onerror',
      'onmessage',
      'onopen',
      'protocol',
      'readyState',
      'url'
    ]) {
      const descriptor = Object.getOwnPropertyDescriptor(
        WebSocket.prototype,
        key
      );

      assert.ok(descriptor, `${key} is missing`);
      assert.equal(descriptor.enumerable, true, `${key} is not enumerable`);
      assert.equal(typeof descriptor.get, 'function');
      assert.equal(
        typeof descriptor.set,
        /^(binaryType|on.*)$/.test(key) ? 'function' : 'undefined'
      );
    }
  });

  it('bears an object that the constructor has not made, as mocks are', () => {
    const mock = Object.create(WebSocket.prototype);
    const sent = [];

    assert.equal(WebSocket.prototype._socket, undefined);
    assert.equal(mock._socket, undefined);
    assert.equal(mock._receiver, undefined);
    assert.equal(mock._sender, undefined);
    assert.equal(mock.bufferedAmount, undefined);
    mock.terminate();

    mock._readyState = WebSocket.OPEN;
    mock._extensions = {};
    mock._sender = { _bufferedBytes: 7, send: (data) => sent.push(data) };
    mock._socket = { _writableState: { length: 5 } };
    mock.send('x');
    assert.deepEqual(sent, ['x']);
    assert.equal(mock.bufferedAmount, 12);
  });

  it('has methods with the parameter counts of ws', () => {
    const count = (prototype, names) =>
      Object.fromEntries(names.map((key) => [key, prototype[key].length]));

    assert.deepEqual(
      count(WebSocket.prototype, [
        'constructor',
        'setSocket',
        'emitClose',
        'close',
        'pause',
        'ping',
        'pong',
        'resume',
        'send',
        'terminate',
        'removeEventListener'
      ]),
      {
        constructor: 3,
        setSocket: 3,
        emitClose: 0,
        close: 2,
        pause: 0,
        ping: 3,
        pong: 3,
        resume: 0,
        send: 3,
        terminate: 0,
        removeEventListener: 2
      }
    );
    assert.deepEqual(
      count(WebSocket.Server.prototype, [
        'constructor',
        'address',
        'close',
        'shouldHandle',
        'handleUpgrade',
        'completeUpgrade'
      ]),
      {
        constructor: 2,
        address: 0,
        close: 1,
        shouldHandle: 1,
        handleUpgrade: 4,
        completeUpgrade: 7
      }
    );
  });

  it('hides its internal marks behind symbols with the names of ws', () => {
    const constants = require('../lib/constants');

    assert.equal(constants.kWebSocket.toString(), 'Symbol(websocket)');
    assert.equal(constants.kStatusCode.toString(), 'Symbol(status-code)');
    assert.equal(constants.kListener.toString(), 'Symbol(kListener)');
    assert.equal(
      constants.kForOnEventAttribute.toString(),
      'Symbol(kIsForOnEventAttribute)'
    );
    assert.deepEqual(constants.BINARY_TYPES, [
      'nodebuffer',
      'arraybuffer',
      'fragments',
      'blob'
    ]);
  });

  it('has one file per class under the names of ws', () => {
    const { Receiver, Sender, PerMessageDeflate } = WebSocket;

    assert.equal(require('../lib/websocket'), WebSocket);
    assert.equal(require('../lib/websocket-server'), WebSocket.Server);
    assert.equal(require('../lib/receiver'), Receiver);
    assert.equal(require('../lib/sender'), Sender);
    assert.equal(require('../lib/permessage-deflate'), PerMessageDeflate);
    assert.equal(require('../lib/stream'), WebSocket.createWebSocketStream);
    assert.equal(require('../lib/extension'), WebSocket.extension);
    assert.equal(require('../lib/subprotocol'), WebSocket.subprotocol);
    assert.equal(typeof require('../lib/event-target').EventTarget, 'object');
    assert.equal(
      typeof require('../lib/validation').isValidStatusCode,
      'function'
    );
  });

  it('is found under its name by require(), package.json included', async () => {
    const result = await evaluate(
      'commonjs',
      `const WebSocket = require('${name}');
      const manifest = require('${name}/package.json');
      console.log(JSON.stringify({
        same: WebSocket === require('./index.js'),
        name: manifest.name,
        version: manifest.version,
        keys: Object.keys(WebSocket).length
      }));`
    );

    assert.deepEqual(result, {
      same: true,
      name,
      version: manifest.version,
      keys: Object.keys(WebSocket).length
    });
    assert.match(manifest.version, /^8\./);
  });

  it('does not open its other files to require()', async () => {
    const result = await evaluate(
      'commonjs',
      `try {
        require('${name}/lib/websocket.js');
      } catch (err) {
        console.log(JSON.stringify(err.code));
      }`
    );

    assert.equal(result, 'ERR_PACKAGE_PATH_NOT_EXPORTED');
  });

  it('gives an ES module the same classes as require()', async () => {
    const result = await evaluate(
      'module',
      `import { createRequire } from 'node:module';
      import WebSocket, * as all from '${name}';
      const cjs = createRequire(import.meta.url)('${name}');
      console.log(JSON.stringify({
        keys: Object.keys(all).sort(),
        class: WebSocket === cjs,
        same: Object.keys(all)
          .filter((key) => key !== 'default')
          .every((key) => all[key] === cjs[key]),
        statics: typeof WebSocket.Server
      }));`
    );

    assert.deepEqual(result, {
      keys: [
        'PerMessageDeflate',
        'Receiver',
        'Sender',
        'WebSocket',
        'WebSocketServer',
        'createWebSocketStream',
        'default',
        'extension',
        'subprotocol'
      ],
      class: true,
      same: true,
      statics: 'function'
    });
  });

  it('gives an ES module the class by named imports alone', async () => {
    const result = await evaluate(
      'module',
      `import WebSocket, { WebSocketServer, createWebSocketStream } from '${name}';
      console.log(JSON.stringify([
        WebSocket.name, WebSocketServer.name, createWebSocketStream.name
      ]));`
    );

    assert.deepEqual(result, [
      'WebSocket',
      'WebSocketServer',
      'createWebSocketStream'
    ]);
  });

  it('is found by a dynamic import()', async () => {
    const module = await import(name);

    assert.equal(module.default, WebSocket);
    assert.equal(module.WebSocketServer, WebSocket.WebSocketServer);
  });

  it('refuses to work in a browser, with a clear error', () => {
    const browser = require('../browser');

    assert.equal(typeof browser, 'function');
    assert.throws(
      browser,
      /does not work in the browser\. .* must use the native WebSocket object$/
    );
  });

  it('gives a bundler for browsers that file', async () => {
    const result = await evaluate(
      'commonjs',
      `const { exports, browser } = require('${name}/package.json');
      console.log(JSON.stringify([exports['.'].browser, browser]));`
    );

    assert.deepEqual(result, ['./browser.js', 'browser.js']);
  });

  it('finds the addon from a bundle that is an ES module', async (t) => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'oxws-bundle-'));
    const [file] = fs.readdirSync(root).filter((it) => it.endsWith('.node'));
    const binding = `@oxws/binding-${file.split('.')[1]}`;
    const home = path.join(folder, 'node_modules', binding);

    t.after(() => fs.rmSync(folder, { recursive: true }));

    fs.mkdirSync(home, { recursive: true });
    fs.copyFileSync(path.join(root, file), path.join(home, 'index.node'));
    fs.writeFileSync(path.join(home, 'package.json'), '{"main":"index.node"}');
    fs.mkdirSync(path.join(folder, 'out'));

    // What bundlers make of it.
    const source = fs
      .readFileSync(path.join(root, 'lib', 'binding.js'), 'utf8')
      .replace(/^const (.*) = require\((.*)\);$/gm, 'import $1 from $2;')
      .replace('module.exports =', 'export default');

    const bundle = path.join(folder, 'out', 'bundle.mjs');
    const launcher = path.join(folder, 'launcher.mjs');

    fs.writeFileSync(bundle, source);
    fs.writeFileSync(
      launcher,
      `import binding from './out/bundle.mjs'; console.log(typeof binding.mask);`
    );

    const { stdout } = await promisify(execFile)(process.execPath, [launcher], {
      cwd: os.tmpdir(),
      timeout: 10000
    });

    assert.equal(stdout, 'function\n');
  });

  it('accepts the environment variables that switch off add-ons of ws', async () => {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--eval', `process.stdout.write(require('${name}').name)`],
      {
        cwd: root,
        env: {
          ...process.env,
          WS_NO_BUFFER_UTIL: '1',
          WS_NO_UTF_8_VALIDATE: '1'
        },
        timeout: 10000
      }
    );

    assert.equal(stdout, 'WebSocket');
  });
});
