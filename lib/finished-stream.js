'use strict';

module.exports = { abortStream, closeStream, finishReadable, finishWritable };

/**
 * Gives a new stream the state of one whose readable side has flowed, has ended some
 * time ago, and that has been destroyed. Nothing is emitted.
 *
 * @param {Duplex} stream The stream
 * @public
 */
function finishReadable(stream) {
  mark(stream._readableState, [
    'flowing',
    'ended',
    'endEmitted',
    'destroyed',
    'closed',
    'closeEmitted'
  ]);
}

/**
 * Gives a new stream the state of one whose writable side has finished some time
 * ago, and that has been destroyed. Nothing is emitted.
 *
 * @param {Writable} stream The stream
 * @public
 */
function finishWritable(stream) {
  mark(stream._writableState, [
    'ending',
    'ended',
    'finalCalled',
    'prefinished',
    'finished',
    'destroyed',
    'closed',
    'closeEmitted'
  ]);
}

/**
 * Gives a new stream the state of one that has been destroyed and is yet to emit
 * `'close'`.
 *
 * @param {Duplex} stream The stream
 * @public
 */
function abortStream(stream) {
  mark(stream._readableState, ['destroyed', 'closed']);
  mark(stream._writableState, ['destroyed', 'closed']);
}

/**
 * Gives a stream that has been destroyed the state of one that emits `'close'`.
 *
 * @param {Duplex} stream The stream
 * @public
 */
function closeStream(stream) {
  mark(stream._readableState, ['closeEmitted']);
  mark(stream._writableState, ['closeEmitted']);
}

/**
 * Sets properties of the state of a stream.
 *
 * @param {Object} state The state
 * @param {String[]} names The names of the properties
 * @private
 */
function mark(state, names) {
  for (const name of names) state[name] = true;
}
