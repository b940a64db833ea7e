'use strict';

const util = require('util');

/**
 * Makes an open server end whose events have not been touched.
 *
 * @param {Object} t The toolbox
 * @return {Promise<Object>} The end
 */
function open(t) {
  return t.end('server');
}

/**
 * Lets each kind of event happen once: message, error, close.
 *
 * @param {Object} t The toolbox
 * @param {Object} end The end
 * @return {Promise} Resolved when it is closed
 */
async function everything(t, { ws, peer }) {
  peer.write(
    peer.frame(1, 'text'),
    peer.frame(2, 'data'),
    peer.frame(9, 'ping'),
    peer.frame(5, 'violation')
  );
  await peer.until(2);
  peer.socket.end();
  await t.over(ws);
}

module.exports = [
  {
    title: 'the on attributes',
    async run(WebSocket, log, t) {
      const end = await open(t);
      const { ws } = end;
      for (const name of ['onopen', 'onmessage', 'onerror', 'onclose']) {
        log(name, ws[name]);
        ws[name] = (event) => log(`${name} called`, event);
        log(name, ws[name], ws.listenerCount(name.slice(2)));
      }
      ws.onclose = function (event) {
        log('onclose called', event, this === ws, event.target === ws);
      };
      log('count', ws.listenerCount('close'));
      await everything(t, end);
    }
  },
  {
    title: 'values that the on attributes take',
    async run(WebSocket, log, t) {
      const { ws } = await open(t);
      const first = () => {};
      const second = () => {};
      for (const value of [
        first,
        second,
        null,
        first,
        undefined,
        first,
        5,
        first,
        'text',
        first,
        { handleEvent() {} },
        first
      ]) {
        ws.onmessage = value;
        log('value', typeof value, ws.onmessage === value, ws.onmessage);
        log('count', ws.listenerCount('message'));
      }
    }
  },
  {
    title: 'the on attributes and listeners do not touch each other',
    async run(WebSocket, log, t) {
      const { ws } = await open(t);
      const handler = () => {};
      ws.addEventListener('message', handler);
      log('attribute', ws.onmessage);
      ws.onmessage = handler;
      log('count', ws.listenerCount('message'));
      ws.addEventListener('message', handler);
      log('count', ws.listenerCount('message'));
      ws.removeEventListener('message', handler);
      log('count', ws.listenerCount('message'), ws.onmessage === handler);
      ws.removeEventListener('message', handler);
      log('count', ws.listenerCount('message'), ws.onmessage === handler);
      ws.onmessage = null;
      log('count', ws.listenerCount('message'));
      ws.on('message', handler);
      log('attribute', ws.onmessage);
      ws.removeEventListener('message', handler);
      log('count', ws.listenerCount('message'));
    }
  },
  {
    title: 'addEventListener() with functions',
    async run(WebSocket, log, t) {
      const end = await open(t);
      const { ws } = end;
      for (const type of ['open', 'message', 'error', 'close']) {
        const handler = function (event) {
          log(type, event, this === ws, event.target === ws);
        };
        log('result', ws.addEventListener(type, handler));
        log('result', ws.addEventListener(type, handler));
        log('count', ws.listenerCount(type));
        log(
          'listeners',
          ws.listeners(type).map((listener) => listener.name)
        );
      }
      ws.emit('open');
      await everything(t, end);
    }
  },
  {
    title: 'addEventListener() with objects',
    async run(WebSocket, log, t) {
      const end = await open(t);
      const { ws } = end;
      const handler = {
        handleEvent(event) {
          log('handleEvent', event.type, this === handler);
        }
      };
      ws.addEventListener('message', handler);
      ws.addEventListener('message', handler);
      log('count', ws.listenerCount('message'));
      ws.addEventListener('close', handler, { once: true });
      ws.addEventListener('error', handler);
      await everything(t, end);
      ws.removeEventListener('message', handler);
      log('count', ws.listenerCount('message'), ws.listenerCount('close'));
    }
  },
  {
    title: 'a listener object whose handleEvent changes',
    async run(WebSocket, log, t) {
      const { ws, peer } = await open(t);
      const handler = { handleEvent: (event) => log('first', event.data) };
      ws.addEventListener('message', handler);
      peer.write(peer.frame(1, 'a'));
      await t.once(ws, 'message');
      handler.handleEvent = (event) => log('second', event.data);
      peer.write(peer.frame(1, 'b'));
      await t.once(ws, 'message');
    }
  },
  {
    title: 'addEventListener() with the option once',
    async run(WebSocket, log, t) {
      const { ws, peer } = await open(t);
      const handler = (event) => log('once', event);
      ws.addEventListener('message', handler, { once: true });
      ws.addEventListener('message', handler, { once: true });
      ws.addEventListener('message', (event) => log('always', event.data));
      log('count', ws.listenerCount('message'));
      peer.write(peer.frame(1, 'a'), peer.frame(1, 'b'));
      await peer.fence();
      log('count', ws.listenerCount('message'));
      ws.addEventListener('message', handler, { once: true });
      ws.removeEventListener('message', handler);
      log('count', ws.listenerCount('message'));
    }
  },
  {
    title: 'addEventListener() with odd arguments',
    async run(WebSocket, log, t) {
      const { ws } = await open(t);
      for (const type of ['ping', 'pong', 'upgrade', 'foo', '', undefined]) {
        t.attempt(log, String(type), () => ws.addEventListener(type, () => {}));
        log('count', ws.listenerCount(type));
      }
      for (const options of [true, false, 0, 'text']) {
        t.attempt(log, `options ${options}`, () => {
          return ws.addEventListener('message', () => {}, options);
        });
      }
      log('count', ws.listenerCount('message'));
      try {
        ws.addEventListener('message', () => {}, null);
        log('null options');
      } catch (err) {
        log('null options', err.constructor.name);
      }
      t.attempt(log, 'null', () => ws.addEventListener('close', null));
      log('count', ws.listenerCount('close'));
      t.attempt(log, 'remove', () => ws.removeEventListener('message'));
      t.attempt(log, 'remove', () => ws.removeEventListener('foo', () => {}));
    }
  },
  {
    title: 'removeEventListener()',
    async run(WebSocket, log, t) {
      const { ws } = await open(t);
      const one = () => {};
      const two = () => {};
      ws.addEventListener('close', one);
      ws.addEventListener('close', two);
      ws.addEventListener('error', one);
      const count = () => [
        ws.listenerCount('close'),
        ws.listenerCount('error')
      ];
      log('count', count());
      log('result', ws.removeEventListener('close', one), count());
      ws.removeEventListener('close', one);
      log('count', count());
      ws.removeEventListener('error', two);
      log('count', count());
    }
  },
  {
    title: 'the data of a message event for each binary type',
    async run(WebSocket, log, t) {
      for (const type of ['nodebuffer', 'arraybuffer', 'fragments', 'blob']) {
        const { ws, peer } = await open(t);
        ws.binaryType = type;
        ws.onmessage = (event) => log(type, event, typeof event.data);
        peer.write(
          peer.frame(1, 'text'),
          peer.frame(2, 'data'),
          peer.frame(1, ''),
          peer.frame(2, '')
        );
        await peer.fence();
      }
    }
  },
  {
    title: 'the value of binaryType',
    async run(WebSocket, log, t) {
      const { ws } = await open(t);
      for (const value of [
        'arraybuffer',
        'fragments',
        'blob',
        'nodebuffer',
        'foo',
        '',
        null,
        5,
        'ArrayBuffer'
      ]) {
        ws.binaryType = value;
        log(String(value), ws.binaryType, ws._receiver._binaryType);
      }
    }
  },
  {
    title: 'the classes of the events',
    async run(WebSocket, log, t) {
      const end = await open(t);
      const { ws } = end;
      const seen = (event) => {
        const names = [];
        for (
          let proto = Object.getPrototypeOf(event);
          proto;
          proto = Object.getPrototypeOf(proto)
        ) {
          names.push(proto.constructor.name);
        }
        log(event.type, names, Object.keys(event));
        log('symbols', Object.getOwnPropertySymbols(event).map(String));
        const keys = [];
        for (const key in event) keys.push(key);
        log('keys', keys);
        log('tag', Object.prototype.toString.call(event), `${event}`);
        log('instance', event instanceof Event, event.isTrusted);
        try {
          event.type = 'changed';
          log('assigned', event.type);
        } catch (err) {
          log('assigning', err.constructor.name);
        }
        log('inspected', util.inspect(event).split(' ')[0]);
      };
      for (const type of ['open', 'message', 'error', 'close']) {
        ws.addEventListener(type, seen);
      }
      ws.emit('open');
      await everything(t, end);
    }
  },
  {
    title: 'the error event',
    async run(WebSocket, log, t) {
      const { ws } = await open(t);
      ws.onerror = (event) => {
        log('event', event, event.error === error, event.message);
      };
      const error = new TypeError('own');
      ws.emit('error', error);
    }
  },
  {
    title: 'the close event and wasClean',
    async run(WebSocket, log, t) {
      for (const how of ['peer', 'own', 'terminate', 'end', 'violation']) {
        const { ws, peer } = await open(t);
        ws.onerror = () => {};
        ws.onclose = (event) => log(how, event, event.wasClean);
        if (how === 'peer') peer.write(peer.closeFrame(1001, 'bye'));
        if (how === 'own') {
          ws.close(1000, 'own');
          await peer.until(1);
          peer.write(peer.closeFrame());
        }
        if (how === 'terminate') ws.terminate();
        if (how === 'end') peer.socket.end();
        if (how === 'violation') {
          peer.write(peer.frame(5));
          await peer.until(1);
          peer.socket.end();
        }
        await t.over(ws);
      }
    }
  },
  {
    title: 'EventEmitter methods on what addEventListener() added',
    async run(WebSocket, log, t) {
      const { ws } = await open(t);
      const handler = () => {};
      ws.addEventListener('message', handler);
      const [listener] = ws.listeners('message');
      log('wrapped', listener === handler, listener.name, listener.length);
      log('symbols', Object.getOwnPropertySymbols(listener).map(String));
      ws.off('message', handler);
      log('count', ws.listenerCount('message'));
      ws.off('message', listener);
      log('count', ws.listenerCount('message'));
      log('raw', ws.rawListeners('message').length);
    }
  },
  {
    title: 'a WebSocket is no EventTarget of Node',
    async run(WebSocket, log, t) {
      const { ws } = await open(t);
      log('instance', ws instanceof EventTarget, typeof ws.dispatchEvent);
      const { getEventListeners, EventEmitter } = require('events');
      ws.addEventListener('message', () => {});
      log('listeners', getEventListeners(ws, 'message').length);
      log('default', EventEmitter.listenerCount(ws, 'message'));
    }
  },
  {
    title: 'an exception in an attribute handler',
    async run(WebSocket, log, t) {
      t.onUncaught = (err, origin) => log(origin, err);
      const { ws, peer } = await open(t);
      ws.onmessage = () => {
        throw new Error('thrown');
      };
      peer.write(peer.frame(1, 'a'));
      await t.once(process, 'uncaughtException');
      log('state', ws.readyState);
    }
  },
  {
    title: 'a listener that can not be called',
    async run(WebSocket, log, t) {
      for (const listener of [{}, 5, 'text', { handleEvent: 1 }]) {
        const { ws } = await open(t);
        t.attempt(log, 'add', () => ws.addEventListener('message', listener));
        t.attempt(log, 'emit', () =>
          ws.emit('message', Buffer.from('x'), true)
        );
      }
    }
  },
  {
    title: 'maxListeners of a WebSocket, its parts and its server',
    async run(WebSocket, log, t) {
      const { ws, wss } = await open(t);
      for (const emitter of [ws, wss, ws._socket, ws._receiver]) {
        log('max', emitter.getMaxListeners());
      }
    }
  }
];
