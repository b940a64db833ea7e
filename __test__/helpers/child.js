'use strict';

const path = require('node:path');
const { spawn } = require('node:child_process');

const { within } = require('./suite');

const fixtures = path.join(__dirname, '..', 'fixtures');

/**
 * A child process that talks to the test in lines of JSON on its stdout.
 */
class Child {
  /**
   * Starts a program, which is killed when the test ends.
   *
   * @param {TestContext} t The context of the test
   * @param {String} command The program
   * @param {String[]} args Its arguments
   * @param {Object} [env] Environment variables to add
   */
  constructor(t, command, args, env) {
    this.exit = null;
    this.lines = [];
    this.stderr = '';

    this._rest = '';
    this._wake = () => {};

    this.process = spawn(command, args, {
      env: { ...process.env, NODE_V8_COVERAGE: undefined, ...env },
      stdio: ['pipe', 'pipe', 'pipe']
    });

    t.after(() => {
      if (this.exit === null) this.process.kill('SIGKILL');
    });

    this.process.stdin.on('error', () => {});
    this.process.stdout.on('data', (chunk) => {
      const lines = (this._rest + chunk).split('\n');

      this._rest = lines.pop();
      this.lines.push(...lines);
      this._wake();
    });
    this.process.stderr.on('data', (chunk) => {
      this.stderr += chunk;
    });
    this.process.on('error', (err) => {
      this.stderr += err.stack;
      this.exit = { code: null, signal: null };
      this._wake();
    });
    this.process.on('close', (code, signal) => {
      this.exit = { code, signal };
      this._wake();
    });
  }

  /**
   * Starts a script of the fixtures folder with Node.js.
   *
   * @param {TestContext} t The context of the test
   * @param {String} name The name of the script
   * @param {String[]} [args] Its arguments
   * @param {Object} [env] Environment variables to add
   * @return {Child} The child process
   */
  static fixture(t, name, args = [], env) {
    return new Child(
      t,
      process.execPath,
      [path.join(fixtures, name), ...args],
      env
    );
  }

  /**
   * The id of the process.
   *
   * @type {Number}
   */
  get pid() {
    return this.process.pid;
  }

  /**
   * Reads the next line.
   *
   * @return {Promise} The value written
   */
  async next() {
    await this._until(() => this.lines.length || this.exit, 'a line');

    if (!this.lines.length) {
      throw new Error(
        `The process ended (${JSON.stringify(this.exit)}) ` +
          `without another line: ${this.stderr}`
      );
    }

    return JSON.parse(this.lines.shift());
  }

  /**
   * Waits for the end of the process.
   *
   * @param {Number} [ms] The deadline in milliseconds
   * @return {Promise<Object>} The exit code and the signal
   */
  async ended(ms) {
    await this._until(() => this.exit, 'the end of the process', ms);
    return this.exit;
  }

  /**
   * Waits until a condition on what the process did holds.
   *
   * @param {Function} condition The condition
   * @param {String} what What is awaited, for the error message
   * @param {Number} [ms] The deadline in milliseconds
   * @return {Promise} A promise for the condition
   */
  async _until(condition, what, ms) {
    const seek = async () => {
      while (!condition()) {
        await new Promise((resolve) => {
          this._wake = resolve;
        });
      }
    };

    try {
      await within(seek(), `${what} of ${this.process.spawnargs[1]}`, ms);
    } catch (err) {
      err.message += `\n${this.stderr}`;
      throw err;
    }
  }
}

module.exports = { Child };
