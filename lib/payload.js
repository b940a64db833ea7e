'use strict';

const {
  types: { isUint8Array }
} = require('util');

const { EMPTY_BUFFER } = require('./constants');
const { isBlob, isValidStatusCode } = require('./validation');
const { toBuffer } = require('./buffer-util');

/** The longest payload of a control frame (RFC 6455, section 5.5). */
const MAX_CONTROL_PAYLOAD = 125;

module.exports = { closePayload, controlPayload, measure };

/**
 * Builds the payload of a close frame (RFC 6455, section 5.5.1).
 *
 * @param {Number} [code] The status code
 * @param {(String|Uint8Array)} [reason] The reason
 * @return {Buffer} The payload
 * @throws {TypeError} If the code may not be sent, or the reason is of another
 *     type
 * @throws {RangeError} If the reason is too long
 * @public
 */
function closePayload(code, reason) {
  if (code === undefined) return EMPTY_BUFFER;

  if (typeof code !== 'number' || !isValidStatusCode(code)) {
    throw new TypeError('First argument must be a valid error code number');
  }

  const length =
    reason === undefined || !reason.length ? 0 : Buffer.byteLength(reason);

  if (length > MAX_CONTROL_PAYLOAD - 2) {
    throw new RangeError('The message must not be greater than 123 bytes');
  }

  const payload = Buffer.allocUnsafe(2 + length);

  payload.writeUInt16BE(code, 0);

  if (length === 0) return payload;

  if (typeof reason === 'string') {
    payload.write(reason, 2);
  } else if (isUint8Array(reason)) {
    payload.set(reason, 2);
  } else {
    throw new TypeError('Second argument must be a string or a Uint8Array');
  }

  return payload;
}

/**
 * Makes data ready to be the payload of a ping or a pong.
 *
 * @param {*} data The data
 * @return {Object} What `measure()` returns
 * @throws {RangeError} If the data is too long
 * @public
 */
function controlPayload(data) {
  const payload = measure(data);

  if (payload.length > MAX_CONTROL_PAYLOAD) {
    throw new RangeError('The data size must not be greater than 125 bytes');
  }

  return payload;
}

/**
 * Makes data ready to be framed.
 *
 * @param {*} data The data
 * @return {Object} The data as a string, `Blob` or `Buffer`, its length in
 *     bytes, and whether it must not be modified
 * @public
 */
function measure(data) {
  if (typeof data === 'string') {
    return { data, length: Buffer.byteLength(data), readOnly: false };
  }

  if (isBlob(data)) return { data, length: data.size, readOnly: false };

  const buffer = toBuffer(data);

  return { data: buffer, length: buffer.length, readOnly: toBuffer.readOnly };
}
