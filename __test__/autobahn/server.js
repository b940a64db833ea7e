'use strict';

// The echo server that the fuzzing client is aimed at (server role). Forked by
// scripts/autobahn.js, which gets the port as a message; ends with the channel.

const { WebSocketServer } = require('../..');
const options = require('./options');

const wss = new WebSocketServer({ ...options, host: '127.0.0.1', port: 0 });

wss.on('connection', (ws) => {
  // Most cases break the protocol on purpose; the fuzzer judges what follows.
  ws.on('error', () => {});
  ws.on('message', (data, isBinary) => ws.send(data, { binary: isBinary }));
});

wss.on('listening', () => process.send({ port: wss.address().port }));

process.on('disconnect', () => process.exit());
