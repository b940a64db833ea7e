'use strict';

// The client that goes through all cases of the fuzzing server (client role).
// Its arguments are the server's port and the name it shall give itself.

const WebSocket = require('../..');
const { echo, finish, options } = require('./agent');

const [port, name] = process.argv.slice(2);
const url = `ws://127.0.0.1:${port}`;

/**
 * Asks for the number of cases.
 *
 * @param {Function} callback Called with the number, 0 if there is no answer
 */
function getCaseCount(callback) {
  const ws = new WebSocket(`${url}/getCaseCount`, options);
  let count = 0;

  ws.on('error', console.error);
  ws.on('message', (data) => {
    count = JSON.parse(data);
  });
  ws.on('close', () => callback(count));
}

/**
 * Runs a case and those that follow it.
 *
 * @param {Number} index The number of the case, from 1
 * @param {Number} count The number of cases
 */
function runCase(index, count) {
  if (index > count) {
    finish();
    return;
  }

  const ws = new WebSocket(
    `${url}/runCase?case=${index}&agent=${name}`,
    options
  );

  echo(ws);
  ws.on('close', () => runCase(index + 1, count));
}

getCaseCount((count) => runCase(1, count));
