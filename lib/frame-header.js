'use strict';

const MASK = 0x80;

/** The lengths that say that the real one follows in 16 or 64 bits. */
const LENGTH_16 = 126;
const LENGTH_64 = 127;

/**
 * The length of a frame header without the masking key (RFC 6455, section 5.2).
 *
 * @param {Number} length The length of the payload in bytes
 * @return {Number} The length of the header in bytes
 * @public
 */
function headerLength(length) {
  if (length > 0xffff) return 10;
  return length >= LENGTH_16 ? 4 : 2;
}

/**
 * Writes a frame header.
 *
 * @param {Buffer} target Where to
 * @param {Number} firstByte The first byte of the frame
 * @param {Number} length The length of the payload in bytes
 * @param {(Buffer|null)} key The masking key
 * @public
 */
function writeHeader(target, firstByte, length, key) {
  const size = headerLength(length);

  target[0] = firstByte;

  if (size === 2) {
    target[1] = length;
  } else if (size === 4) {
    target[1] = LENGTH_16;
    target.writeUInt16BE(length, 2);
  } else {
    target[1] = LENGTH_64;
    target[2] = target[3] = 0;
    target.writeUIntBE(length, 4, 6);
  }

  if (key !== null) {
    target[1] |= MASK;
    target[size] = key[0];
    target[size + 1] = key[1];
    target[size + 2] = key[2];
    target[size + 3] = key[3];
  }
}

module.exports = { headerLength, writeHeader };
