'use strict';

const { extensionName } = require('./permessage-deflate');

//
// The flags of `src/binding/decoder.rs`.
//
const SERVER = 1;
const SKIP_UTF8_VALIDATION = 2;
const NO_CONTEXT_TAKEOVER = 4;

/**
 * Says what a decoder has to know about a connection, as the addon wants it:
 * flags, with the size of the peer's window above them, and the limits.
 *
 * @param {Boolean} isServer Whether this is the server's side
 * @param {Object} extensions The negotiated extensions
 * @param {Object} options Options
 * @param {Number} [options.maxBufferedChunks=0] How many chunks may wait for the
 *     rest of a frame, 0 for no limit
 * @param {Number} [options.maxFragments=0] How many frames a message may have, 0
 *     for no limit
 * @param {Number} [options.maxPayload=0] How many bytes a message may have, 0 for
 *     no limit
 * @param {Boolean} [options.skipUTF8Validation=false] Whether text is not checked
 * @return {Number[]} Flags and limits
 * @public
 */
function decoderOptions(
  isServer,
  extensions,
  { maxBufferedChunks, maxFragments, maxPayload, skipUTF8Validation }
) {
  const extension = extensions[extensionName];
  let flags =
    (isServer ? SERVER : 0) | (skipUTF8Validation ? SKIP_UTF8_VALIDATION : 0);

  if (extension) {
    const params = extension.params || {};
    const peer = isServer ? 'client' : 'server';
    const windowBits = params[`${peer}_max_window_bits`];

    if (params[`${peer}_no_context_takeover`]) flags |= NO_CONTEXT_TAKEOVER;
    flags |= (typeof windowBits === 'number' ? windowBits : 15) << 8;
  }

  return [
    flags,
    Math.max(maxPayload | 0, 0),
    Math.max(maxFragments | 0, 0),
    Math.max(maxBufferedChunks | 0, 0)
  ];
}

module.exports = decoderOptions;
