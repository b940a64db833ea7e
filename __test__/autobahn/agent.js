'use strict';

// What the two echo agents share. They are forked by scripts/autobahn.js and
// end with the channel to it.

const { stats } = require('../../lib/native');

/**
 * The options of both agents.
 *
 * Cases 9.3 and 9.4 send a message of 4 MiB in up to 65,536 fragments, and 9.5
 * and 9.6 one of 1 MiB in up to 16,384 writes, hence no limits on these. With
 * threshold 0 the replies of cases 12 and 13 are compressed at every size.
 */
const options = {
  maxBufferedChunks: 0,
  maxFragments: 0,
  maxPayload: 64 * 1024 * 1024,
  perMessageDeflate: { threshold: 0 }
};

/**
 * Sends back what a connection receives. Errors are not of interest: most cases
 * break the protocol on purpose, and the fuzzer judges what it gets to see.
 *
 * @param {WebSocket} ws The connection
 */
function echo(ws) {
  ws.on('error', () => {});
  ws.on('message', (data, isBinary) => ws.send(data, { binary: isBinary }));
}

/**
 * Says which drivers have served the connections, then ends the process.
 */
function finish() {
  process.send({ stats }, () => process.disconnect());
}

process.on('disconnect', () => process.exit());

module.exports = { echo, finish, options };
