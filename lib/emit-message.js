'use strict';

const EventEmitter = require('events');

const { hasOwnEmit } = require('./runtime');

const { apply } = Reflect;
const { emit } = EventEmitter.prototype;

/** The property that says whether rejections of listeners are captured. */
const kCapture = Object.getOwnPropertySymbols(EventEmitter.prototype).find(
  ({ description }) => description === 'kCapture'
);

const isKnown = hasOwnEmit && kCapture !== undefined;

/**
 * Emits a `'message'` event. `emit()` serves all events of all emitters, and so
 * takes its time to find out what there is to do. Mostly it is to call one
 * function.
 *
 * @param {(WebSocket|Receiver)} emitter The emitter
 * @param {(Buffer|ArrayBuffer|Buffer[]|Blob)} data The message
 * @param {Boolean} isBinary Whether it is binary
 * @public
 */
function emitMessage(emitter, data, isBinary) {
  const listener = emitter._events.message;

  if (
    isKnown &&
    typeof listener === 'function' &&
    emitter.emit === emit &&
    !emitter[kCapture]
  ) {
    apply(listener, emitter, [data, isBinary]);
  } else {
    emitter.emit('message', data, isBinary);
  }
}

module.exports = emitMessage;
