'use strict';

const net = require('net');
const {
  constants: {
    errno: { ECANCELED }
  }
} = require('os');
const { Readable } = require('stream');

const binding = require('./binding');
const driver = require('./native-driver');
const errnoException = require('./errno-exception');
const runTicks = require('./run-ticks');
const { nextTick } = require('./scheduling');
const { kConnection } = require('./symbols');
const { nodeMajor } = require('./runtime');
const { prototype } = net.Socket;

/**
 * Methods that, if a program has replaced them on a socket, make it unsuitable:
 * the program wants to see every call.
 */
const PATCHABLE = [
  '_destroy',
  '_final',
  '_read',
  '_write',
  '_writev',
  'end',
  'pause',
  'push',
  'read',
  'resume',
  'unshift',
  'write'
];

/**
 * Methods that Node's HTTP server puts on a socket itself.
 */
const LISTENER_METHODS = ['on', 'addListener', 'prependListener'];

/**
 * What is different in a socket that the native driver serves. Everything else,
 * the queues, the states and the events of the stream, is the socket's own.
 *
 * What has been sent is handed to the kernel before anything that would overtake
 * it, or keep the socket from taking what the kernel does not.
 */
const overrides = {
  _read() {
    // The engine reads.
  },

  _write(chunk, encoding, cb) {
    this._unrefTimer();
    this[kConnection].writer.write([toBuffer(chunk, encoding)], cb);
  },

  _writev(chunks, cb) {
    const list = chunks.map(({ chunk, encoding }) => toBuffer(chunk, encoding));

    this._unrefTimer();
    this[kConnection].writer.write(list, cb);
  },

  _final(cb) {
    this[kConnection].flush();
    return prototype._final.call(this, cb);
  },

  cork() {
    this[kConnection].flush();
    prototype.cork.call(this);
  },

  end(...args) {
    this[kConnection].flush();
    return prototype.end.apply(this, args);
  },

  destroy(err, cb) {
    const connection = this[kConnection];

    connection.flush();

    //
    // A paused socket has read some data ahead, which is still delivered.
    //
    if (this.readableFlowing === false && !this.destroyed && this.readable) {
      const bytes = connection.takeReceived();
      const unsent = connection.takeUnsent();

      spill(this);
      if (unsent !== null) cancelWhenClosed(this, unsent);

      if (bytes.length > 0) {
        //
        // It has been there for long, so the stream is not to flow because of it.
        //
        this._readableState.needReadable = false;
        Readable.prototype.push.call(this, bytes);
      }
    }

    return prototype.destroy.call(this, err, cb);
  },

  _destroy(err, cb) {
    const connection = this[kConnection];

    connection.release();
    restore(this);
    driver.closeSocket();

    const unsent = connection.takeUnsent();

    if (unsent !== null) cancelWhenClosed(this, unsent);

    return prototype._destroy.call(this, err, cb);
  },

  pause() {
    prototype.pause.call(this);
    this[kConnection].setReading(false);
    return this;
  },

  resume() {
    prototype.resume.call(this);
    if (this.readableFlowing) this[kConnection].setReading(true);
    return this;
  },

  setTimeout(...args) {
    //
    // Node does this right after it took the handle away, to send it to another
    // process. From then on that is the one that reads.
    //
    if (!this._handle && !this.destroyed) spill(this);
    return prototype.setTimeout.apply(this, args);
  },

  ref() {
    this[kConnection].setReferenced(true);
    return prototype.ref.call(this);
  },

  unref() {
    this[kConnection].setReferenced(false);
    return prototype.unref.call(this);
  },

  on(event, listener) {
    spillFor(this, event, listener);
    return prototype.on.call(this, event, listener);
  },

  addListener(event, listener) {
    spillFor(this, event, listener);
    return prototype.addListener.call(this, event, listener);
  },

  prependListener(event, listener) {
    spillFor(this, event, listener);
    return prototype.prependListener.call(this, event, listener);
  },

  removeListener(event, listener) {
    if (event === 'data' && listener === driver.callbacks.onData) spill(this);
    return prototype.removeListener.call(this, event, listener);
  },

  off(event, listener) {
    return this.removeListener(event, listener);
  },

  removeAllListeners(...args) {
    //
    // Then nobody listens for what is received any more.
    //
    if (args.length === 0 || args[0] === 'data') spill(this);
    return prototype.removeAllListeners.apply(this, args);
  },

  read(n) {
    //
    // `read(0)` and reading while flowing is what the stream itself does.
    //
    if (n !== 0 && !this.readableFlowing) spill(this);
    return prototype.read.call(this, n);
  },

  setEncoding(encoding) {
    spill(this);
    return prototype.setEncoding.call(this, encoding);
  },

  setDefaultEncoding(encoding) {
    spill(this);
    return prototype.setDefaultEncoding.call(this, encoding);
  },

  _onTimeout() {
    if (this[kConnection].writer.hasMovedOn()) this._unrefTimer();
    else prototype._onTimeout.call(this);
  }
};

