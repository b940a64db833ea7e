'use strict';

const { spawn } = require('child_process');
const { Worker } = require('worker_threads');

//
// Each program runs in a process of its own; `WebSocket` and `port` are given
// to it. What it writes to its standard output is logged.
//
const PREFIX = `
  const WebSocket = require(process.env.PACKAGE);
  const port = process.env.PORT;
  const say = (...args) => require('fs').writeSync(1, args.join(' ') + '\\n');
  process.on('exit', (code) => say('exit', code));
`;

/**
 * Runs a program and logs its output, how it ended and the frames that a raw
 * server got from it.
 *
 * @param {Object} t The toolbox
 * @param {Function} log The log
 * @param {String} source The program
 * @param {Function} [serve] Called with each raw peer after its handshake
 * @return {Promise} Resolved when the program has ended
 */
async function run(t, log, source, serve) {
  const peers = [];
  const port = await t.rawServer((peer, head) => {
    peer.write(t.answer(head));
    peers.push(peer);
    if (serve) serve(peer);
  });
  const child = spawn(process.execPath, ['-e', PREFIX + source], {
    env: { ...process.env, PACKAGE: t.root, PORT: String(port) },
    stdio: ['ignore', 'pipe', 'pipe']
  });
  t.defer(() => child.kill('SIGKILL'));
  let output = '';
  let errors = '';
  child.stdout.on('data', (chunk) => (output += chunk));
  child.stderr.on('data', (chunk) => (errors += chunk));
  const [code, signal] = await t.once(child, 'close');
  for (const line of output.trimEnd().split('\n')) log(line);
  log(
    'ended',
    code,
    signal,
    errors.split('\n').find((line) => /Error/.test(line))
  );
  for (const peer of peers) {
    await peer.closed;
    peer.report(log);
  }
}

const CLIENT = 'const ws = new WebSocket(`ws://127.0.0.1:${port}/`);';

const SERVER = `
  const wss = new WebSocket.Server({ port: 0, host: '127.0.0.1' });
  const net = require('net');
  const connect = (then) => wss.on('listening', () => {
    const socket = net.connect(wss.address().port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write([
      'GET / HTTP/1.1', 'Host: a', 'Connection: Upgrade', 'Upgrade: websocket',
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
      'Sec-WebSocket-Version: 13', '', ''
    ].join('\\r\\n'));
    then(socket);
  });
`;

const PROGRAMS = {
  'process.exit() right after send()': `${CLIENT}
    ws.on('open', () => {
      ws.send('one');
      ws.send(Buffer.from('two'));
      ws.ping('three');
      process.exit();
    });`,
  'process.exit() in a message handler after send()': `${CLIENT}
    ws.on('open', () => ws.send('start'));
    ws.on('message', (data) => {
      ws.send('reply to ' + data);
      process.exit(3);
    });`,
  'process.exit() after close()': `${CLIENT}
    ws.on('open', () => {
      ws.close(1000, 'bye');
      process.exit();
    });`,
  'process.exit() without listeners of the exit event': `${CLIENT}
    ws.on('open', () => {
      process.removeAllListeners('exit');
      ws.send('last words');
      process.exit(4);
    });`,
  'process.exit() in a listener of the exit event that comes first': `${CLIENT}
    ws.on('open', () => {
      process.prependListener('exit', () => process.exit(5));
      ws.send('last words');
      process.exit(4);
    });`,
  'process.reallyExit() right after send()': `${CLIENT}
    ws.on('open', () => {
      ws.send('last words');
      process.reallyExit(6);
    });`,
  'send() in the exit event': `${CLIENT}
    process.on('exit', () => ws.send('from exit'));
    ws.on('open', () => process.exit());`,
  'process.abort() is not needed: an exception ends the process': `${CLIENT}
    ws.on('open', () => {
      ws.send('one');
      throw new Error('own');
    });`,
  'an exception in a message handler ends the process': `${CLIENT}
    ws.on('message', () => {
      ws.send('reply');
      throw new Error('own');
    });
    ws.on('open', () => ws.send('start'));`,
  'a rejection in a message handler ends the process': `${CLIENT}
    ws.on('message', async () => {
      throw new Error('own');
    });
    ws.on('open', () => ws.send('start'));`,
  'an error without listener ends the process': `${CLIENT}
    ws.on('open', () => ws.send('violation'));`,
  'the process lives until the connection is closed': `${CLIENT}
    ws.on('open', () => say('open'));
    ws.on('close', (code) => say('close', code));
    ws.on('open', () => setTimeout(() => ws.close(1000), 50));`,
  'an open connection keeps the process alive': `${CLIENT}
    ws.on('open', () => {
      say('open');
      setTimeout(() => { say('still alive'); process.exit(); }, 150).unref();
    });`,
  'unref() of the socket lets the process end': `${CLIENT}
    ws.on('open', () => {
      say('open');
      ws._socket.unref();
    });
    ws.on('close', () => say('never'));`,
  'unref() of the socket with data that the kernel has not taken': `${CLIENT}
    ws.on('open', () => {
      ws._socket.unref();
      ws.send(Buffer.alloc(20e6), (err) => say('sent', err, ws.bufferedAmount));
    });`,
  'unref() of the socket with writes that the kernel has not taken': `${CLIENT}
    ws.on('open', () => {
      ws._socket.unref();
      for (let i = 0; i < 1000; i++) ws._socket.write(Buffer.from([0x8a, 0]));
      ws.send(Buffer.alloc(20e6));
      ws._socket.write(Buffer.from([0x8a, 0]), () => say('written'));
    });`,
  'unref() and ref() of the socket': `${CLIENT}
    ws.on('open', () => {
      ws._socket.unref();
      ws._socket.ref();
      setTimeout(() => { say('still alive'); process.exit(); }, 100).unref();
    });`,
  'a paused connection keeps the process alive': `${CLIENT}
    ws.on('open', () => {
      ws.pause();
      setTimeout(() => { say('still alive'); process.exit(); }, 100).unref();
    });`,
  'the process ends after terminate()': `${CLIENT}
    ws.on('open', () => ws.terminate());
    ws.on('close', (code) => say('close', code));`,
  'the process ends when the peer closes': `${CLIENT}
    ws.on('open', () => ws.send('close'));
    ws.on('close', (code, reason) => say('close', code, reason));`,
  'a server keeps the process alive until it is closed': `${SERVER}
    connect((socket) => socket.unref());
    wss.on('connection', (ws) => {
      say('connection');
      wss.close(() => say('server closed'));
      setTimeout(() => { say('terminating'); ws.terminate(); }, 50);
    });`,
  'an open connection of a server keeps the process alive': `${SERVER}
    connect((socket) => socket.unref());
    wss.on('connection', () => {
      wss.close();
      setTimeout(() => { say('still alive'); process.exit(); }, 100).unref();
    });`,
  'process.exit() of a server in a message handler': `${SERVER}
    wss.on('connection', (ws) => ws.on('message', (data) => {
      say('message', data);
      ws.send('reply');
      process.exit(5);
    }));
    connect((socket) => socket.on('data', (data) => {
      if (data.includes('101')) {
        socket.write(Buffer.from([0x81, 0x81, 0, 0, 0, 0, 0x61]));
      }
    }));`,
  'a connecting client and process.exit()': `${CLIENT}
    process.nextTick(() => process.exit());`,
  'SIGTERM with an open connection': `${CLIENT}
    ws.on('open', () => process.kill(process.pid, 'SIGTERM'));`,
  'nothing but require() lets the process end': `say(typeof WebSocket);`,
  'require() twice and from two paths': `
    say(require(process.env.PACKAGE) === WebSocket);
    say(require(process.env.PACKAGE + '/index.js') === WebSocket);`
};

