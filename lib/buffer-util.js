'use strict';

const { websocketMask, websocketUnmask } = require('http');

const binding = require('./binding');
const { EMPTY_BUFFER } = require('./constants');

// `new Buffer()` is deprecated; this is the class that makes a view without a
// detour through `Buffer.from()`.
const FastBuffer = Buffer[Symbol.species];

/**
 * Join buffers. The result is the buffer itself where there is only one.
 *
 * @param {Buffer[]} list The buffers
 * @param {Number} totalLength The sum of their lengths, or more
 * @return {Buffer} The buffer that holds them all
 * @public
 */
function concat(list, totalLength) {
  if (list.length < 2) return list.length === 0 ? EMPTY_BUFFER : list[0];

  const joined = Buffer.allocUnsafe(totalLength);
  let length = 0;

  for (const buf of list) {
    joined.set(buf, length);
    length += buf.length;
  }

  // Memory that nothing was written to must not be handed out.
  return length < totalLength
    ? new FastBuffer(joined.buffer, joined.byteOffset, length)
    : joined;
}

/**
 * Mask bytes without a call into native code, which is fastest for a few of
 * them.
 *
 * @param {Buffer} source The bytes
 * @param {Buffer} mask The masking key
 * @param {Buffer} output Where the result goes; may be `source`
 * @param {Number} offset Where in `output` it starts
 * @param {Number} length The number of bytes
 * @private
 */
function maskBytes(source, mask, output, offset, length) {
  const key0 = mask[0];
  const key1 = mask[1];
  const key2 = mask[2];
  const key3 = mask[3];
  let i = 0;

  for (; i + 4 <= length; i += 4, offset += 4) {
    output[offset] = source[i] ^ key0;
    output[offset + 1] = source[i + 1] ^ key1;
    output[offset + 2] = source[i + 2] ^ key2;
    output[offset + 3] = source[i + 3] ^ key3;
  }

  for (; i < length; i++) output[offset++] = source[i] ^ mask[i & 3];
}

/**
 * Get the `ArrayBuffer` that holds the bytes of a buffer and no others.
 *
 * @param {Buffer} buf The buffer
 * @return {ArrayBuffer} The memory of `buf`, or a copy of the part it covers
 * @public
 */
function toArrayBuffer(buf) {
  const { buffer, byteOffset, length } = buf;

  return length === buffer.byteLength
    ? buffer
    : buffer.slice(byteOffset, byteOffset + length);
}

/**
 * Get a `Buffer` with the bytes of a value. `toBuffer.readOnly` tells afterwards
 * whether they belong to the caller and so must not be changed.
 *
 * @param {*} data The value
 * @return {Buffer} The buffer
 * @throws {TypeError} If no buffer can be made of the value
 * @public
 */
function toBuffer(data) {
  toBuffer.readOnly = true;

  if (Buffer.isBuffer(data)) return data;
  if (data instanceof ArrayBuffer) return new FastBuffer(data);
  if (ArrayBuffer.isView(data)) {
    return new FastBuffer(data.buffer, data.byteOffset, data.byteLength);
  }

  const copy = Buffer.from(data);

  // Not before the conversion, which can throw.
  toBuffer.readOnly = false;
  return copy;
}

// Some versions of Node.js can do it in a fast call, which costs less than a
// call into an addon. The lengths are those from which on either one beats the
// loop.
const [nativeMask, nativeUnmask, minLength] = websocketMask
  ? [websocketMask, websocketUnmask, 24]
  : [binding.mask, binding.unmask, 192];

/**
 * Mask bytes (RFC 6455, 5.3).
 *
 * @param {Buffer} source The bytes
 * @param {Buffer} mask The masking key
 * @param {Buffer} output Where the result goes; may be `source`
 * @param {Number} offset Where in `output` it starts
 * @param {Number} length The number of bytes
 * @public
 */
function mask(source, mask, output, offset, length) {
  if (length < minLength) {
    maskBytes(source, mask, output, offset, length);
  } else if (source === output) {
    // The addon borrows both, so they must not be the same memory.
    nativeUnmask(output.subarray(offset, offset + length), mask);
  } else {
    nativeMask(source, mask, output, offset, length);
  }
}

/**
 * Unmask a buffer in place.
 *
 * @param {Buffer} buffer The buffer
 * @param {Buffer} mask The masking key
 * @public
 */
function unmask(buffer, mask) {
  if (buffer.length < minLength) {
    maskBytes(buffer, mask, buffer, 0, buffer.length);
  } else {
    nativeUnmask(buffer, mask);
  }
}

module.exports = { concat, mask, toArrayBuffer, toBuffer, unmask };
