'use strict';

/*
 * A client under test: node client.js <implementation> <work> <port> [size]
 *
 *   work  receive: takes what the peer sends flat out
 *         send: sends messages of `size` bytes as fast as they go out
 *
 * The peer is the load generator in mode `serve`, which does the counting; it
 * learns from the URL which process to watch. The client ends with its input.
 */

const { load } = require('./implementations.js');

// Messages per run: the callback of the last one starts the next run, so that
// what is not yet written stays bounded.
const RUN = 256;

const [implementation, work, port, size] = process.argv.slice(2);
const { WebSocket } = load(implementation);

const ws = new WebSocket(`ws://127.0.0.1:${port}/?pid=${process.pid}`, {
  perMessageDeflate: false
});

/**
 * Sends messages for as long as the connection is open.
 *
 * @param {Buffer} data The message
 */
function sendAll(data) {
  /**
   * Sends one run of messages.
   *
   * @param {Error} [err] What went wrong with the run before
   */
  const run = (err) => {
    if (err) return;
    for (let i = 1; i < RUN; i++) ws.send(data);
    ws.send(data, run);
  };

  run();
}

let received = 0;

ws.on('message', () => {
  received++;
});
ws.on('open', () => {
  if (work === 'send') sendAll(Buffer.alloc(Number(size), 'x'));
});
// The peer drops the connection when the run is over.
ws.on('error', (err) => {
  if (!received && work === 'receive') throw err;
});

process.stdin.resume();
process.stdin.on('end', () => process.exit());
