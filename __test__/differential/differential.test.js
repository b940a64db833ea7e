'use strict';

//
// Runs every scenario on ws and on this package, with both of its drivers and
// both ways in which the native one gets connections, and compares what the
// scenarios wrote down, line by line.
//

const { spawn } = require('child_process');
const { deepStrictEqual, ok, strictEqual } = require('assert');
const fs = require('fs');
const path = require('path');
const test = require('node:test');

const RUNNER = path.join(__dirname, 'runner.js');
const SCENARIOS = path.join(__dirname, 'scenarios');
const PACKAGE = path.join(__dirname, '..', '..');

//
// No scenario takes half as long. A process that is silent for so long hangs.
//
const SILENCE = 15000;

const DRIVERS = {
  'native driver': { OXWS_DRIVER: undefined },
  'native driver, adopted sockets': {
    OXWS_DRIVER: undefined,
    DIFFERENTIAL_HASTE: '1'
  },
  'stream driver': { OXWS_DRIVER: 'stream' }
};

/**
 * Runs the scenarios of a file in a process of their own, from a given one on,
 * until the end or until the process dies.
 *
 * @param {String} module The package under test
 * @param {String} file The scenario file
 * @param {Object} env Environment variables
 * @param {Number} skip The number of scenarios to skip
 * @return {Promise<Object>} The logs and, if the process died early, how
 */
function runProcess(module, file, env, skip) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [RUNNER, module, file, `${skip}`], {
      env: { ...process.env, NODE_NO_WARNINGS: '1', ...env },
      stdio: ['ignore', 'pipe', 'pipe']
    });
    const logs = new Map();
    let running = -1;
    let output = '';
    let errors = '';
    let hung = false;
    let timer;

    const watchdog = () => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        hung = true;
        child.kill('SIGKILL');
      }, SILENCE);
    };

    watchdog();
    child.stderr.on('data', (chunk) => (errors += chunk));
    child.stdout.on('data', (chunk) => {
      watchdog();
      output += chunk;
      const lines = output.split('\n');
      output = lines.pop();
      for (const line of lines) {
        if (/^\d+$/.test(line)) running = +line;
        else logs.set(running, JSON.parse(line));
      }
    });
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      const how = hung ? 'hung' : `ended with ${signal || code}`;
      resolve({ logs, running, death: [how, ...errors.split('\n')] });
    });
  });
}

/**
 * Runs all the scenarios of a file. When the process dies, it is started again
 * behind the scenario that was running.
 *
 * @param {String} module The package under test
 * @param {String} file The scenario file
 * @param {Number} count The number of scenarios
 * @param {Object} [env] Environment variables
 * @return {Promise<Object[]>} The logs
 */
async function runFile(module, file, count, env = {}) {
  const result = [];

  while (result.length < count) {
    const { logs, running, death } = await runProcess(
      module,
      file,
      env,
      result.length
    );

    for (const [index, log] of logs) result[index] = log;
    if (result.length < count) {
      result[Math.max(running, result.length)] = { death };
    }
  }

  return result;
}

/**
 * Checks that a scenario has done with ws what it was meant to do.
 *
 * @param {Object} log Its log
 */
function assertComplete(log) {
  strictEqual(log.death, undefined);

  for (const line of log.process || []) {
    ok(!/^(scenario failed|timed out)/.test(line), line);
  }
}

for (const name of fs.readdirSync(SCENARIOS).sort()) {
  const file = path.join(SCENARIOS, name);
  const scenarios = require(file);

  test(`differential: ${path.basename(name, '.js')}`, async (t) => {
    const titles = scenarios.map(({ title }) => title);
    strictEqual(new Set(titles).size, titles.length, 'a title is used twice');

    const [reference, ...results] = await Promise.all([
      runFile('ws', file, titles.length),
      ...Object.values(DRIVERS).map((env) => {
        return runFile(PACKAGE, file, titles.length, env);
      })
    ]);

    for (const [i, driver] of Object.keys(DRIVERS).entries()) {
      for (const [j, title] of titles.entries()) {
        await t.test(`${title} (${driver})`, () => {
          assertComplete(reference[j]);
          deepStrictEqual(results[i][j], reference[j]);
        });
      }
    }
  });
}