/**
 * The prototype of sockets that the native driver serves.
 */
const nativePrototype = Object.create(prototype);

/**
 * The prototype of sockets that it has served: they only have to remember what
 * they have transferred meanwhile.
 */
const spilledPrototype = Object.create(prototype);

for (const name of Object.keys(overrides)) {
  Object.defineProperty(nativePrototype, name, {
    configurable: true,
    value: overrides[name],
    writable: true
  });
}

//
// These are not called but replaced, too.
//
for (const name of ['push', 'unshift']) {
  Object.defineProperty(nativePrototype, name, {
    configurable: true,
    get() {
      spill(this);
      return this[name];
    },
    set(value) {
      spill(this);
      this[name] = value;
    }
  });
}

for (const target of [nativePrototype, spilledPrototype]) {
  define(target, 'bytesRead', (value, connection) => {
    return value + connection.bytesRead;
  });
  define(target, '_bytesDispatched', (value, connection) => {
    return value + connection.bytesWritten;
  });
}

for (const name of [
  'bufferSize',
  'bytesWritten',
  'writableLength',
  'writableNeedDrain'
]) {
  define(nativePrototype, name, (value) => value);
}

//
// Node gives a client's socket a `write()` of its own when the server has ended.
// A property that is added after the prototype was changed costs a hidden class
// for each socket, and all code that meets those its caches. Who asks for it is
// about to write, unless the outbox only looks at it, and what was sent before comes
// first.
//
for (const target of [nativePrototype, spilledPrototype]) {
  Object.defineProperty(target, 'write', {
    configurable: true,
    get() {
      const connection = this[kConnection];

      if (
        connection !== undefined &&
        connection.isActive &&
        !driver.outbox.isLooking
      ) {
        connection.flush();
      }

      return connection === undefined || connection.writeMethod === null
        ? prototype.write
        : connection.writeMethod;
    },
    set(value) {
      const connection = this[kConnection];

      if (connection !== undefined) {
        if (connection.isActive) connection.flush();
        connection.writeMethod = value;
      } else {
        Object.defineProperty(this, 'write', {
          configurable: true,
          enumerable: true,
          value,
          writable: true
        });
      }
    }
  });
}

module.exports = { convert, isUnpatched, retire, spill };

/**
 * Defines a property that is computed from the socket's own, after what was
 * sent has been handed to the kernel.
 *
 * @param {Object} target The prototype
 * @param {String} name The name of the property
 * @param {Function} compute Computes it from the socket's own and the connection
 * @private
 */
function define(target, name, compute) {
  let owner = prototype;

  while (!Object.hasOwn(owner, name)) owner = Object.getPrototypeOf(owner);

  const { get } = Object.getOwnPropertyDescriptor(owner, name);

  Object.defineProperty(target, name, {
    configurable: true,
    get() {
      const connection = this[kConnection];

      if (connection === undefined) return get.call(this);

      connection.flush();

      const value = get.call(this);

      return value === undefined ? value : compute(value, connection);
    }
  });
}

/**
 * Whether a socket has no methods of its own that the driver would bypass.
 *
 * @param {net.Socket} socket The socket
 * @return {Boolean} `true` if it has none
 * @public
 */
function isUnpatched(socket) {
  for (let i = 0; i < PATCHABLE.length; i++) {
    if (Object.hasOwn(socket, PATCHABLE[i])) return false;
  }

  for (let i = 0; i < LISTENER_METHODS.length; i++) {
    const name = LISTENER_METHODS[i];

    if (Object.hasOwn(socket, name)) {
      const method = socket[name];

      if (method !== prototype[name] && method.name !== 'socketListenerWrap') {
        return false;
      }
    }
  }

  return true;
}

/**
 * Gives a socket its connection, and what is different in it.
 *
 * @param {net.Socket} socket The socket
 * @param {NativeConnection} connection Its connection
 * @param {Object} target The prototype
 * @private
 */
function attach(socket, connection, target) {
  Object.defineProperty(socket, kConnection, {
    configurable: true,
    value: connection
  });
  Object.setPrototypeOf(socket, target);
}

/**
 * Makes a socket one that the native driver serves.
 *
 * @param {net.Socket} socket The socket
 * @param {NativeConnection} connection Its connection
 * @public
 */
