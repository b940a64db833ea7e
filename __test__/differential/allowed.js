'use strict';

//
// Internal properties that may differ between the two packages. Everything
// else has to be the same: own properties, their order, flags and values.
//
const ALLOWED = {};

/**
 * Tells whether a property is left out of the comparison.
 *
 * @param {String} kind What the object is
 * @param {(String|Symbol)} key The property
 * @return {Boolean} `true` if it is left out
 */
function hidden(kind, key) {
  const keys = ALLOWED[kind];
  return keys !== undefined && keys[String(key)] !== undefined;
}

module.exports = { hidden };
