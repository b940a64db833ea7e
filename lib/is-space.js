'use strict';

const HTAB = 0x09;
const SPACE = 0x20;

/**
 * Tells whether a character is optional white space of a header field (RFC 9110,
 * 5.6.3).
 *
 * @param {Number} code The character code, `NaN` past the end
 * @return {Boolean} `true` if it is
 * @public
 */
function isSpace(code) {
  return code === SPACE || code === HTAB;
}

module.exports = isSpace;
