'use strict';

const { randomFillSync } = require('crypto');

/** How many random bytes are fetched at a time. */
const POOL_SIZE = 8 * 1024;

let pool = null;
let used = POOL_SIZE;

/**
 * Writes a new masking key (RFC 6455, section 5.3).
 *
 * @param {Buffer} target Where to
 * @param {Number} offset Where in `target` it begins
 * @public
 */
function writeMaskingKey(target, offset) {
  if (used === POOL_SIZE) {
    if (pool === null) pool = Buffer.alloc(POOL_SIZE);

    randomFillSync(pool);
    used = 0;
  }

  target[offset] = pool[used];
  target[offset + 1] = pool[used + 1];
  target[offset + 2] = pool[used + 2];
  target[offset + 3] = pool[used + 3];
  used += 4;
}

module.exports = writeMaskingKey;
