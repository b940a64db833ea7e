'use strict';

const EventEmitter = require('events');
const process = require('process');

/**
 * Whether this is Node.js itself. Other runtimes have its API, and load addons, but
 * what is below that is different.
 */
const isNode =
  process.versions.bun === undefined && process.versions.deno === undefined;

/**
 * Whether `emit()` is Node's own function. A monitoring agent or the `domain` module
 * may have replaced it before this file was loaded.
 */
const hasOwnEmit =
  /^function emit\(type, \.\.\.args\) \{\s+let doError = /.test(
    Function.prototype.toString.call(EventEmitter.prototype.emit)
  );

/** The major version of Node.js, or of its API that another runtime has. */
const nodeMajor = parseInt(process.versions.node, 10);

module.exports = { hasOwnEmit, isNode, nodeMajor };
