'use strict';

const { extensionName } = require('./permessage-deflate');

//
// The flags of `src/binding/decoder.rs`.
//
const SERVER = 1;
const SKIP_UTF8_VALIDATION = 2;
const NO_CONTEXT_TAKEOVER = 4;

/**
 * Says what a decoder has to know about a connection besides its limits, as the
 * addon wants it: flags, and the size of the peer's window above them.
 *
 * @param {Boolean} isServer Whether this is the server's side
 * @param {Boolean} skipUTF8Validation Whether text is not checked
 * @param {Object} extensions The negotiated extensions
 * @return {Number} The flags
 * @public
 */
function decoderFlags(isServer, skipUTF8Validation, extensions) {
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

  return flags;
}

module.exports = decoderFlags;
