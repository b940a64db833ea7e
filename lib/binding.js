'use strict';

const fs = require('fs');
const path = require('path');
const { createRequire } = require('module');
const { fileURLToPath } = require('url');

/**
 * The file in which this code is: the one that a bundler has made of it, maybe. That
 * can't contain the addon.
 */
const file = typeof __filename === 'string' ? __filename : findFile();

/**
 * The platforms for which a package with the addon is published, named as in
 * `npm/`.
 */
const PUBLISHED = [
  'darwin-arm64',
  'darwin-x64',
  'linux-arm64-gnu',
  'linux-arm64-musl',
  'linux-x64-gnu',
  'linux-x64-musl',
  'win32-x64-msvc'
];

/**
 * Finds out in which file this code is if that is an ES module, as bundles may be.
 * Stack traces tell, and CommonJS has nothing else that would.
 *
 * @return {String} Its path; that of the program if it can't be found
 */
function findFile() {
  const { stackTraceLimit } = Error;

  Error.stackTraceLimit = 1;

  const { stack } = new Error();

  Error.stackTraceLimit = stackTraceLimit;

  const match = /(file:.*?)(:\d+)*\)?$/.exec(stack);

  return match === null
    ? path.resolve(process.argv[1] || 'program')
    : fileURLToPath(match[1]);
}

/**
 * Tells whether this process runs on musl. The program that is running names
 * its dynamic loader near its beginning, which is cheaper to look at than
 * `process.report` and says what counts: the libc that an addon would be loaded
 * into, not one that happens to be installed too.
 *
 * @return {Boolean} `true` if the C library of the process is musl
 */
function isMusl() {
  const head = Buffer.alloc(4096);

  try {
    const fd = fs.openSync(process.execPath, 'r');

    try {
      fs.readSync(fd, head, 0, head.length, 0);
    } finally {
      fs.closeSync(fd);
    }
  } catch (err) {
    return false;
  }

  return head.includes('/ld-musl-');
}

/**
 * Names the platform as the files and packages of the addon do.
 *
 * @return {String} The name, `linux-x64-gnu` for example
 */
function platformName() {
  const name = `${process.platform}-${process.arch}`;

  if (process.platform === 'linux')
    return `${name}-${isMusl() ? 'musl' : 'gnu'}`;
  if (process.platform === 'win32') return `${name}-msvc`;

  return name;
}

/**
 * Makes the one error that is thrown when there is no usable addon.
 *
 * @param {String} platform The name of the platform
 * @param {Error} cause What the last attempt failed with
 * @return {Error} The error
 */
function unavailable(platform, cause) {
  const lines = [`The native addon of oxws could not be loaded (${platform}).`];

  if (cause.code !== 'MODULE_NOT_FOUND') {
    lines.push(`It was found, but loading it failed: ${cause.message}`);
  } else if (PUBLISHED.includes(platform)) {
    lines.push(
      `The package @oxws/binding-${platform} is missing. It is an optional ` +
        'dependency: install again with optional dependencies allowed, and ' +
        'on this platform, since a lock file or a node_modules folder that ' +
        'was made on another one may lack it.'
    );
  } else {
    lines.push(
      `This platform is not supported. Supported are: ${PUBLISHED.join(', ')}.`
    );
  }

  lines.push(
    'To build it from source, with Rust installed: run "npm ci" and "npm run ' +
      'build" in a checkout of the repository, then "npm pack", and install ' +
      'the resulting file.'
  );

  const err = new Error(lines.join('\n'), { cause });

  err.code = 'ERR_OXWS_ADDON';

  return err;
}

/**
 * Loads the addon: the one that was built in this folder (a checkout, or a
 * package made from one), or that of the package for this platform.
 *
 * @return {Object} The exports of the addon
 * @throws {Error} If there is none, or it can't be loaded
 */
function load() {
  const platform = platformName();
  const local = path.join(path.dirname(file), '..', `oxws.${platform}.node`);

  try {
    return createRequire(file)(
      fs.existsSync(local) ? local : `@oxws/binding-${platform}`
    );
  } catch (err) {
    throw unavailable(platform, err);
  }
}

module.exports = load();
