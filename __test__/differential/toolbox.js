'use strict';

const fs = require('fs');
const http = require('http');
const net = require('net');
const os = require('os');
const path = require('path');

const { Peer } = require('./peer');
const { acceptUpgrade, upgradeRequest } = require('../helpers/handshake');

const EVENTS = ['open', 'upgrade', 'message', 'ping', 'pong', 'error', 'close'];

/**
 * What a scenario works with: servers, raw peers, both ends of a connection,
 * and a list of what has to be closed at the end.
 */
class Toolbox {
  /**
   * Creates the toolbox of one scenario.
   *
   * @param {Function} WebSocket The class under test
   * @param {String} root The folder of the package under test
   */
  constructor(WebSocket, root) {
    this.WebSocket = WebSocket;
    this.root = root;
    this.onUncaught = null;
    this.deferred = [];
    this.sockets = new Set();
  }

  /**
   * Loads a file of the package's `lib` folder.
   *
   * @param {String} name The file's name
   * @return {*} What it exports
   */
  lib(name) {
    return require(path.join(this.root, 'lib', name));
  }

  /**
   * Registers something to be done when the scenario is over.
   *
   * @param {Function} action The action
   */
  defer(action) {
    this.deferred.push(action);
  }

  /**
   * Closes everything that the scenario has opened.
   *
   * @return {Promise} Resolved when done
   */
  async cleanup() {
    for (const socket of this.sockets) socket.destroy();
    for (const action of this.deferred.reverse()) {
      try {
        await Promise.race([action(), this.sleep(500)]);
      } catch {
        // A scenario may have closed it already.
      }
    }
    await this.turn();
  }

  /**
   * Waits for the check phase of the event loop, a number of times.
   *
   * @param {Number} [count=1] How many times
   * @return {Promise} Resolved then
   */
  async turn(count = 1) {
    for (let i = 0; i < count; i++) {
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /**
   * Waits some time. Only for scenarios whose subject is a timer.
   *
   * @param {Number} ms Milliseconds
   * @return {Promise} Resolved then
   */
  sleep(ms) {
    return new Promise((resolve) => setTimeout(resolve, ms));
  }

  /**
   * Waits until a condition holds, looking once per turn of the event loop.
   *
   * @param {Function} condition The condition
   * @return {Promise} Resolved when it holds
   */
  async poll(condition) {
    while (!condition()) await this.turn();
  }

  /**
   * Waits for an event, without the meaning that `events.once()` gives to
   * `'error'`.
   *
   * @param {EventEmitter} emitter The emitter
   * @param {String} event The event
   * @return {Promise<Array>} The arguments
   */
  once(emitter, event) {
    return new Promise((resolve) => {
      emitter.once(event, (...args) => resolve(args));
    });
  }

  /**
   * Waits until a WebSocket is closed.
   *
   * @param {WebSocket} ws The WebSocket
   * @return {Promise} Resolved after its `'close'` event
   */
  async over(ws) {
    if (ws.readyState !== 3) await this.once(ws, 'close');
  }

  /**
   * Logs every event of a WebSocket with its arguments and `readyState`.
   *
   * @param {WebSocket} ws The WebSocket
   * @param {Function} log The log
   * @return {WebSocket} The same WebSocket
   */
  watch(ws, log) {
    for (const event of EVENTS) {
      ws.on(event, (...args) => log(event, ...args, ws.readyState));
    }

    return ws;
  }

  /**
   * Calls a function and logs what it returns or throws.
   *
   * @param {Function} log The log
   * @param {String} label The label
   * @param {Function} action The function
   * @return {*} What it returned
   */
  attempt(log, label, action) {
    try {
      const result = action();
      log(`${label} returned`, result);
      return result;
    } catch (err) {
      log(`${label} threw`, err);
    }
  }

  /**
   * Makes a folder for Unix sockets.
   *
   * @return {String} Its path
   */
  folder() {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'oxws-differential-'));
    this.defer(() => fs.rmSync(folder, { recursive: true, force: true }));
    return folder;
  }

  /**
   * Lets a net, tls or http server listen on a free port of 127.0.0.1.
   *
   * @param {net.Server} server The server
   * @param {*} [where] Another place to listen at
   * @return {Promise<Number>} The port
   */
  async listen(server, where = { host: '127.0.0.1', port: 0 }) {
    server.on('connection', (socket) => this.sockets.add(socket));
    this.defer(() => new Promise((resolve) => server.close(resolve)));
    server.listen(where);
    await this.once(server, 'listening');
    const address = server.address();
    return typeof address === 'string' ? address : address.port;
  }

  /**
   * Makes a listening `WebSocketServer`.
   *
   * @param {Object} [options] Its options
   * @return {Promise<WebSocketServer>} The server
   */
  async server(options) {
    const wss = new this.WebSocket.Server({
      host: '127.0.0.1',
      port: 0,
      ...options
    });
    this.defer(() => {
      for (const ws of wss.clients || []) ws.terminate();
      return new Promise((resolve) => wss.close(resolve));
    });
    if (wss.address() === null) await this.once(wss, 'listening');
    //
    // Who connects at once is accepted by the event loop. A bit later the native
    // listener does it, and the connection has no socket.
    //
    if (!process.env.DIFFERENTIAL_HASTE) await this.turn(5);
    return wss;
  }

