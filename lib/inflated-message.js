'use strict';

const { concat } = require('./buffer-util');

/**
 * A message whose frames the extension has decompressed, one after the other.
 */
class InflatedMessage {
  /**
   * Creates an InflatedMessage instance.
   */
  constructor() {
    /** What has become of the frames, as far as it is not empty. */
    this.fragments = [];
    this.length = 0;
  }

  /**
   * The payload.
   *
   * @type {Buffer}
   */
  get data() {
    return concat(this.fragments, this.length);
  }

  /**
   * Adds what has become of a frame.
   *
   * @param {Buffer} part The decompressed payload
   * @param {Number} maxPayload How many bytes the message may have, 0 for no limit
   * @return {Boolean} `false` if it has more
   * @public
   */
  add(part, maxPayload) {
    if (part.length === 0) return true;

    this.length += part.length;
    if (this.length > maxPayload && maxPayload > 0) return false;

    this.fragments.push(part);
    return true;
  }
}

module.exports = InflatedMessage;
