'use strict';

const fs = require('fs');
const os = require('os');
const path = require('path');
const { execFileSync } = require('child_process');

const { LOAD } = require('./measure.js');
const { dependencies } = require('./package.json');

const ROOT = path.dirname(__dirname);

/**
 * Runs a command and shows what it prints.
 *
 * @param {String} file The command
 * @param {String[]} args Its arguments
 * @param {String} cwd The folder to run it in
 */
function run(file, args, cwd) {
  console.log(`> ${file} ${args.join(' ')}`);
  execFileSync(file, args, { cwd, stdio: 'inherit' });
}

/**
 * Tells whether the packages to compare with are installed.
 *
 * @return {Boolean} True if all are there in the versions asked for
 */
function hasPeers() {
  return Object.entries(dependencies).every(([name, version]) => {
    const file = path.join(__dirname, 'node_modules', name, 'package.json');

    return (
      fs.existsSync(file) &&
      JSON.parse(fs.readFileSync(file, 'utf8')).version === version
    );
  });
}

/**
 * Builds and installs what the benchmark needs.
 *
 * @param {Boolean} build True to build oxws too
 */
function prepare(build) {
  const load = path.join(__dirname, 'load');

  run(
    'cargo',
    ['build', '--release', '--quiet', '--target-dir', 'target'],
    load
  );
  if (!hasPeers()) {
    run(
      'npm',
      ['install', '--no-package-lock', '--no-audit', '--no-fund'],
      __dirname
    );
  }
  if (build) run('npm', ['run', 'build', '--silent'], ROOT);
}

/**
 * Checks that processes can be confined to cores here.
 *
 * @param {String[]} cores The cores
 * @return {Boolean} True if they can
 */
function canPin(cores) {
  try {
    execFileSync('taskset', ['-c', cores.join(','), 'true'], { stdio: 'pipe' });
    return cores.length === 2 && os.cpus().length > 1;
  } catch (err) {
    return false;
  }
}

/**
 * Makes a folder for sockets, with a certificate in it.
 *
 * @return {String} The folder; whoever asks removes it
 */
function makeScratch() {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'oxws-bench-'));

  execFileSync(LOAD, ['cert', '--dir', dir]);
  return dir;
}

/**
 * Asks for the version of an implementation, in the Node.js that is to run it.
 *
 * @param {String} node The Node.js
 * @param {String} name The name of the implementation
 * @return {String} The version
 * @throws {Error} If it can't be used there; the message says why in a line
 */
function versionOf(node, name) {
  if (name === 'floor') return '-';

  const file = path.join(__dirname, 'implementations.js');

  try {
    return execFileSync(node, [file, name], {
      encoding: 'utf8',
      stdio: 'pipe'
    }).trim();
  } catch (err) {
    const line = /^\w*Error.*$/m.exec(err.stderr);

    throw new Error(line ? line[0] : err.message, { cause: err });
  }
}

module.exports = { canPin, makeScratch, prepare, versionOf };
