'use strict';

const { EventEmitter } = require('events');
const util = require('util');

const { describe } = require('../recorder');
const { hidden } = require('../allowed');

const CLASSES = [
  'WebSocket',
  'WebSocketServer',
  'Sender',
  'Receiver',
  'PerMessageDeflate'
];

/**
 * Describes a property descriptor.
 *
 * @param {Object} descriptor The descriptor
 * @return {String} The description
 */
function describeDescriptor(descriptor) {
  const flags = ['enumerable', 'configurable', 'writable']
    .filter((flag) => descriptor[flag])
    .join(' ');
  const value =
    'value' in descriptor
      ? describe(descriptor.value, 3)
      : `get ${describe(descriptor.get)} set ${describe(descriptor.set)}`;
  return `${value} [${flags}]`;
}

/**
 * Logs the own properties of an object, in the order of their creation.
 *
 * @param {Function} log The log
 * @param {String} kind What the object is, as the allow-list knows it
 * @param {Object} object The object
 * @param {Boolean} [values=true] Whether to log the values too
 */
function logOwn(log, kind, object, values = true) {
  for (const key of Reflect.ownKeys(object)) {
    if (hidden(kind, key)) continue;
    const descriptor = Object.getOwnPropertyDescriptor(object, key);
    log(
      `${kind} ${String(key)}`,
      ...(values ? [{ is: describeDescriptor(descriptor) }] : [])
    );
  }
}

/**
 * Logs the own properties of an object, sorted: for objects whose internal
 * properties may come at other moments.
 *
 * @param {Function} log The log
 * @param {String} kind What the object is, as the allow-list knows it
 * @param {Object} object The object
 */
function logOwnSorted(log, kind, object) {
  const keys = Reflect.ownKeys(object)
    .filter((key) => !hidden(kind, key))
    .map(String)
    .sort();
  for (const key of keys) log(`${kind} ${key}`);
}

const scenarios = [];

for (const name of CLASSES) {
  scenarios.push(
    {
      title: `own properties of the class ${name}`,
      async run(WebSocket, log) {
        logOwn(log, name, WebSocket[name]);
      }
    },
    {
      title: `own properties of the prototype of ${name}`,
      async run(WebSocket, log) {
        logOwn(log, `${name}.prototype`, WebSocket[name].prototype);
      }
    },
    {
      title: `name, length and chain of the class ${name}`,
      async run(WebSocket, log) {
        const Class = WebSocket[name];
        log('is', Class.name, Class.length, typeof Class);
        log('text starts', /^class \w+/.exec(String(Class))[0]);
        for (let proto = Class; proto; proto = Object.getPrototypeOf(proto)) {
          log('class chain', proto.name);
        }
        for (
          let proto = Class.prototype;
          proto;
          proto = Object.getPrototypeOf(proto)
        ) {
          log('prototype chain', proto.constructor.name);
        }
        log('tag', Object.prototype.toString.call(Class.prototype));
        log(
          'calling',
          (() => {
            try {
              return Class();
            } catch (err) {
              return err.constructor.name;
            }
          })()
        );
        for (const key of Object.getOwnPropertyNames(Class.prototype)) {
          if (hidden(`${name}.prototype`, key)) continue;
          const { value } = Object.getOwnPropertyDescriptor(
            Class.prototype,
            key
          );
          if (typeof value === 'function') log(key, value.name, value.length);
        }
      }
    }
  );
}

