'use strict';

//
// Usage: node runner.js <package> <scenario file> [<number to skip>]
//
// A scenario is an object with a title and an asynchronous function
// `run(WebSocket, log, t)`: the class of the package under test, the function
// that writes to the main channel of the log, and the toolbox. What is opened
// through the toolbox is closed when the function is done. Scenarios wait for
// events and not for time, and write down nothing that may differ between two
// runs with ws itself.
//
// Runs the scenarios of one file against one package and writes one line of
// JSON per step to the standard output: a number when the scenario with that
// index starts, its log when it is over. The process that compares the logs
// can so tell which scenario was running when this one died.
//

const fs = require('fs');
const path = require('path');

const { Recorder } = require('./recorder');
const { Toolbox } = require('./toolbox');

const TIME_LIMIT = 5000;

const entry = require.resolve(process.argv[2]);
const WebSocket = require(entry);
const scenarios = require(path.resolve(process.argv[3]));

let current = null;

process.on('uncaughtException', (err, origin) => {
  if (current === null) return;
  if (current.toolbox.onUncaught) current.toolbox.onUncaught(err, origin);
  else current.recorder.channel('process')(origin, err);
});

process.on('warning', (warning) => {
  if (current === null) return;
  current.recorder.channel('process')('warning', warning.message);
});

/**
 * Runs one scenario.
 *
 * @param {Object} scenario The scenario
 * @return {Promise<Object>} Its log
 */
async function runScenario(scenario) {
  const recorder = new Recorder();
  const toolbox = new Toolbox(WebSocket, path.dirname(entry));
  const log = recorder.channel('main');
  let timer;

  current = { recorder, toolbox };

  await Promise.race([
    scenario.run(WebSocket, log, toolbox).catch((err) => {
      recorder.channel('process')('scenario failed', err);
    }),
    new Promise((resolve) => {
      timer = setTimeout(() => {
        recorder.channel('process')('timed out');
        resolve();
      }, TIME_LIMIT);
    })
  ]);

  clearTimeout(timer);
  recorder.sealed = true;
  await toolbox.cleanup();
  return recorder.channels;
}

/**
 * Runs all scenarios, one after the other.
 *
 * @return {Promise} Resolved when they are done
 */
async function main() {
  for (let i = +process.argv[4] || 0; i < scenarios.length; i++) {
    fs.writeSync(1, `${i}\n`);
    const channels = await runScenario(scenarios[i]);
    fs.writeSync(1, `${JSON.stringify(channels)}\n`);
  }

  process.exit();
}

main();
