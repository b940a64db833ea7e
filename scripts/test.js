'use strict';

// Runs the JavaScript tests: every `*.test.js` and `*.test.mjs` below
// `__test__/`. What follows `npm test --` goes to Node's test runner, but names
// of test files replace the list.

const { spawnSync } = require('child_process');
const fs = require('fs');
const path = require('path');

const root = path.join(__dirname, '..');

/**
 * Lists the test files below a folder. The runner's own search differs between
 * the Node versions that are supported.
 *
 * @param {String} folder The folder
 * @return {String[]} The paths of the files
 */
function testFiles(folder) {
  return fs
    .readdirSync(folder, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const file = path.join(folder, entry.name);

      if (entry.isDirectory()) {
        return entry.name === 'node_modules' ? [] : testFiles(file);
      }

      return /\.test\.m?js$/.test(entry.name)
        ? [path.relative(root, file)]
        : [];
    });
}

const args = process.argv.slice(2);
const isFile = (arg) => /\.m?js$/.test(arg) && fs.existsSync(arg);
const named = args.filter(isFile).map((arg) => path.resolve(arg));
const files = named.length ? named : testFiles(path.join(root, '__test__'));

if (files.length === 0) {
  console.error('There is no test file in __test__/.');
  process.exit(1);
}

const { status, signal, error } = spawnSync(
  process.execPath,
  [
    '--test',
    // Where several reporters could be the default, the same one everywhere.
    '--test-reporter=spec',
    '--test-timeout=300000',
    ...args.filter((arg) => !isFile(arg)),
    ...files
  ],
  { cwd: root, stdio: 'inherit' }
);

if (error) throw error;
if (signal) console.error(`The test runner ended with ${signal}.`);

process.exitCode = status ?? 1;
