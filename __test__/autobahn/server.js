'use strict';

// The server that the fuzzing client is aimed at (server role). Sends its port,
// and is done when it is sent something.

const { WebSocketServer } = require('../..');
const { echo, finish, options } = require('./agent');

const wss = new WebSocketServer({ ...options, host: '127.0.0.1', port: 0 });

wss.on('connection', echo);
wss.on('listening', () => process.send({ port: wss.address().port }));

process.on('message', finish);
