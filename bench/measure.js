'use strict';

const path = require('path');
const readline = require('readline');
const { execFileSync, spawn } = require('child_process');

const { implementations } = require('./implementations.js');

// Longest wait for a line of output: opening 6,000 connections takes a while.
const PATIENCE = 60_000;
// How long a process may take to end after its input has.
const GRACE = 2_000;

const LOAD = path.join(__dirname, 'load/target/release/oxws-load');

let sockets = 0;

/**
 * What all samples of a run share.
 *
 * @typedef {Object} Setup
 * @property {String} node The Node.js that runs servers and clients
 * @property {('split'|'one-core'|'none')} pin Who runs on which core
 * @property {String[]} cores The core under test and the core of the load
 * @property {Number} warmup Time before the window in ms
 * @property {Number} window Time in which messages count, in ms
 * @property {String} scratch A folder for sockets and the certificate
 */

/**
 * A child process that writes JSON lines and ends when its input does.
 */
class Child {
  /**
   * Starts the process.
   *
   * @param {String[]} command The command and its arguments
   * @param {String} [core] The core to which all of its threads are confined
   * @param {Object} [env] Additions to the environment
   */
  constructor(command, core, env) {
    const [file, ...args] = core
      ? ['taskset', '-c', core, ...command]
      : command;

    this.errors = '';
    this.process = spawn(file, args, { env: { ...process.env, ...env } });
    this.process.stdin.on('error', () => {});
    this.process.stderr.on('data', (chunk) => (this.errors += chunk));
    this.ended = new Promise((resolve) => {
      this.process.on('error', (err) => {
        this.errors += err.message;
        resolve();
      });
      this.process.on('close', resolve);
    });
    this.lines = readline
      .createInterface({ input: this.process.stdout })
      [Symbol.asyncIterator]();
  }

  /**
   * Waits for the next line.
   *
   * @return {Promise<Object>} What the line says
   */
  async read() {
    let timer;
    const late = new Promise((resolve, reject) => {
      timer = setTimeout(() => reject(new Error('no answer')), PATIENCE);
    });

    try {
      const { done, value } = await Promise.race([this.lines.next(), late]);

      if (!done) return JSON.parse(value);
    } finally {
      clearTimeout(timer);
    }

    await this.ended;
    throw new Error(this.errors.trim() || 'ended early');
  }

  /**
   * Ends the process.
   *
   * @return {Promise<void>} Fulfilled when it has ended
   */
  async stop() {
    const timer = setTimeout(() => this.process.kill('SIGKILL'), GRACE);

    this.process.stdin.end();
    await this.ended;
    clearTimeout(timer);
  }
}

/**
 * Starts what is under test.
 *
 * @param {String[]} command The command and its arguments
 * @param {String} implementation The name of the implementation
 * @param {Setup} setup What all samples share
 * @return {Child} The process
 */
function startSubject(command, implementation, setup) {
  const core = setup.pin === 'one-core' ? setup.cores[0] : undefined;

  return new Child(command, core, implementations[implementation].env);
}

/**
 * Pins the main thread of what is under test. Threads that it has started
 * before (V8's, libuv's) stay free, as they would be on a machine of its own.
 *
 * @param {Child} subject The process
 * @param {Setup} setup What all samples share
 */
function pinMainThread(subject, setup) {
  if (setup.pin !== 'split') return;
  const pid = String(subject.process.pid);

  execFileSync('taskset', ['-p', '-c', setup.cores[0], pid]);
}

/**
 * Starts the load generator.
 *
 * @param {String[]} args Its mode and options
 * @param {Setup} setup What all samples share
 * @return {Child} The process
 */
function startLoad(args, setup) {
  const times = ['--warmup', setup.warmup, '--window', setup.window];

  return new Child(
    [LOAD, ...args, ...times.map(String)],
    setup.pin === 'none' ? undefined : setup.cores[1]
  );
}

/**
 * Measures a server once.
 *
 * @param {Cell} cell The cell
 * @param {String} implementation The name of the implementation
 * @param {Setup} setup What all samples share
 * @return {Promise<Object>} The load generator's result
 */
async function measureServer(cell, implementation, setup) {
  const unix =
    cell.mode === 'unix' && path.join(setup.scratch, `${++sockets}.sock`);
  const command =
    implementation === 'floor'
      ? [LOAD, 'floor', ...(unix ? ['--unix', unix] : [])]
      : [
          setup.node,
          path.join(__dirname, 'server.js'),
          implementation,
          cell.mode,
          cell.work,
          unix || setup.scratch
        ];
  const server = startSubject(command, implementation, setup);
  let load;

  try {
    const { port } = await server.read();
    const address = unix ? ['--unix', unix] : ['--port', String(port)];
    const pid = ['--pid', String(server.process.pid)];

    pinMainThread(server, setup);
    load = startLoad([...cell.load, ...address, ...pid], setup);
    return await load.read();
  } finally {
    if (load) await load.stop();
    await server.stop();
  }
}

/**
 * Measures a client once.
 *
 * @param {Cell} cell The cell
 * @param {String} implementation The name of the implementation
 * @param {Setup} setup What all samples share
 * @return {Promise<Object>} The load generator's result
 */
async function measureClient(cell, implementation, setup) {
  const load = startLoad(cell.load, setup);
  let client;

  try {
    const { port } = await load.read();
    const size = cell.load[cell.load.indexOf('--size') + 1];

    client = startSubject(
      [
        setup.node,
        path.join(__dirname, 'client.js'),
        implementation,
        cell.work,
        String(port),
        size
      ],
      implementation,
      setup
    );
    pinMainThread(client, setup);
    return await load.read();
  } catch (err) {
    if (client?.errors) err.message += `\n${client.errors}`;
    throw err;
  } finally {
    if (client) await client.stop();
    await load.stop();
  }
}

/**
 * One measurement.
 *
 * @typedef {Object} Sample
 * @property {Number} [rate] Messages per second
 * @property {Number} [p50] Median latency in µs
 * @property {Number} [p99] 99th percentile of the latency in µs
 * @property {Number} [cpu] CPU time per message in µs, all threads
 * @property {Number} [mainCpu] The same of the JavaScript thread
 * @property {Number} [loadBusy] Share of a core that the load generator used
 * @property {Number} [bytes] Resident bytes per connection
 * @property {Number} [peakBytes] The same at the peak
 * @property {Number} [idleCpu] CPU time per second of doing nothing, in µs
 */

/**
 * Measures an implementation in a cell once.
 *
 * @param {Cell} cell The cell
 * @param {String} implementation The name of the implementation
 * @param {Setup} setup What all samples share
 * @return {Promise<Sample>} The result
 */
async function measure(cell, implementation, setup) {
  const run = cell.role === 'client' ? measureClient : measureServer;
  const result = await run(cell, implementation, setup);

  if (!result.messages) throw new Error('no messages');

  if (cell.idle) {
    const { bytes, peakBytes, idleCpu } = result;

    return { bytes, peakBytes, idleCpu };
  }

  return {
    rate: result.messages / result.seconds,
    p50: result.p50 ?? undefined,
    p99: result.p99 ?? undefined,
    cpu: result.cpu / result.messages,
    mainCpu: result.mainCpu / result.messages,
    loadBusy: result.loadBusy
  };
}

module.exports = { LOAD, measure };
