'use strict';

/**
 * The options of both echo agents.
 *
 * Cases 9.3 and 9.4 send a message of 4 MiB in up to 65,536 fragments, and 9.5
 * and 9.6 one of 1 MiB in up to 16,384 writes, hence no limits on these. With
 * threshold 0 the replies of cases 12 and 13 are compressed at every size.
 */
module.exports = {
  maxBufferedChunks: 0,
  maxFragments: 0,
  maxPayload: 64 * 1024 * 1024,
  perMessageDeflate: { threshold: 0 }
};
