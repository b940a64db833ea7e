'use strict';

const { isUtf8 } = require('buffer');

const { hasBlob } = require('./constants');

const PUNCTUATION = "!#$%&'*+-.^_`|~";

// Numbers that stand for "no code" or "no close frame" in an API and must not
// be sent, and one that was never assigned (RFC 6455, 7.4.1).
const UNSENDABLE_CODES = [1004, 1005, 1006];

/**
 * Indexed by character code (0 to 127): 1 where the character may be a part of
 * a token (RFC 9110, 5.6.2), else 0.
 */
const tokenChars = Array.from({ length: 128 }, (_, code) => {
  const char = String.fromCharCode(code);

  return /[0-9A-Za-z]/.test(char) || PUNCTUATION.includes(char) ? 1 : 0;
});

/**
 * Tells whether a value is a `Blob`, or a `File`. It goes by the shape of the
 * value, as there are implementations besides the global class.
 *
 * @param {*} value Any value except `null` and `undefined`
 * @return {Boolean} `true` if it is one
 * @public
 */
function isBlob(value) {
  if (!hasBlob || typeof value !== 'object') return false;

  if (
    typeof value.arrayBuffer !== 'function' ||
    typeof value.type !== 'string' ||
    typeof value.stream !== 'function'
  ) {
    return false;
  }

  const tag = value[Symbol.toStringTag];

  return tag === 'Blob' || tag === 'File';
}

/**
 * Tells whether a code may stand in a close frame: those of the protocol and
 * its registry (below 1015), of libraries (3000) and of applications (4000).
 *
 * @param {Number} code The code
 * @return {Boolean} `true` if it may
 * @public
 */
function isValidStatusCode(code) {
  if (code >= 3000) return code <= 4999;

  return code >= 1000 && code <= 1014 && !UNSENDABLE_CODES.includes(code);
}

/**
 * Tells whether bytes are well-formed UTF-8.
 *
 * @param {Buffer} buf The bytes
 * @return {Boolean} `true` if they are
 * @public
 */
function isValidUTF8(buf) {
  return isUtf8(buf);
}

module.exports = { isBlob, isValidStatusCode, isValidUTF8, tokenChars };
