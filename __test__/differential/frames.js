'use strict';

const MASK = Buffer.from([0x37, 0xfa, 0x21, 0x3d]);

/**
 * Makes the bytes of one WebSocket frame, valid or not. This is an
 * implementation of its own: none of the two packages may judge itself.
 *
 * @param {Number} opcode The opcode
 * @param {(Buffer|String)} [payload] The payload
 * @param {Object} [options] Options object
 * @param {Boolean} [options.fin=true] The FIN bit
 * @param {Number} [options.rsv=0] The three reserved bits, RSV1 being 4
 * @param {(Boolean|Buffer)} [options.mask=false] Whether to mask, or the key
 * @param {Number} [options.lengthBytes] Force the extended length to 2 or 8
 *     bytes
 * @return {Buffer} The frame
 */
function frame(opcode, payload = '', options = {}) {
  const { fin = true, rsv = 0, mask = false } = options;
  const data = Buffer.from(payload);
  const small = data.length < 126 && options.lengthBytes === undefined;
  const lengthBytes = options.lengthBytes || (data.length < 65536 ? 2 : 8);
  const head = [(fin ? 0x80 : 0) | (rsv << 4) | opcode];
  const maskBit = mask ? 0x80 : 0;
  const parts = [];

  if (small) {
    head.push(maskBit | data.length);
    parts.push(Buffer.from(head));
  } else {
    const length = Buffer.alloc(lengthBytes);
    head.push(maskBit | (lengthBytes === 2 ? 126 : 127));
    length.writeUIntBE(
      data.length,
      lengthBytes === 8 ? 2 : 0,
      lengthBytes === 8 ? 6 : 2
    );
    parts.push(Buffer.from(head), length);
  }

  if (mask) {
    const key = mask === true ? MASK : mask;
    for (let i = 0; i < data.length; i++) data[i] ^= key[i & 3];
    parts.push(key);
  }

  return Buffer.concat([...parts, data]);
}

/**
 * Makes the payload of a close frame.
 *
 * @param {Number} [code] The status code
 * @param {(Buffer|String)} [reason] The reason
 * @return {Buffer} The payload
 */
function closePayload(code, reason = '') {
  if (code === undefined) return Buffer.alloc(0);
  return Buffer.concat([
    Buffer.from([code >> 8, code & 0xff]),
    Buffer.from(reason)
  ]);
}

/**
 * Takes the complete frames from the beginning of some bytes.
 *
 * @param {Buffer} bytes The bytes
 * @return {Object} The frames, the bytes that are left and how many bytes are
 *     missing at least for the next frame
 */
function parseFrames(bytes) {
  const frames = [];
  let rest = bytes;
  let missing = 0;

  for (;;) {
    if (rest.length < 2) break;
    let length = rest[1] & 0x7f;
    let offset = 2;
    if (length === 126) {
      if (rest.length < 4) break;
      length = rest.readUInt16BE(2);
      offset = 4;
    } else if (length === 127) {
      if (rest.length < 10) break;
      length = rest.readUIntBE(4, 6);
      offset = 10;
    }
    const masked = (rest[1] & 0x80) !== 0;
    const end = offset + (masked ? 4 : 0) + length;
    missing = end - rest.length;
    if (missing > 0) break;
    const payload = Buffer.from(rest.subarray(end - length, end));
    if (masked) {
      const key = rest.subarray(offset, offset + 4);
      for (let i = 0; i < length; i++) payload[i] ^= key[i & 3];
    }
    frames.push({
      fin: (rest[0] & 0x80) !== 0,
      rsv: (rest[0] >> 4) & 7,
      opcode: rest[0] & 0x0f,
      masked,
      payload
    });
    rest = rest.subarray(end);
  }

  return { frames, rest, missing };
}

module.exports = { MASK, closePayload, frame, parseFrames };
