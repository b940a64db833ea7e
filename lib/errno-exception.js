'use strict';

const { getSystemErrorMap } = require('util');

/**
 * Builds the error that Node reports for a failed system call.
 *
 * @param {Number} errno The errno, positive
 * @param {String} syscall The name of the call
 * @return {Error} The error
 * @public
 */
function errnoException(errno, syscall) {
  const [code] = getSystemErrorMap().get(-errno) || [`Unknown error ${errno}`];
  const err = new Error(`${syscall} ${code}`);

  err.errno = -errno;
  err.code = code;
  err.syscall = syscall;
  return err;
}

module.exports = errnoException;
