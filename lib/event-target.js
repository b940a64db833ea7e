'use strict';

const { kForOnEventAttribute, kListener } = require('./constants');

const kCode = Symbol('kCode');
const kData = Symbol('kData');
const kError = Symbol('kError');
const kMessage = Symbol('kMessage');
const kReason = Symbol('kReason');
const kTarget = Symbol('kTarget');
const kType = Symbol('kType');
const kWasClean = Symbol('kWasClean');

/**
 * Make accessors of a class enumerable, as the attributes of a DOM interface
 * are.
 *
 * @param {Function} constructor The class
 * @param {...String} attributes The names of the accessors
 * @private
 */
function exposeAttributes(constructor, ...attributes) {
  for (const attribute of attributes) {
    Object.defineProperty(constructor.prototype, attribute, {
      enumerable: true
    });
  }
}

/**
 * What a listener added with `addEventListener()` is called with.
 */
class Event {
  /**
   * Create a new `Event`.
   *
   * @param {String} type The name of the event
   */
  constructor(type) {
    this[kTarget] = null;
    this[kType] = type;
  }

  /**
   * @type {*}
   */
  get target() {
    return this[kTarget];
  }

  /**
   * @type {String}
   */
  get type() {
    return this[kType];
  }
}

exposeAttributes(Event, 'target', 'type');

/**
 * The event of a connection that is gone.
 *
 * @extends Event
 */
class CloseEvent extends Event {
  /**
   * Create a new `CloseEvent`.
   *
   * @param {String} type The name of the event
   * @param {Object} [options] The attributes
   * @param {Number} [options.code=0] The close code
   * @param {String} [options.reason=''] The reason that came with the code
   * @param {Boolean} [options.wasClean=false] Whether a close frame went in
   *     either direction
   */
  constructor(type, options = {}) {
    super(type);

    const { code = 0, reason = '', wasClean = false } = options;

    this[kCode] = code;
    this[kReason] = reason;
    this[kWasClean] = wasClean;
  }

  /**
   * @type {Number}
   */
  get code() {
    return this[kCode];
  }

  /**
   * @type {String}
   */
  get reason() {
    return this[kReason];
  }

  /**
   * @type {Boolean}
   */
  get wasClean() {
    return this[kWasClean];
  }
}

exposeAttributes(CloseEvent, 'code', 'reason', 'wasClean');

/**
 * The event of something that went wrong.
 *
 * @extends Event
 */
class ErrorEvent extends Event {
  /**
   * Create a new `ErrorEvent`.
   *
   * @param {String} type The name of the event
   * @param {Object} [options] The attributes
   * @param {*} [options.error=null] What was thrown or emitted
   * @param {String} [options.message=''] The message of the error
   */
  constructor(type, options = {}) {
    super(type);

    const { error = null, message = '' } = options;

    this[kError] = error;
    this[kMessage] = message;
  }

  /**
   * @type {*}
   */
  get error() {
    return this[kError];
  }

  /**
   * @type {String}
   */
  get message() {
    return this[kMessage];
  }
}

exposeAttributes(ErrorEvent, 'error', 'message');

/**
 * The event of a message that has arrived.
 *
 * @extends Event
 */
class MessageEvent extends Event {
  /**
   * Create a new `MessageEvent`.
   *
   * @param {String} type The name of the event
   * @param {Object} [options] The attributes
   * @param {*} [options.data=null] The message
   */
  constructor(type, options = {}) {
    super(type);

    const { data = null } = options;

    this[kData] = data;
  }

  /**
   * @type {*}
   */
  get data() {
    return this[kData];
  }
}

exposeAttributes(MessageEvent, 'data');

/**
 * Hand an event to a listener, which is a function or an object with a
 * `handleEvent()` method.
 *
 * @param {(Function|Object)} listener The listener
 * @param {WebSocket} websocket The target of the event
 * @param {Event} event The event
 * @private
 */
function dispatch(listener, websocket, event) {
  event[kTarget] = websocket;

  if (typeof listener === 'object' && listener.handleEvent) {
    listener.handleEvent.call(listener, event);
  } else {
    listener.call(websocket, event);
  }
}

/**
 * Per event that has a DOM counterpart: a function that makes, of a listener
 * that takes an `Event`, one for the `EventEmitter`. A `Map` and not an object,
 * so that no other value than these strings is taken for an event.
 */
const adapters = new Map([
  [
    'message',
    (handler) =>
      function onMessage(data, isBinary) {
        const event = new MessageEvent('message', {
          data: isBinary ? data : data.toString()
        });

        dispatch(handler, this, event);
      }
  ],
  [
    'close',
    (handler) =>
      function onClose(code, reason) {
        const event = new CloseEvent('close', {
          code,
          reason: reason.toString(),
          wasClean: this._closeFrameReceived && this._closeFrameSent
        });

        dispatch(handler, this, event);
      }
  ],
  [
    'error',
    (handler) =>
      function onError(error) {
        const event = new ErrorEvent('error', {
          error,
          message: error.message
        });

        dispatch(handler, this, event);
      }
  ],
  [
    'open',
    (handler) =>
      function onOpen() {
        dispatch(handler, this, new Event('open'));
      }
  ]
]);

/**
 * The methods that turn an `EventEmitter` into an `EventTarget`, to be mixed
 * into its prototype.
 *
 * @mixin
 */
const EventTarget = {
  /**
   * Add a listener, unless it is there already.
   *
   * @param {String} type The name of the event
   * @param {(Function|Object)} handler The listener
   * @param {Object} [options] Options
   * @param {Boolean} [options.once=false] Whether to remove the listener when
   *     it is called
   * @public
   */
  addEventListener(type, handler, options = {}) {
    for (const listener of this.listeners(type)) {
      // A function may be the value of the `on<event>` attribute and a listener
      // of its own at the same time.
      if (
        !options[kForOnEventAttribute] &&
        !listener[kForOnEventAttribute] &&
        listener[kListener] === handler
      ) {
        return;
      }
    }

    const adapt = adapters.get(type);

    if (adapt === undefined) return;

    const listener = adapt(handler);

    listener[kForOnEventAttribute] = !!options[kForOnEventAttribute];
    listener[kListener] = handler;

    if (options.once) this.once(type, listener);
    else this.on(type, listener);
  },

  /**
   * Remove a listener.
   *
   * @param {String} type The name of the event
   * @param {(Function|Object)} handler The listener
   * @public
   */
  removeEventListener(type, handler) {
    const found = this.listeners(type).find(
      (listener) =>
        listener[kListener] === handler && !listener[kForOnEventAttribute]
    );

    if (found !== undefined) this.removeListener(type, found);
  }
};

module.exports = {
  CloseEvent,
  ErrorEvent,
  Event,
  EventTarget,
  MessageEvent
};
