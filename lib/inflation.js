'use strict';

const { setImmediate } = require('./scheduling');

/**
 * How many bytes of a message the decoder decompresses at the most before it is
 * the turn of others: `SHARE` of `src/protocol/event.rs`.
 */
const SHARE = 512 * 1024;

/** How many all receivers may decompress in a turn of the event loop. */
const MOST = 4 * 1024 * 1024;

/** How many were decompressed in this turn. */
let inflated = 0;

module.exports = { SHARE, add, isMuch };

/**
 * Takes note that something was decompressed.
 *
 * @param {Number} length How many bytes it has become
 * @public
 */
function add(length) {
  if (inflated === 0) setImmediate(forget);
  inflated += length;
}

/**
 * Whether what is decompressed next should wait for the next turn.
 *
 * @return {Boolean} `true` if it should
 * @public
 */
function isMuch() {
  return inflated > MOST;
}

/**
 * Begins to count anew.
 *
 * @private
 */
function forget() {
  inflated = 0;
}
