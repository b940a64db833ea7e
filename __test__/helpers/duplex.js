'use strict';

const { Duplex } = require('node:stream');

/**
 * Makes two connected streams: what is written to one can be read from the
 * other.
 *
 * @return {Duplex[]} The streams
 * @public
 */
function duplexPair() {
  const sides = [];

  for (const other of [1, 0]) {
    let pull = null;

    sides.push(
      new Duplex({
        read() {
          if (!pull) return;

          const callback = pull;

          pull = null;
          process.nextTick(callback);
        },
        write(chunk, encoding, callback) {
          sides[other].take(chunk, callback);
        },
        final(callback) {
          sides[other].take(null, callback);
        }
      })
    );

    // Hands the stream what the other side has written; the write is complete
    // when that has been asked for.
    sides[sides.length - 1].take = function take(chunk, callback) {
      pull = callback;
      this.push(chunk);

      if (chunk === null || this.destroyed) {
        pull = null;
        process.nextTick(callback);
      }
    };
  }

  return sides;
}

module.exports = { duplexPair };
