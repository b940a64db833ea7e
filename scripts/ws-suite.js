'use strict';

// Runs the test suite of ws against this package:
//
//   npm run test:ws-suite -- <path to a ws checkout> [part of the test titles]
//
// The tests find the package through `require('..')` and `require('../lib/…')`.
// So that not a byte of them changes, they are copied to a temporary folder
// outside of the repository in which those paths lead here. OXWS_DRIVER=stream
// in the environment forces the stream driver, as it always does.

const { spawnSync } = require('child_process');
const fs = require('fs');
const os = require('os');
const path = require('path');

const root = path.join(__dirname, '..');

// For the whole suite, and for the process to end by itself after it.
const TIME_LIMIT = 10 * 60 * 1000;
const EXIT_LIMIT = 10 * 1000;

/**
 * Writes a module that is another one: the very object, whatever it is.
 *
 * @param {String} from The module to write
 * @param {String} to The module that it stands for
 */
function forward(from, to) {
  fs.writeFileSync(from, `module.exports = require(${JSON.stringify(to)});\n`);
}

/**
 * Lays out the folder in which the suite runs.
 *
 * @param {String} folder An empty folder
 * @param {String} checkout The folder of ws
 * @return {String[]} The paths of the test files
 */
function prepare(folder, checkout) {
  const lib = path.join(folder, 'lib');
  const test = path.join(folder, 'test');

  fs.mkdirSync(lib);
  forward(path.join(folder, 'index.js'), path.join(root, 'index.js'));

  for (const name of fs.readdirSync(path.join(root, 'lib'))) {
    if (name.endsWith('.js')) {
      forward(path.join(lib, name), path.join(root, 'lib', name));
    }
  }

  fs.cpSync(path.join(checkout, 'test'), test, { recursive: true });
  fs.symlinkSync(
    path.join(root, 'node_modules'),
    path.join(folder, 'node_modules'),
    'junction'
  );

  return fs
    .readdirSync(test)
    .filter((name) => name.endsWith('.test.js'))
    .map((name) => path.join(test, name));
}

/**
 * Runs the suite in a process of its own, since it relies on a flag of Node and
 * has to be stopped should it hang.
 *
 * @param {String} checkout The folder of ws
 * @param {String} [grep] Part of the titles of the tests to run
 * @return {Number} The exit code
 */
function main(checkout, grep) {
  if (!checkout || !fs.existsSync(path.join(checkout, 'test'))) {
    console.error('Usage: npm run test:ws-suite -- <path to a ws checkout>');
    return 2;
  }

  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'oxws-ws-suite-'));

  try {
    const files = prepare(folder, path.resolve(checkout));
    const child = spawnSync(
      process.execPath,
      ['--throw-deprecation', __filename, '--run', grep ?? '', ...files],
      { cwd: folder, stdio: 'inherit', timeout: TIME_LIMIT }
    );

    if (child.error) console.error(child.error.message);
    if (child.signal) console.error(`The suite ended with ${child.signal}.`);

    return child.status ?? 1;
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Runs the test files in this process, which ends by itself when the last
 * connection is gone, as it does with ws.
 *
 * @param {String} grep Part of the titles of the tests to run, or nothing
 * @param {String[]} files The paths of the test files
 */
function run(grep, files) {
  const Mocha = require('mocha');
  const mocha = new Mocha();

  for (const file of files) mocha.addFile(file);
  if (grep) mocha.fgrep(grep);

  const runner = mocha.run();

  runner.once('end', () => {
    const timer = setTimeout(() => {
      console.error('The process did not end by itself after the tests.');
      console.error(process.getActiveResourcesInfo().join(', '));
      process.exit(1);
    }, EXIT_LIMIT);

    timer.unref();
  });

  process.on('exit', (code) => {
    const { passes, failures, pending } = runner.stats;

    printDrivers();
    if (pending) console.log(`${pending} skipped`);
    console.log(`${passes} passed, ${failures} failed`);

    // The runner is done only when it says so: an exit in the middle of the
    // suite is a failure.
    const complete = runner.state === 'stopped' && passes > 0;

    process.exitCode = code || (failures || !complete ? 1 : 0);
  });
}

/**
 * Prints how many connections each driver has served.
 */
function printDrivers() {
  const { stats } = require('../lib/native');
  const counts = Object.entries(stats).map(([name, n]) => `${n} ${name}`);

  console.log(`Connections by driver: ${counts.join(', ')}`);
}

if (process.argv[2] === '--run') run(process.argv[3], process.argv.slice(4));
else process.exitCode = main(process.argv[2], process.argv[3]);
