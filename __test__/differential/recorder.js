'use strict';

const { createHash } = require('crypto');
const { EventEmitter } = require('events');

const MAX_TEXT = 120;
const MAX_DEPTH = 4;

//
// More than any scenario writes: a callback that is called for ever must not
// fill the memory.
//
const MAX_LINES = 10000;

/**
 * Replaces what the operating system chose (port numbers) in a text, so that
 * two runs can be compared.
 *
 * @param {String} text The text
 * @return {String} The text without port numbers
 */
function stable(text) {
  return text
    .replace(/(127\.0\.0\.1|localhost|::1|\[::1\]):\d{2,5}\b/g, '$1:<port>')
    .replace(/[^\s"'(:]*\/oxws-differential-[^/\s"')]+/g, '<tmp>');
}

/**
 * Describes bytes: all of them when they are few, else length and digest.
 *
 * @param {Buffer} bytes The bytes
 * @return {String} The description
 */
function describeBytes(bytes) {
  if (bytes.length > 48) {
    const digest = createHash('sha1').update(bytes).digest('hex');
    return `${bytes.length} sha1:${digest.slice(0, 12)}`;
  }

  const text = bytes.toString('latin1');
  if (/^[\x20-\x7e]*$/.test(text)) return `${bytes.length} ${quote(text)}`;
  return `${bytes.length} 0x${bytes.toString('hex')}`;
}

/**
 * Describes a string.
 *
 * @param {String} text The string
 * @return {String} The description
 */
function quote(text) {
  if (text.length <= MAX_TEXT) return JSON.stringify(stable(text));
  const digest = createHash('sha1').update(text).digest('hex');
  return `String(${text.length} sha1:${digest.slice(0, 12)})`;
}

/**
 * Describes an error: class, message and every own property but the stack.
 *
 * @param {Error} err The error
 * @param {Number} depth The depth at which it was found
 * @return {String} The description
 */
function describeError(err, depth) {
  const parts = [JSON.stringify(stable(String(err.message)))];

  for (const key of Reflect.ownKeys(err)) {
    if (key === 'stack' || key === 'message') continue;
    const value = key === 'port' ? '<port>' : describe(err[key], depth + 1);
    parts.push(`${String(key)}=${value}`);
  }

  return `${err.constructor.name}{${parts.join(' ')}}`;
}

/**
 * Describes an object by its own enumerable properties.
 *
 * @param {Object} value The object
 * @param {Number} depth The depth at which it was found
 * @return {String} The description
 */
function describeObject(value, depth) {
  const proto = Object.getPrototypeOf(value);
  const name = proto === null ? 'null' : proto.constructor.name;
  const prefix = name === 'Object' ? '' : name;

  if (value instanceof EventEmitter) {
    if (typeof value.readyState === 'number') return `${name}#`;
    if (typeof value.statusCode === 'number') {
      return `${name}(${value.statusCode})`;
    }
    return name;
  }

  if (depth >= MAX_DEPTH) return `${prefix}{..}`;

  const entries = Object.keys(value).map((key) => {
    return `${key}: ${describe(value[key], depth + 1)}`;
  });

  return `${prefix}{${entries.join(', ')}}`;
}

/**
 * Describes a DOM-like event: its class and all its fields but the target.
 *
 * @param {Object} event The event
 * @param {Number} depth The depth at which it was found
 * @return {String} The description
 */
function describeEvent(event, depth) {
  const fields = [];

  for (const key in event) {
    if (key === 'target') continue;
    fields.push(`${key}: ${describe(event[key], depth + 1)}`);
  }

  return `${event.constructor.name}{${fields.join(', ')}}`;
}

/**
 * Gives a one-line text for any value, the same in every process.
 *
 * @param {*} value The value
 * @param {Number} [depth=0] The depth at which it was found
 * @return {String} The description
 */
function describe(value, depth = 0) {
  if (value === null) return 'null';

  switch (typeof value) {
    case 'string':
      return quote(value);
    case 'bigint':
      return `${value}n`;
    case 'function':
      return `function ${value.name || '(anonymous)'}/${value.length}`;
    case 'object':
      break;
    default:
      return Object.is(value, -0) ? '-0' : String(value);
  }

  if (value instanceof Error) return describeError(value, depth);
  if (Buffer.isBuffer(value)) return `Buffer(${describeBytes(value)})`;

  if (ArrayBuffer.isView(value)) {
    const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    return `${value.constructor.name}(${describeBytes(bytes)})`;
  }

  if (value instanceof ArrayBuffer) {
    return `ArrayBuffer(${describeBytes(Buffer.from(value))})`;
  }

  if (value instanceof Blob) return `Blob(${value.size} ${quote(value.type)})`;

  if (Array.isArray(value)) {
    return `[${value.map((item) => describe(item, depth + 1)).join(', ')}]`;
  }

  if (value instanceof Set) return `Set${describe([...value], depth)}`;
  if (value instanceof Map) return `Map${describe([...value], depth)}`;

  if ('type' in value && 'target' in value && value.target !== undefined) {
    return describeEvent(value, depth);
  }

  return describeObject(value, depth);
}

/**
 * What a scenario writes down. Lines of one channel are compared in order;
 * nothing is claimed about the order of lines of different channels.
 */
class Recorder {
  /**
   * Creates an empty log.
   */
  constructor() {
    this.channels = {};
    this.sealed = false;
  }

  /**
   * Gets the function that writes to a channel.
   *
   * @param {String} name The name of the channel
   * @return {Function} The function: a label, then values to be described
   */
  channel(name) {
    const log = (label, ...values) => {
      if (this.sealed) return;
      if (this.channels[name] === undefined) this.channels[name] = [];
      const lines = this.channels[name];
      if (lines.length === MAX_LINES) return;
      const texts = values.map((value) => describe(value));
      lines.push([stable(label), ...texts].join(' '));
    };

    log.channel = (other) => this.channel(other);
    return log;
  }
}

module.exports = { Recorder, describe };
