'use strict';

const timers = require('timers');
const { runInThisContext } = require('vm');

const { nextTick } = process;

/** What Node.js itself takes for `process`. A test runner may give another one. */
const core = runInThisContext('process');
const { nextTick: coreTick } = core;

/**
 * What has things done later, for what the event loop or a stream of Node.js does
 * with ws, which a program does not see: it may replace these functions for a
 * time, such as by fake timers, and goes on to expect messages.
 *
 * Whatever is a timer of ws as well is not made with these.
 */
module.exports = {
  clearTimeout: timers.clearTimeout,
  findReplacedTick,
  // Replaced by fake timers before this file was loaded?
  nextTick: nextTick.clock === undefined ? nextTick : soon,
  setImmediate: timers.setImmediate,
  setTimeout: timers.setTimeout
};

/**
 * Calls a function in a microtask.
 *
 * @param {Function} fn The function
 * @param {...*} args What to call it with
 * @private
 */
function soon(fn, ...args) {
  Promise.resolve().then(() => fn(...args));
}

/**
 * Finds the `nextTick()` that streams of Node.js have callbacks called with, if a
 * program has replaced it since this file was loaded.
 *
 * @return {(Object|null)} Whose method it is, `null` if it is `nextTick()`
 * @public
 */
function findReplacedTick() {
  return core.nextTick === coreTick ? null : core;
}
