'use strict';

const { toArrayBuffer } = require('./buffer-util');

module.exports = { convert };

/**
 * Converts a binary message to the type that was asked for.
 *
 * @param {String} type The `binaryType`
 * @param {Buffer} data The message
 * @param {(Buffer|Buffer[]|null)} fragments Its fragments, if there are several:
 *     their lengths, or themselves
 * @return {(Buffer|ArrayBuffer|Buffer[]|Blob)} The message
 * @public
 */
function convert(type, data, fragments) {
  switch (type) {
    case 'nodebuffer':
      return data;
    case 'arraybuffer':
      return data.length === 0 ? new ArrayBuffer(0) : toArrayBuffer(data);
    case 'blob':
      return new Blob([data]);
    default:
      return Array.isArray(fragments) ? fragments : split(data, fragments);
  }
}

/**
 * Splits a message into its fragments.
 *
 * @param {Buffer} data The message
 * @param {(Buffer|null)} fragments The lengths of the fragments, if there are
 *     several
 * @return {Buffer[]} The fragments that are not empty
 * @private
 */
function split(data, fragments) {
  if (data.length === 0) return [];
  if (fragments === null) return [data];

  const list = [];
  let start = 0;

  for (let i = 0; i < fragments.length; i += 4) {
    const end = start + fragments.readUInt32LE(i);

    list.push(data.subarray(start, end));
    start = end;
  }

  return list;
}
