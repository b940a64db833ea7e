'use strict';

const process = require('process');

/**
 * Whether this is Node.js itself. Other runtimes have its API, and load addons, but
 * what is below that is different.
 */
const isNode =
  process.versions.bun === undefined && process.versions.deno === undefined;

module.exports = { isNode };
