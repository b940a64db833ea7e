'use strict';

const { isNode, nodeMajor } = require('./runtime');

/**
 * From this version on V8 goes through the whole heap, on several threads, each
 * time that 64 MiB of buffers have been allocated. It frees the memory of young
 * ones without that, but only when its young generation is full of objects: and
 * there are few for each buffer here. Earlier versions do so after 32 MiB of
 * buffers, too, and there what follows would only take time.
 */
const FIRST_MAJOR = 24;

/** How many bytes of buffers go with one element of 8 bytes. */
const SHARE = 64;

/** Up to so many elements an array belongs to the young generation. */
const MOST = 15000;

const isOfUse = isNode && nodeMajor >= FIRST_MAJOR;

/** The last one, so that it is not optimized away. */
const ballast = { array: null };

module.exports = { add };

/**
 * Fills the young generation by an eighth of what buffers take that were allocated,
 * so that V8 frees the memory of those that nobody has any more before there is too
 * much of it: it is used again sooner, and is in the caches of the processor then.
 *
 * @param {Number} bytes How many bytes they take
 * @public
 */
function add(bytes) {
  if (isOfUse) ballast.array = new Array(Math.min(bytes / SHARE, MOST) | 0);
}
