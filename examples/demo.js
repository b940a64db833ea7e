'use strict';

// An echo server and a client in one process, which exchange text, binary and
// compressed messages; every message is compared with what comes back.
//
//   npm run demo           (builds the addon first)
//   node examples/demo.js
//
// With OXWS_DRIVER=stream in the environment, JavaScript moves the bytes.

const assert = require('assert');
const { once } = require('events');

const WebSocket = require('..');
const { stats } = require('../lib/native');
const { version } = require('../package.json');

// How many messages are on their way at a time.
const IN_FLIGHT = 32;

// How long a job may take, in milliseconds.
const TIME_LIMIT = 60000;

const record = JSON.stringify(
  Array.from({ length: 24 }, (_, id) => ({ id, name: `item ${id}`, stock: 7 }))
);

const jobs = [
  {
    title: 'text',
    count: 50000,
    make: (i) => `message ${i} ${'ä€😀.'.repeat(4)}`
  },
  {
    title: 'binary',
    count: 5000,
    make: (i) => Buffer.alloc(16 * 1024, i)
  },
  {
    title: 'compressed',
    count: 5000,
    make: (i) => `${i} ${record}`,
    deflate: true
  }
];

/**
 * Sends the messages of a job and compares the echoes.
 *
 * @param {WebSocket} ws An open connection to an echo server
 * @param {Object} job The job
 * @return {Promise} Resolved with the number of bytes of payload sent
 */
function exchange(ws, job) {
  return new Promise((resolve, reject) => {
    let bytes = 0;
    let received = 0;
    let sent = 0;

    const send = () => {
      const data = job.make(sent++);

      bytes += Buffer.byteLength(data);
      ws.send(data);
    };

    const timer = setTimeout(() => {
      reject(new Error(`Only ${received} of ${sent} echoes came back`));
    }, TIME_LIMIT);

    ws.on('error', reject);
    ws.on('close', () => reject(new Error('The connection was closed')));
    ws.on('message', (data, isBinary) => {
      const expected = job.make(received++);

      try {
        assert.strictEqual(isBinary, typeof expected !== 'string');
        assert.ok(data.equals(Buffer.from(expected)), 'The echo differs');
      } catch (err) {
        reject(err);
        return;
      }

      if (sent < job.count) send();
      else if (received === job.count) {
        clearTimeout(timer);
        resolve(bytes);
      }
    });

    while (sent < Math.min(IN_FLIGHT, job.count)) send();
  });
}

/**
 * Names the driver that served both ends of a connection.
 *
 * @param {Object} before The counters before the connection was made
 * @return {String} The name
 */
function driverSince(before) {
  const native = stats.native - before.native;
  const stream = stats.stream - before.stream;

  if (native && stream) return 'both';

  return native ? 'native' : 'stream';
}

/**
 * Runs one job with a server and a client of its own.
 *
 * @param {Object} job The job
 */
async function run(job) {
  const before = { ...stats };
  const options = job.deflate ? { perMessageDeflate: { threshold: 0 } } : {};
  const server = new WebSocket.Server({
    ...options,
    host: '127.0.0.1',
    port: 0
  });

  server.on('connection', (ws) => {
    ws.on('message', (data, isBinary) => ws.send(data, { binary: isBinary }));
  });

  await once(server, 'listening');

  const ws = new WebSocket(`ws://127.0.0.1:${server.address().port}`, {
    perMessageDeflate: false,
    ...options
  });

  await once(ws, 'open');
  assert.strictEqual(ws.extensions, job.deflate ? 'permessage-deflate' : '');

  const start = process.hrtime.bigint();
  const bytes = await exchange(ws, job);
  const ms = Number(process.hrtime.bigint() - start) / 1e6;

  const wire = ws._socket.bytesWritten;

  ws.removeAllListeners('close');
  ws.close();
  await once(ws, 'close');
  server.close();
  await once(server, 'close');

  printRow([job.title, driverSince(before), job.count, bytes, wire, ms]);
}

/**
 * Prints a row of the table of results.
 *
 * @param {Array} cells Two texts, then numbers or texts
 */
function printRow(cells) {
  const row = cells.map((cell, i) => {
    if (i < 2) return cell.padEnd(12);

    const text =
      typeof cell === 'number' ? Math.round(cell).toLocaleString('en') : cell;

    return text.padStart(14);
  });

  console.log(row.join(''));
}

/**
 * Runs all jobs.
 */
async function main() {
  console.log(
    `oxws ${version}, Node ${process.version}, ` +
      `${process.platform}-${process.arch}`
  );

  printRow(['kind', 'driver', 'echoes', 'payload bytes', 'wire bytes', 'ms']);

  for (const job of jobs) await run(job);

  console.log('Every message came back as it was sent.');
}

main().catch((err) => {
  console.error(err);
  process.exit(1);
});
