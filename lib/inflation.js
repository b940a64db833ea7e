'use strict';

const { setImmediate } = require('./scheduling');

/**
 * How many bytes of a message the decoder decompresses at the most before it is
 * the turn of others: `SHARE` of `src/protocol/event.rs`.
 */
const SHARE = 512 * 1024;

/** How many all receivers may decompress in a turn of the event loop. */
const MOST = 4 * 1024 * 1024;

/**
 * How many messages are decompressed little by little at a time, if more are
 * there: `MOST_INFLATING` of `src/engine/home.rs`.
 */
const MOST_AT_ONCE = 10;

/** How many were decompressed in this turn. */
let inflated = 0;

/** What goes on later. */
const postponed = [];

/** Whether something is going on that was postponed. */
let isGoingOn = false;

module.exports = { SHARE, add, isMuch, postpone };

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
 * Has something go on later: one in each turn, in the order in which they were
 * postponed, but not many in rotation.
 *
 * @param {Function} goOn What is to be called
 * @public
 */
function postpone(goOn) {
  if (isGoingOn) postponed.splice(MOST_AT_ONCE - 1, 0, goOn);
  else postponed.push(goOn);

  if (postponed.length === 1) setImmediate(next);
}

/**
 * Has the next one go on.
 *
 * @private
 */
function next() {
  const goOn = postponed.shift();

  if (postponed.length > 0) setImmediate(next);
  isGoingOn = true;

  try {
    goOn();
  } finally {
    isGoingOn = false;
  }
}

/**
 * Begins to count anew.
 *
 * @private
 */
function forget() {
  inflated = 0;
}
