'use strict';

const { after, describe } = require('node:test');

const LEAK_GRACE = 5000;
const SUITE_TIMEOUT = 120000;
const WAIT_TIMEOUT = 10000;

/**
 * Declares the tests of one file. When the last of them has finished, the
 * process must end by itself; if something still keeps it alive a little later,
 * the file fails and says what that is, instead of hanging the whole run.
 *
 * @param {String} name The name of the suite
 * @param {Function} define The function which declares the tests
 * @public
 */
function suite(name, define) {
  describe(name, { timeout: SUITE_TIMEOUT }, () => {
    after(() => {
      setTimeout(() => {
        const left = process.getActiveResourcesInfo().join(', ');

        console.error(`${name}: still alive after its last test: ${left}`);
        process.exit(1);
      }, LEAK_GRACE).unref();
    });

    define();
  });
}

/**
 * Gives a promise a deadline.
 *
 * @param {Promise} promise The promise to wait for
 * @param {String} what What is awaited, for the error message
 * @param {Number} [ms] The deadline in milliseconds
 * @return {Promise} A promise for the same value, or the error of the deadline
 * @public
 */
function within(promise, what, ms = WAIT_TIMEOUT) {
  const error = new Error(`Waited ${ms} ms in vain for ${what}`);
  let timer;

  return Promise.race([
    promise,
    new Promise((resolve, reject) => {
      timer = setTimeout(reject, ms, error);
    })
  ]).finally(() => clearTimeout(timer));
}

/**
 * Waits for an event. An `'error'` event that comes first is the result, too.
 *
 * @param {EventEmitter} emitter The emitter
 * @param {String} name The name of the event
 * @param {Number} [ms] The deadline in milliseconds
 * @return {Promise<Array>} The arguments of the event
 * @public
 */
function once(emitter, name, ms) {
  let done;
  const promise = new Promise((resolve, reject) => {
    const onEvent = (...args) => {
      done();
      resolve(args);
    };
    const onError = (err) => {
      done();
      reject(err);
    };

    done = () => {
      emitter.removeListener(name, onEvent);
      emitter.removeListener('error', onError);
    };

    emitter.on(name, onEvent);
    if (name !== 'error') emitter.on('error', onError);
  });

  return within(
    promise,
    `the '${name}' event of ${emitter.constructor.name}`,
    ms
  ).finally(() => done());
}

/**
 * Waits until a condition holds.
 *
 * @param {Function} condition A function that returns a truthy value at last
 * @param {String} what What is awaited, for the error message
 * @param {Number} [ms] The deadline in milliseconds
 * @return {Promise} The truthy value
 * @public
 */
async function until(condition, what, ms = WAIT_TIMEOUT) {
  const deadline = Date.now() + ms;

  for (;;) {
    const value = condition();

    if (value) return value;
    if (Date.now() > deadline) {
      throw new Error(`Waited ${ms} ms in vain until ${what}`);
    }

    await delay(5);
  }
}

/**
 * Waits.
 *
 * @param {Number} ms How long
 * @return {Promise} A promise for the end of the wait
 * @public
 */
function delay(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

module.exports = { delay, once, suite, until, within };
