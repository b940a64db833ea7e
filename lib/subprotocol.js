'use strict';

const HeaderScanner = require('./header-scanner');

const COMMA = 0x2c;

/**
 * Parse the value of a `Sec-WebSocket-Protocol` header of a request.
 *
 * @param {String} header The value of the header
 * @return {Set} The names of the subprotocols, the preferred one first
 * @throws {SyntaxError} If the syntax is wrong or a name occurs twice
 * @public
 */
function parse(header) {
  const scanner = new HeaderScanner(header);
  const protocols = new Set();

  // White space may precede any element except the first one.
  for (;;) {
    const protocol = scanner.token();

    scanner.skipSpaceInside();

    const more = scanner.skip(COMMA);

    if (!more && !scanner.done) scanner.fail();
    if (protocols.has(protocol)) {
      throw new SyntaxError(`The "${protocol}" subprotocol is duplicated`);
    }

    protocols.add(protocol);
    if (!more) return protocols;

    scanner.skipSpace();
  }
}

module.exports = { parse };
