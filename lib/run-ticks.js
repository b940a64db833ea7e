'use strict';

const process = require('process');

/**
 * Whether Node.js is going to warn, once, that the function may go one day. It does
 * so if it is asked to (`--pending-deprecation`), and the program has no part in it.
 */
let isWarning =
  process._tickCallback !== undefined &&
  process._tickCallback.name === 'deprecated';

/**
 * Runs the ticks and microtasks that are queued, as Node.js does after a callback.
 *
 * @throws {*} What one of them throws; the others are still queued
 * @public
 */
module.exports = function runTicks() {
  if (isWarning) silenceWarning();

  process._tickCallback();
};

/**
 * Keeps that warning from the program. It comes before any tick is run.
 *
 * @private
 */
function silenceWarning() {
  const { emitWarning } = process;

  isWarning = false;

  process.emitWarning = (...args) => {
    process.emitWarning = emitWarning;
    if (args[2] !== 'DEP0134') Reflect.apply(emitWarning, process, args);
  };
}
