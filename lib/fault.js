'use strict';

const zlib = require('zlib');

const binding = require('./binding');
const { kStatusCode } = require('./constants');
const { RANGE_ERROR } = require('./inbox');

/**
 * Something that a peer has done wrong, as error rows say it. What JavaScript finds
 * itself comes from the same table as all else.
 */
class Fault {
  /**
   * Creates a Fault instance.
   *
   * @param {Number} detail The detail of the row
   * @param {(Buffer|String)} text The payload of the row
   */
  constructor(detail, text) {
    this.detail = detail;
    this.text = text;
  }

  /**
   * Takes a fault from the addon's table.
   *
   * @param {String} name Its name there
   * @return {Fault} The fault
   * @public
   */
  static named(name) {
    const { detail, text } = binding.fault(name);

    return new Fault(detail, text);
  }

  /**
   * Makes the error.
   *
   * @param {Function} [caller] The last function that does not belong to its stack
   * @return {(Error|RangeError)} The error
   * @public
   */
  toError(caller = this.toError) {
    const [code, message] = this.text.toString().split('\n');
    const ErrorCtor = (this.detail & RANGE_ERROR) === 0 ? Error : RangeError;
    const err = new ErrorCtor(message);

    Error.captureStackTrace(err, caller);
    if (zlib.constants[code] !== undefined) err.errno = zlib.constants[code];
    err.code = code;
    err[kStatusCode] = this.detail & 0xffff;
    return err;
  }
}

module.exports = Fault;