function convert(socket, connection) {
  attach(socket, connection, nativePrototype);

  for (let i = 0; i < LISTENER_METHODS.length; i++) {
    const name = LISTENER_METHODS[i];

    if (Object.hasOwn(socket, name)) socket[name] = overrides[name];
  }
}

/**
 * Makes a socket that is closed stand for that of a connection which never had
 * one.
 *
 * @param {net.Socket} socket The socket
 * @param {NativeConnection} connection Its connection
 * @public
 */
function retire(socket, connection) {
  attach(socket, connection, spilledPrototype);
}

/**
 * Makes a socket one again that the native driver does not serve.
 *
 * @param {net.Socket} socket The socket
 * @private
 */
function restore(socket) {
  Object.setPrototypeOf(socket, spilledPrototype);

  for (let i = 0; i < LISTENER_METHODS.length; i++) {
    const name = LISTENER_METHODS[i];

    if (Object.hasOwn(socket, name) && socket[name] === overrides[name]) {
      socket[name] = prototype[name];
    }
  }
}

/**
 * Changes a socket over to the stream driver if a listener makes a stream of it.
 *
 * @param {net.Socket} socket The socket
 * @param {String} event The name of the event
 * @param {Function} listener The listener
 * @private
 */
function spillFor(socket, event, listener) {
  if (
    event === 'readable' ||
    (event === 'data' && listener !== driver.callbacks.onData)
  ) {
    spill(socket);
  }
}

/**
 * Changes a socket over to the stream driver: from here on libuv reads and
 * writes it, and the decoder goes on with what that reads.
 *
 * @param {net.Socket} socket The socket
 * @public
 */
function spill(socket) {
  if (Object.getPrototypeOf(socket) !== nativePrototype) return;

  const connection = socket[kConnection];
  const state = socket._readableState;
  const isAhead = driver.isAhead(connection.id);
  const { head, goOn: decodeRest } = connection.spill();

  driver.stats.spilled++;
  restore(socket);

  const unsent = connection.takeUnsent();

  if (unsent !== null) {
    //
    // The handle counts it, too.
    //
    for (const { length } of unsent.list) connection.bytesWritten -= length;
    write(socket, unsent);
  }

  decodeRest();

  const goOn = () => {
    if (socket.destroyed) return;

    state.reading = false;

    if (head.length > 0) {
      //
      // Listeners that are attached in this tick must see it, too.
      //
      state.sync = true;
      Readable.prototype.unshift.call(socket, head);
    }

    //
    // The stream of a paused socket reads ahead.
    //
    socket.read(0);
  };

  if (isAhead) driver.afterBatch(goOn);
  else goOn();
}

/**
 * Has libuv write for a socket.
 *
 * @param {net.Socket} socket The socket
 * @param {Unsent} unsent What to write
 * @private
 */
function write(socket, { list, cb }) {
  let isSync = true;

  //
  // The stream began this write before. If libuv writes it at once, that is no
  // reason to call back within whatever has changed the socket over.
  //
  const done = (err) => {
    if (isSync) nextTick(cb, err);
    else cb(err);
  };

  if (list.length === 1) {
    prototype._write.call(socket, list[0], 'buffer', done);
  } else {
    const chunks = list.map((chunk) => ({ chunk, encoding: 'buffer' }));

    chunks.allBuffers = true;
    prototype._writev.call(socket, chunks, done);
  }

  isSync = false;
}

/**
 * Has a write that was under way called back when its socket is closed.
 *
 * @param {net.Socket} socket The socket
 * @param {Unsent} unsent What was not written
 * @private
 */
function cancelWhenClosed(socket, { cb }) {
  beforeClosed(socket._handle, () => cb(cancellation()));
}

/**
 * Calls a function right before a handle is closed. That is when a write that is
 * under way is cancelled; the stream then fails what is queued behind it.
 *
 * @param {Object} handle The handle, which is about to be closed
 * @param {Function} fn The function
 * @private
 */
function beforeClosed(handle, fn) {
  for (const name of ['close', 'reset']) {
    handle[name] = function (cb) {
      const close = Object.getPrototypeOf(this)[name];

      return close.call(this, () => {
        try {
          fn();
          runTicks();
        } catch (err) {
          binding.fatalException(err);
        }

        cb();
      });
    };
  }
}

/**
 * What the callback of a write that is cancelled is called with.
 *
 * @return {(Error|null)} An error, since Node 22
 * @private
 */
function cancellation() {
  return nodeMajor < 22 ? null : errnoException(ECANCELED, 'write');
}

/**
 * Makes a `Buffer` of a chunk of a writable stream.
 *
 * @param {(Buffer|String)} chunk The chunk
 * @param {String} encoding The encoding of a string
 * @return {Buffer} The buffer
 * @private
 */
function toBuffer(chunk, encoding) {
  return typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk;
}