  /**
   * Opens a raw connection.
   *
   * @param {(Number|String)} port The port, or the path of a Unix socket
   * @param {Object} [options] Options of net.connect()
   * @return {Promise<Peer>} The peer
   */
  async connect(port, options) {
    const socket = net.connect(
      typeof port === 'string'
        ? { path: port, ...options }
        : { host: '127.0.0.1', port, ...options }
    );
    this.sockets.add(socket);
    await this.once(socket, 'connect');
    return new Peer(socket, true);
  }

  /**
   * Makes the bytes of an opening handshake.
   *
   * @param {Object} [options] Options of `upgradeRequest()`
   * @return {String} The request
   */
  request(options) {
    return upgradeRequest(options);
  }

  /**
   * Makes the bytes of the answer to an opening handshake.
   *
   * @param {...*} args Arguments of `acceptUpgrade()`
   * @return {String} The answer
   */
  answer(...args) {
    return acceptUpgrade(...args);
  }

  /**
   * Makes a raw server that hands each connection over as a peer once the head
   * of its request has arrived.
   *
   * @param {Function} handler Called with the peer and the request's head
   * @return {Promise<Number>} The port
   */
  rawServer(handler) {
    const server = net.createServer((socket) => {
      const peer = new Peer(socket, false);
      peer.upgraded().then((head) => {
        if (head !== null) handler(peer, head);
      });
    });
    return this.listen(server);
  }

  /**
   * Makes one end of a connection with a raw peer at the other end.
   *
   * @param {String} role Which end: `'server'` or `'client'`
   * @param {Object} [config] Configuration object
   * @param {Object} [config.options] Options of the WebSocketServer or of the
   *     WebSocket
   * @param {Object} [config.headers] Headers of the raw request or answer
   * @param {Buffer} [config.first] Bytes that the peer sends in the same write
   *     as its handshake
   * @param {Function} [config.prepare] Called with the WebSocket as early as
   *     possible
   * @return {Promise<Object>} The WebSocket, the peer and the server
   */
  end(role, config = {}) {
    return role === 'server' ? this.serverEnd(config) : this.clientEnd(config);
  }

  /**
   * See `end()`.
   *
   * @param {Object} config Configuration object
   * @return {Promise<Object>} The WebSocket, the peer and the server
   */
  async serverEnd({ options, headers, first = '', prepare }) {
    const wss = await this.server(options);
    const connected = new Promise((resolve) => {
      wss.on('connection', (ws, req) => {
        if (prepare) prepare(ws, req);
        resolve(ws);
      });
    });
    const peer = await this.connect(wss.address().port);
    peer.write(this.request({ headers }), first);
    const ws = await connected;
    await peer.upgraded();
    await this.turn();
    return { ws, peer, wss };
  }

  /**
   * See `end()`.
   *
   * @param {Object} config Configuration object
   * @return {Promise<Object>} The WebSocket and the peer
   */
  async clientEnd({ options, headers, first = '', prepare }) {
    let accept;
    const accepted = new Promise((resolve) => (accept = resolve));
    const port = await this.rawServer((peer, head) => {
      peer.write(this.answer(head, headers), first);
      accept(peer);
    });
    const ws = this.client(`ws://127.0.0.1:${port}/`, options);
    const opened = this.once(ws, 'open');
    if (prepare) prepare(ws);
    const peer = await accepted;
    await opened;
    await this.turn();
    return { ws, peer };
  }

  /**
   * Makes a client that is terminated when the scenario is over.
   *
   * @param {String} address The URL
   * @param {...*} args Further arguments of the constructor
   * @return {WebSocket} The client
   */
  client(address, ...args) {
    const ws = new this.WebSocket(address, ...args);
    this.defer(() => {
      ws.on('error', () => {});
      ws.terminate();
    });
    return ws;
  }

  /**
   * Makes both ends of a connection.
   *
   * @param {Object} [config] Configuration object
   * @param {Object} [config.server] Options of the WebSocketServer
   * @param {Object} [config.client] Options of the WebSocket
   * @param {Function} [config.prepare] Called with each WebSocket as early as
   *     possible, and with its role
   * @return {Promise<Object>} Both ends and the server
   */
  async pair({ server: serverOptions, client: clientOptions, prepare } = {}) {
    const wss = await this.server(serverOptions);
    const connected = new Promise((resolve) => {
      wss.on('connection', (ws) => {
        if (prepare) prepare(ws, 'server');
        resolve(ws);
      });
    });
    const client = this.client(
      `ws://127.0.0.1:${wss.address().port}/`,
      clientOptions
    );
    const opened = this.once(client, 'open');
    if (prepare) prepare(client, 'client');
    const [server] = await Promise.all([connected, opened]);
    await this.turn();
    return { wss, server, client };
  }

  /**
   * Makes a listening HTTP server.
   *
   * @param {Function} [handler] The listener of its `'request'` event
   * @return {Promise<Object>} The server and its port
   */
  async httpServer(handler) {
    const server = http.createServer(handler);
    const port = await this.listen(server);
    return { server, port };
  }
}

module.exports = { Toolbox };
