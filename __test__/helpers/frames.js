'use strict';

const zlib = require('zlib');

const MASK = Buffer.from([0x37, 0xfa, 0x21, 0x3d]);

/**
 * Makes the bytes of one WebSocket frame, valid or not. (RFC 6455, section 5.2)
 * This is an implementation of its own: no package may judge itself.
 *
 * @param {Number} opcode The opcode
 * @param {(Buffer|String)} [payload] The payload
 * @param {Object} [options] Options object
 * @param {Boolean} [options.fin=true] The FIN bit
 * @param {Number} [options.rsv=0] The three reserved bits, RSV1 being 4
 * @param {(Boolean|Buffer)} [options.mask=false] Whether to mask, or the key
 * @param {(BigInt|Number)} [options.length] The length to claim, if it is not
 *     that of the payload
 * @param {Number} [options.lengthBytes] Force the extended length to 2 or 8
 *     bytes
 * @return {Buffer} The frame
 * @public
 */
function frame(opcode, payload = '', options = {}) {
  const { fin = true, rsv = 0, mask = false } = options;
  const data = Buffer.from(payload);
  const length = options.length === undefined ? data.length : options.length;
  const shortest = length < 126 ? 0 : length < 65536 ? 2 : 8;
  const lengthBytes = options.lengthBytes || shortest;
  const maskBit = mask ? 0x80 : 0;
  const head = Buffer.alloc(2 + lengthBytes);
  const parts = [head];

  head[0] = (fin ? 0x80 : 0) | (rsv << 4) | opcode;

  if (lengthBytes === 0) {
    head[1] = maskBit | Number(length);
  } else if (lengthBytes === 2) {
    head[1] = maskBit | 126;
    head.writeUInt16BE(Number(length), 2);
  } else {
    head[1] = maskBit | 127;
    head.writeBigUInt64BE(BigInt(length), 2);
  }

  if (mask) {
    const key = mask === true ? MASK : mask;

    applyMask(data, key);
    parts.push(key);
  }

  return Buffer.concat([...parts, data]);
}

/**
 * Makes the bytes of a masked frame, as a client sends it.
 *
 * @param {Number} opcode The opcode
 * @param {(Buffer|String)} [payload] The payload
 * @param {Object} [options] Options of `frame()`
 * @return {Buffer} The frame
 * @public
 */
function masked(opcode, payload, options) {
  return frame(opcode, payload, { mask: true, ...options });
}

/**
 * Makes the payload of a close frame.
 *
 * @param {Number} [code] The status code
 * @param {(Buffer|String)} [reason] The reason
 * @return {Buffer} The payload
 * @public
 */
function closePayload(code, reason = '') {
  if (code === undefined) return Buffer.alloc(0);
  return Buffer.concat([
    Buffer.from([code >> 8, code & 0xff]),
    Buffer.from(reason)
  ]);
}

/**
 * Makes the payload of a compressed message's only frame, without context.
 *
 * @param {(Buffer|String)} data The message
 * @param {Object} [options] Options for zlib
 * @return {Buffer} The payload
 * @public
 */
function deflate(data, options) {
  return zlib
    .deflateRawSync(data, {
      finishFlush: zlib.constants.Z_SYNC_FLUSH,
      ...options
    })
    .subarray(0, -4);
}

/**
 * Takes complete frames from the beginning of some bytes.
 *
 * @param {Buffer} bytes The bytes
 * @param {Number} [most] How many frames at the most
 * @return {Object} The frames, the bytes that are left and how many bytes are
 *     missing at least for the next frame
 * @public
 */
function parseFrames(bytes, most = Infinity) {
  const frames = [];
  let rest = bytes;
  let missing = 0;

  while (frames.length < most && rest.length >= 2) {
    let length = rest[1] & 0x7f;
    let offset = 2;
    if (length === 126) {
      if (rest.length < 4) break;
      length = rest.readUInt16BE(2);
      offset = 4;
    } else if (length === 127) {
      if (rest.length < 10) break;
      length = Number(rest.readBigUInt64BE(2));
      offset = 10;
    }
    const isMasked = (rest[1] & 0x80) !== 0;
    const end = offset + (isMasked ? 4 : 0) + length;
    missing = end - rest.length;
    if (missing > 0) break;
    const payload = Buffer.from(rest.subarray(end - length, end));
    const mask = isMasked
      ? Buffer.from(rest.subarray(offset, offset + 4))
      : null;
    if (mask) applyMask(payload, mask);
    frames.push({
      fin: (rest[0] & 0x80) !== 0,
      rsv: (rest[0] >> 4) & 7,
      opcode: rest[0] & 0x0f,
      mask,
      payload
    });
    rest = rest.subarray(end);
  }

  return { frames, rest, missing };
}

/**
 * Masks or unmasks a payload in place.
 *
 * @param {Buffer} payload The payload
 * @param {Buffer} key The masking key
 * @private
 */
function applyMask(payload, key) {
  for (let i = 0; i < payload.length; i++) payload[i] ^= key[i & 3];
}

module.exports = { closePayload, deflate, frame, masked, parseFrames };
