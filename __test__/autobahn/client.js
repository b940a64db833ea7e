'use strict';

// The echo client that goes through all cases of the fuzzing server (client
// role). Forked by scripts/autobahn.js: client.js <port> <agent name>.

const WebSocket = require('../..');
const options = require('./options');

const [port, agent] = process.argv.slice(2);

/**
 * Opens a connection to the fuzzing server. Errors are not of interest: most
 * cases break the protocol on purpose, and the fuzzer judges what it gets to
 * see of it. A connection that was never made is a case without a result.
 *
 * @param {String} path The path and query of the URL
 * @return {WebSocket} The client
 */
function connect(path) {
  const ws = new WebSocket(`ws://127.0.0.1:${port}${path}`, options);

  ws.on('error', () => {});

  return ws;
}

/**
 * Asks for the number of cases.
 *
 * @param {Function} callback Called with the number
 */
function getCaseCount(callback) {
  const ws = connect('/getCaseCount');
  let count = 0;

  ws.on('message', (data) => {
    count = JSON.parse(data);
  });
  ws.on('close', () => callback(count));
}

/**
 * Runs a case and those that follow, then lets the process end.
 *
 * @param {Number} index The number of the case, from 1
 * @param {Number} count The number of cases
 */
function runCase(index, count) {
  if (index > count) {
    process.disconnect();
    return;
  }

  const ws = connect(`/runCase?case=${index}&agent=${agent}`);

  ws.on('message', (data, isBinary) => ws.send(data, { binary: isBinary }));
  ws.on('close', () => runCase(index + 1, count));
}

getCaseCount((count) => runCase(1, count));

process.on('disconnect', () => process.exit());
