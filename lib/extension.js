'use strict';

const HeaderScanner = require('./header-scanner');

const COMMA = 0x2c;
const SEMICOLON = 0x3b;
const EQUALS = 0x3d;

/**
 * Append a value to the list that a map holds under a name. A name may occur
 * more than once; whether it should is for the extension to say.
 *
 * @param {Object} map The map of names to lists
 * @param {String} name The name
 * @param {(Object|Boolean|String)} value The value
 * @private
 */
function append(map, name, value) {
  if (map[name] === undefined) map[name] = [];
  map[name].push(value);
}

/**
 * Wrap a value in an array unless it is one.
 *
 * @param {*} value The value
 * @return {Array} The array
 * @private
 */
function toArray(value) {
  return Array.isArray(value) ? value : [value];
}

/**
 * Read the parameters that follow the name of an extension.
 *
 * @param {HeaderScanner} scanner The scanner, right behind the name
 * @return {Object} The parameters; `true` is the value of one that has none
 * @throws {SyntaxError} If the syntax is wrong
 * @private
 */
function readParams(scanner) {
  // The names are chosen by the peer: there must be no prototype to run into.
  const params = Object.create(null);

  scanner.skipSpaceInside();

  while (scanner.skip(SEMICOLON)) {
    scanner.skipSpace();

    const name = scanner.token();
    const value = scanner.skip(EQUALS) ? scanner.tokenOrQuotedToken() : true;

    append(params, name, value);
    scanner.skipSpaceInside();
  }

  return params;
}

/**
 * Parse the value of a `Sec-WebSocket-Extensions` header (RFC 6455, 9.1).
 *
 * @param {String} header The value of the header
 * @return {Object} A map of the names of the extensions to the list of their
 *     offers, each of which maps names of parameters to the list of the values
 * @throws {SyntaxError} If the syntax is wrong
 * @public
 */
function parse(header) {
  const scanner = new HeaderScanner(header);
  const offers = Object.create(null);

  // White space may precede any element except the first one.
  for (;;) {
    const name = scanner.token();

    append(offers, name, readParams(scanner));

    if (scanner.done) return offers;
    if (!scanner.skip(COMMA)) scanner.fail();

    scanner.skipSpace();
  }
}

/**
 * Write a parameter, once for each of its values.
 *
 * @param {String} name The name of the parameter
 * @param {*} values The value or values; `true` stands for none
 * @return {String} The text
 * @private
 */
function formatParam(name, values) {
  return toArray(values)
    .map((value) => (value === true ? name : `${name}=${value}`))
    .join('; ');
}

/**
 * Write one offer of an extension.
 *
 * @param {String} name The name of the extension
 * @param {Object} params The parameters
 * @return {String} The text
 * @private
 */
function formatOffer(name, params) {
  const parts = Object.keys(params).map((key) => formatParam(key, params[key]));

  return [name, ...parts].join('; ');
}

/**
 * Write the value of a `Sec-WebSocket-Extensions` header.
 *
 * @param {Object} extensions A map as `parse()` returns it, where a list of one
 *     element may also be the element itself
 * @return {String} The value of the header
 * @public
 */
function format(extensions) {
  return Object.keys(extensions)
    .map((name) =>
      toArray(extensions[name])
        .map((params) => formatOffer(name, params))
        .join(', ')
    )
    .join(', ');
}

module.exports = { format, parse };
