'use strict';

/**
 * The implementations that the benchmark knows, by name. `env` is added to the
 * environment of their processes: without it ws takes the native helpers that
 * are installed next to it.
 */
const implementations = {
  oxws: { title: 'oxws', env: {} },
  ws: {
    title: 'ws',
    env: { WS_NO_BUFFER_UTIL: '1', WS_NO_UTF_8_VALIDATE: '1' }
  },
  'ws-native': { title: 'ws + bufferutil', env: {} },
  uws: { title: 'uWebSockets.js', env: {} },
  floor: { title: 'epoll floor', env: {} }
};

/**
 * Loads the package of an implementation.
 *
 * @param {String} name The name of the implementation
 * @return {Object} What the package exports
 */
function load(name) {
  switch (name) {
    case 'oxws':
      return require('..');
    case 'ws':
      return require('ws');
    case 'ws-native':
      // ws goes on without them if they can't be loaded; this must not.
      require('bufferutil');
      require('utf-8-validate');
      return require('ws');
    case 'uws':
      return require('uwebsockets');
    default:
      throw new Error(`No package for ${name}`);
  }
}

/**
 * Tells the version of an implementation's package; throws if the package can't
 * be loaded here.
 *
 * @param {String} name The name of the implementation
 * @return {String} The version
 */
function version(name) {
  load(name);

  if (name === 'ws-native') {
    if (require('http').websocketMask) {
      throw new Error('this Node.js masks itself, ws does not use bufferutil');
    }

    return (
      `${require('ws/package.json').version}, ` +
      `bufferutil ${require('bufferutil/package.json').version}`
    );
  }

  if (name === 'oxws') return require('../package.json').version;
  return require(`${name === 'uws' ? 'uwebsockets' : name}/package.json`)
    .version;
}

module.exports = { implementations, load, version };

// `node implementations.js <name>` prints the version, in the Node.js that is to
// run the benchmark.
if (require.main === module) console.log(version(process.argv[2]));