/**
 * What the raw server does with the programs.
 *
 * @param {Peer} peer The peer
 */
function serve(peer) {
  peer.socket.on('data', () => {
    const last = peer.frames[peer.frames.length - 1];
    if (last === undefined) return;
    const text = `${last.payload}`;
    if (text === 'start') peer.write(peer.frame(1, 'message'));
    if (text === 'violation') peer.write(peer.frame(5, 'x'));
    if (text === 'close') peer.write(peer.closeFrame(1001, 'bye'));
    if (last.opcode === 8) peer.socket.end();
  });
}

module.exports = [
  ...Object.entries(PROGRAMS).map(([name, source]) => ({
    title: name,
    async run(WebSocket, log, t) {
      await run(t, log, source, serve);
    }
  })),
  {
    title: 'a connection in a worker thread',
    async run(WebSocket, log, t) {
      const peers = [];
      const port = await t.rawServer((peer, head) => {
        peer.write(t.answer(head), peer.frame(1, 'hello'));
        peers.push(peer);
      });
      const worker = new Worker(
        `const { parentPort, workerData } = require('worker_threads');
         const WebSocket = require(workerData.root);
         const ws = new WebSocket('ws://127.0.0.1:' + workerData.port);
         ws.on('message', (data) => {
           parentPort.postMessage('message ' + data);
           ws.send('reply');
           ws.close(1000);
         });
         ws.on('close', (code) => parentPort.postMessage('close ' + code));`,
        { eval: true, workerData: { root: t.root, port } }
      );
      worker.on('message', (message) => log(message));
      await t.poll(() => peers.length === 1);
      await peers[0].until(2);
      peers[0].write(peers[0].closeFrame(1000));
      peers[0].socket.end();
      log('exit', ...(await t.once(worker, 'exit')));
      peers[0].report(log);
    }
  },
  {
    title: 'a worker thread that ends with open connections',
    async run(WebSocket, log, t) {
      const peers = [];
      const port = await t.rawServer((peer, head) => {
        peer.write(t.answer(head));
        peers.push(peer);
      });
      const own = t.client(`ws://127.0.0.1:${port}`);
      await t.once(own, 'open');
      const worker = new Worker(
        `const { parentPort, workerData } = require('worker_threads');
         const WebSocket = require(workerData.root);
         const ws = new WebSocket('ws://127.0.0.1:' + workerData.port);
         ws.on('open', () => { ws.send('last'); parentPort.postMessage('open'); });`,
        { eval: true, workerData: { root: t.root, port } }
      );
      log(...(await t.once(worker, 'message')));
      await t.poll(() => peers.length === 2);
      await peers[1].until(1);
      log('terminated', await worker.terminate());
      await peers[1].closed;
      peers[1].report(log);
      peers[0].write(peers[0].frame(1, 'still there'));
      log('own', ...(await t.once(own, 'message')));
    }
  }
];
