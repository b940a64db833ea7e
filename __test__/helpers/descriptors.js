'use strict';

const fs = require('node:fs');

/**
 * Opens files until the process may open no more.
 *
 * @return {Number[]} Their descriptors
 * @public
 */
function useUpDescriptors() {
  const held = [];

  try {
    for (;;) held.push(fs.openSync('/dev/null'));
  } catch (err) {
    if (err.code !== 'EMFILE') throw err;
  }

  return held;
}

/**
 * Closes files.
 *
 * @param {Number[]} held Their descriptors
 * @public
 */
function giveBackDescriptors(held) {
  for (const fd of held) fs.closeSync(fd);
}

module.exports = { giveBackDescriptors, useUpDescriptors };