scenarios.push(
  {
    title: 'enumeration of the export',
    async run(WebSocket, log) {
      log('keys', Object.keys(WebSocket));
      log('spread', Object.keys({ ...WebSocket }));
      const keys = [];
      for (const key in WebSocket) keys.push(key);
      log('for in', keys);
      log('same class', [
        WebSocket.WebSocket === WebSocket,
        WebSocket.Server === WebSocket.WebSocketServer,
        WebSocket.default === undefined,
        WebSocket.__esModule === undefined
      ]);
    }
  },
  {
    title: 'enumeration of the prototype of WebSocket with for in',
    async run(WebSocket, log) {
      for (const key in WebSocket.prototype) log(key);
    }
  },
  {
    title: 'enumeration of the prototype of WebSocketServer with for in',
    async run(WebSocket, log) {
      for (const key in WebSocket.Server.prototype) log(key);
    }
  },
  {
    title: 'the constants of the class and of its prototype',
    async run(WebSocket, log) {
      for (const name of ['CONNECTING', 'OPEN', 'CLOSING', 'CLOSED']) {
        log(name, WebSocket[name], WebSocket.prototype[name]);
        for (const change of [
          () => (WebSocket[name] = 7),
          () => delete WebSocket[name],
          () => (WebSocket.prototype[name] = 7)
        ]) {
          try {
            log('changed', change());
          } catch (err) {
            log('refused', err.constructor.name);
          }
        }
      }
    }
  },
  {
    title: 'the accessors of the prototype can be called on it',
    async run(WebSocket, log, t) {
      for (const name of [
        'binaryType',
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
        try {
          log(name, WebSocket.prototype[name]);
        } catch (err) {
          log(name, err.constructor.name);
        }
      }
      log('in', 'upgradeReq' in WebSocket.prototype);
      t.attempt(log, 'assign readyState', () => {
        Object.create(WebSocket.prototype).readyState = 1;
      });
    }
  },
  {
    title: 'what each accessor does when it is assigned in strict mode',
    async run(WebSocket, log, t) {
      const ws = new WebSocket(null, undefined, {});
      for (const name of [
        'bufferedAmount',
        'extensions',
        'isPaused',
        'protocol',
        'readyState',
        'url'
      ]) {
        t.attempt(log, name, () => {
          ws[name] = 1;
        });
      }
    }
  },
  {
    title: 'the exports as an ES module',
    async run(WebSocket, log, t) {
      const path = require('path');
      const { pathToFileURL } = require('url');
      const file = path.join(t.root, 'wrapper.mjs');
      const module = await import(pathToFileURL(file).href);
      for (const key of Object.keys(module)) {
        log(key, module[key] === (WebSocket[key] || WebSocket));
      }
    }
  },
  {
    title: 'the package.json fields that resolution uses',
    async run(WebSocket, log, t) {
      const path = require('path');
      const manifest = require(path.join(t.root, 'package.json'));
      log('main', manifest.main);
      log('browser', manifest.browser);
      log('type', manifest.type);
      log('exports', Object.keys(manifest.exports));
      for (const condition of ['browser', 'import', 'require']) {
        const target = manifest.exports['.'][condition];
        log(condition, target.default || target);
      }
    }
  },
  {
    title: 'the browser entry throws',
    async run(WebSocket, log, t) {
      const path = require('path');
      const browser = require(path.join(t.root, 'browser.js'));
      t.attempt(log, 'call', () => browser());
    }
  },
  {
    title: 'the modules in lib that other programs hook',
    async run(WebSocket, log, t) {
      for (const [file, value] of [
        ['extension', WebSocket.extension],
        ['permessage-deflate', WebSocket.PerMessageDeflate],
        ['receiver', WebSocket.Receiver],
        ['sender', WebSocket.Sender],
        ['stream', WebSocket.createWebSocketStream],
        ['subprotocol', WebSocket.subprotocol],
        ['websocket', WebSocket],
        ['websocket-server', WebSocket.WebSocketServer]
      ]) {
        log(file, t.lib(file) === value, t.lib(`${file}.js`) === value);
      }
      log('constants', Object.keys(t.lib('constants')).sort());
      for (const [key, value] of Object.entries(t.lib('constants'))) {
        log(`constant ${key}`, value);
      }
      log('event-target', Object.keys(t.lib('event-target')).sort());
      log('validation', Object.keys(t.lib('validation')).sort());
    }
  },
  {
    title: 'the shape of the helper modules',
    async run(WebSocket, log) {
      for (const name of ['extension', 'subprotocol']) {
        logOwn(log, name, WebSocket[name]);
      }
      const { createWebSocketStream } = WebSocket;
      log('stream', createWebSocketStream, createWebSocketStream.name);
    }
  },
  {
    title: 'own properties of a WebSocket without address',
    async run(WebSocket, log) {
      logOwn(log, 'WebSocket#', new WebSocket(null, undefined, {}));
      logOwn(
        log,
        'WebSocket#',
        new WebSocket(null, undefined, {
          autoPong: true,
          closeTimeout: 5,
          maxPendingAutoPongs: 3.7
        })
      );
    }
  },
  {
    title: 'own properties of a WebSocket that is connecting',
    async run(WebSocket, log, t) {
      const port = await t.rawServer(() => {});
      const ws = t.client(`ws://127.0.0.1:${port}/`);
      logOwnSorted(log, 'WebSocket#', ws);
      log('req', ws._req.constructor.name, ws._redirects, ws._isServer);
    }
  },
  ...['server', 'client'].flatMap((role) => [
    {
      title: `own properties of an open WebSocket, ${role}`,
      async run(WebSocket, log, t) {
        const { ws } = await t.end(role);
        logOwnSorted(log, 'WebSocket#', ws);
        log('keys in order', [
          ...Object.keys(ws).filter((key) => !hidden('WebSocket#', key))
        ]);
      }
    },
    {
      title: `own properties of a closed WebSocket, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role);
        ws.close();
        await peer.until(1);
        peer.write(peer.closeFrame(1000));
        await t.over(ws);
        logOwnSorted(log, 'WebSocket#', ws);
        log('socket', ws._socket !== null, ws._socket.destroyed);
        log('receiver', ws._receiver instanceof WebSocket.Receiver);
        log('sender', ws._sender instanceof WebSocket.Sender);
        log('timer', ws._closeTimer.constructor.name);
        log('codes', ws._closeCode, ws._closeMessage);
        log('frames', ws._closeFrameReceived, ws._closeFrameSent);
      }
    },
    {
      title: `public getters of an open WebSocket, ${role}`,
      async run(WebSocket, log, t) {
        const { ws } = await t.end(role);
        const keys = [];
        for (const key in ws) {
          if (key.startsWith('_')) continue;
          keys.push(key);
        }
        log('for in', keys);
        for (const key of keys) {
          if (typeof ws[key] !== 'function') log(key, ws[key]);
        }
        log('instanceof', [
          ws instanceof WebSocket,
          ws instanceof EventEmitter,
          ws._receiver instanceof WebSocket.Receiver,
          ws._sender instanceof WebSocket.Sender
        ]);
        log('tag', Object.prototype.toString.call(ws), String(ws));
      }
    },
    {
      title: `listeners that a WebSocket has and adds, ${role}`,
      async run(WebSocket, log, t) {
        const { ws } = await t.end(role);
        log('ws', ws.eventNames());
        log('receiver', ws._receiver.eventNames().map(String).sort());
        for (const name of ['close', 'data', 'end', 'error']) {
          log(
            `socket ${name}`,
            ws._socket.listeners(name).map((listener) => listener.name)
          );
        }
        for (const name of [
          'conclude',
          'drain',
          'error',
          'message',
          'ping',
          'pong'
        ]) {
          log(
            `receiver ${name}`,
            ws._receiver.listeners(name).map((listener) => listener.name)
          );
        }
        log('sender.onerror', ws._sender.onerror);
      }
    },
    {
      title: `symbols that lead from the parts to the WebSocket, ${role}`,
      async run(WebSocket, log, t) {
        const { kWebSocket } = t.lib('constants');
        const { ws, peer } = await t.end(role);
        log('symbol', kWebSocket);
        log('receiver', ws._receiver[kWebSocket] === ws);
        log('sender', ws._sender[kWebSocket] === ws);
        log('socket', ws._socket[kWebSocket] === ws);
        log('sender socket', ws._sender._socket === ws._socket);
        peer.socket.destroy();
        await t.over(ws);
        log('socket after', ws._socket[kWebSocket]);
        log('receiver after', ws._receiver[kWebSocket] === ws);
      }
    },
    {
      title: `util.inspect and JSON.stringify of a closed WebSocket, ${role}`,
      async run(WebSocket, log, t) {
        const { ws, peer } = await t.end(role);
        peer.socket.destroy();
        await t.over(ws);
        const text = util.inspect(ws, { depth: 0 });
        log('first line', text.split('\n')[0]);
        for (const name of [
          '_events',
          '_eventsCount',
          '_maxListeners',
          '_binaryType',
          '_closeCode',
          '_closeFrameReceived',
          '_closeFrameSent',
          '_closeMessage',
          '_closeTimer',
          '_errorEmitted',
          '_extensions',
          '_paused',
          '_protocol',
          '_readyState'
        ]) {
          const match = new RegExp(`^ {2}${name}: (.*)$`, 'm').exec(text);
          log(name, match && match[1].replace(/,$/, '').slice(0, 30));
        }
        t.attempt(log, 'depth -1', () => util.inspect(ws, { depth: -1 }));
      }
    }
  ]),
  {
    title: 'util.inspect of a WebSocket without address',
    async run(WebSocket, log) {
      const ws = new WebSocket(null, undefined, { closeTimeout: 10 });
      const lines = util.inspect(ws).split('\n');

      log(
        'lines',
        lines.filter((line) => {
          const [, key = ''] = /^ {2}(\w+|\[Symbol)/.exec(line) || [];

          return !/^\[?Symbol$/.test(key) && !hidden('WebSocket#', key);
        })
      );
    }
  },
  {
    title: 'own properties of a WebSocketServer without server',
    async run(WebSocket, log) {
      const wss = new WebSocket.Server({ noServer: true });
      logOwn(log, 'WebSocketServer#', wss);
      logOwn(log, 'options', wss.options);
    }
  },
  {
    title: 'own properties of a WebSocketServer that listens',
    async run(WebSocket, log, t) {
      const wss = await t.server();
      logOwnSorted(log, 'WebSocketServer#', wss);
      log('options', wss.options);
      log('server', wss._server.constructor.name);
      log('instanceof', wss._server instanceof require('http').Server);
      log('listening', wss._server.listening);
      log('events', wss.eventNames());
      for (const name of ['listening', 'error', 'upgrade', 'request']) {
        log(name, wss._server.listenerCount(name));
      }
      await new Promise((resolve) => wss.close(resolve));
      logOwnSorted(log, 'WebSocketServer#', wss);
      log('server', wss._server, wss._removeListeners, wss._state);
    }
  },
  {
    title: 'own properties of a WebSocketServer with clientTracking off',
    async run(WebSocket, log) {
      const wss = new WebSocket.Server({
        noServer: true,
        clientTracking: false,
        perMessageDeflate: true
      });
      logOwn(log, 'WebSocketServer#', wss);
      log('deflate', wss.options.perMessageDeflate);
    }
  },
  {
    title: 'own properties of a Sender',
    async run(WebSocket, log) {
      const { PassThrough } = require('stream');
      logOwn(log, 'Sender#', new WebSocket.Sender(new PassThrough()));
      logOwn(
        log,
        'Sender#',
        new WebSocket.Sender(new PassThrough(), {}, () => {})
      );
    }
  },
  {
    title: 'own properties of a Receiver',
    async run(WebSocket, log) {
      logOwnSorted(log, 'Receiver#', new WebSocket.Receiver());
    }
  },
  {
    title: 'the options of a Receiver as its properties',
    async run(WebSocket, log) {
      for (const options of [
        undefined,
        {},
        { allowSynchronousEvents: false },
        { allowSynchronousEvents: undefined },
        { binaryType: 'arraybuffer' },
        { isServer: 1 },
        { maxPayload: 5.9, maxFragments: '7', maxBufferedChunks: null },
        { maxPayload: 2 ** 32 + 5, maxFragments: 2 ** 31 },
        { skipUTF8Validation: 'yes' },
        { extensions: { a: 1 } }
      ]) {
        const receiver = new WebSocket.Receiver(options);
        log(
          describe(options),
          ...[
            '_allowSynchronousEvents',
            '_binaryType',
            '_extensions',
            '_isServer',
            '_maxBufferedChunks',
            '_maxFragments',
            '_maxPayload',
            '_skipUTF8Validation'
          ].map((key) => receiver[key])
        );
      }
    }
  },
  {
    title: 'own properties of a PerMessageDeflate',
    async run(WebSocket, log) {
      logOwn(log, 'PerMessageDeflate#', new WebSocket.PerMessageDeflate());
      logOwn(
        log,
        'PerMessageDeflate#',
        new WebSocket.PerMessageDeflate({
          isServer: true,
          maxPayload: 7.5,
          threshold: 0
        })
      );
    }
  },
  {
    title: 'subclasses of WebSocket and WebSocketServer',
    async run(WebSocket, log, t) {
      class Client extends WebSocket {
        constructor(...args) {
          super(...args);
          log('constructed', args.length, this.readyState);
          this.own = 1;
        }
        emit(event, ...args) {
          if (!event.startsWith('removeL') && !event.startsWith('newL')) {
            log('emit', event, args.length);
          }
          return super.emit(event, ...args);
        }
        get readyState() {
          return super.readyState;
        }
      }
      class Server extends WebSocket.Server {
        completeUpgrade(...args) {
          log('completeUpgrade', args.length);
          return super.completeUpgrade(...args);
        }
        shouldHandle(req) {
          log('shouldHandle', req.url);
          return super.shouldHandle(req);
        }
      }
      const wss = new Server({ port: 0, host: '127.0.0.1', WebSocket: Client });
      t.defer(() => wss.close());
      await t.once(wss, 'listening');
      const connected = t.once(wss, 'connection');
      const peer = await t.connect(wss.address().port);
      peer.write(t.request());
      const [ws] = await connected;
      log('instance', ws instanceof Client, ws.constructor.name, ws.own);
      peer.write(peer.frame(1, 'a'), peer.closeFrame(1000));
      await t.over(ws);
    }
  },
  {
    title: 'a subclass that overrides send, close and setSocket',
    async run(WebSocket, log, t) {
      class Custom extends WebSocket {
        setSocket(socket, head, options) {
          log('setSocket', head, Object.keys(options));
          super.setSocket(socket, head, options);
        }
        send(...args) {
          log('send', ...args);
          super.send(...args);
        }
        close(...args) {
          log('close', ...args);
          super.close(...args);
        }
        pong(...args) {
          log('pong', ...args);
          super.pong(...args);
        }
        emitClose() {
          log('emitClose');
          super.emitClose();
        }
      }
      const { ws, peer } = await t.end('server', {
        options: { WebSocket: Custom }
      });
      ws.send('x');
      peer.write(peer.frame(9, 'ping'), peer.closeFrame(3000, 'bye'));
      await t.over(ws);
      peer.report(log);
    }
  },
  {
    title: 'methods patched on the prototype after the connection was made',
    async run(WebSocket, log, t) {
      const { ws, peer } = await t.end('server');
      const { send, close, emit } = WebSocket.prototype;
      t.defer(() => {
        WebSocket.prototype.send = send;
        WebSocket.prototype.close = close;
        delete WebSocket.prototype.emit;
      });
      log('own emit', Object.hasOwn(WebSocket.prototype, 'emit'));
      WebSocket.prototype.send = function (...args) {
        log('send', ...args);
        return send.apply(this, args);
      };
      WebSocket.prototype.close = function (...args) {
        log('close', ...args);
        return close.apply(this, args);
      };
      WebSocket.prototype.emit = function (...args) {
        if (this === ws) log('emit', ...args);
        return emit.apply(this, args);
      };
      ws.send('one');
      peer.write(peer.frame(1, 'two'), peer.closeFrame(1001));
      await t.over(ws);
      peer.report(log);
    }
  },
  {
    title: 'methods patched on the prototypes of Receiver and Sender',
    async run(WebSocket, log, t) {
      const { Receiver, Sender } = WebSocket;
      const { on } = Receiver.prototype;
      const { addListener } = Receiver.prototype;
      const { send, sendFrame, close, pong } = Sender.prototype;
      t.defer(() => {
        delete Receiver.prototype.on;
        delete Receiver.prototype.addListener;
        Object.assign(Sender.prototype, { send, sendFrame, close, pong });
      });
      Receiver.prototype.on = function (event, listener) {
        log('receiver on', event);
        return on.call(this, event, listener);
      };
      Receiver.prototype.addListener = function (event, listener) {
        log('receiver addListener', event);
        return addListener.call(this, event, listener);
      };
      Sender.prototype.send = function (data, options, cb) {
        log('sender send', data, options, cb);
        return send.call(this, data, options, cb);
      };
      Sender.prototype.pong = function (...args) {
        log('sender pong', ...args);
        return pong.apply(this, args);
      };
      Sender.prototype.close = function (code, data, mask) {
        log('sender close', code, data, mask);
        return close.apply(this, arguments);
      };
      Sender.prototype.sendFrame = function (list, cb) {
        log('sender sendFrame', list, typeof cb);
        return sendFrame.call(this, list, cb);
      };
      const { ws, peer } = await t.end('server');
      ws.on('message', (data, isBinary) => log('message', data, isBinary));
      ws.send('one');
      ws.send(Buffer.from('two'), () => {});
      peer.write(peer.frame(1, 'three'), peer.frame(9, 'four'));
      await peer.until(3);
      peer.write(peer.closeFrame(1000));
      await t.over(ws);
      peer.report(log);
    }
  },
  {
    title: 'own properties set on instances and removeAllListeners()',
    async run(WebSocket, log, t) {
      const { ws, peer } = await t.end('server');
      ws.send = function (data) {
        log('own send', data);
        WebSocket.prototype.send.call(this, data);
      };
      ws.isAlive = true;
      ws.on('message', () => log('message'));
      ws.send('x');
      ws.removeAllListeners();
      log('events', ws.eventNames());
      peer.write(peer.frame(1, 'unheard'));
      await peer.fence();
      peer.write(peer.closeFrame(1000));
      await t.over(ws);
      log('keys', Object.keys(ws).slice(-2));
      peer.report(log);
    }
  }
);

module.exports = scenarios;
