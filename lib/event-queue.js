'use strict';

/**
 * Events of a decoder that are to be emitted in turn. An event has the kind and
 * the detail of its row, its payload and, if a message came in several fragments,
 * their lengths.
 */
class EventQueue {
  /**
   * Creates an EventQueue instance.
   */
  constructor() {
    this._list = [];
    this._from = 0;
    this._bytes = 0;
  }

  /**
   * Whether there are no events.
   *
   * @type {Boolean}
   */
  get isEmpty() {
    return this._from === this._list.length;
  }

  /**
   * How many bytes the payloads have of all events but the first.
   *
   * @type {Number}
   */
  get bytesBehind() {
    return this.isEmpty ? 0 : this._bytes - this._list[this._from].data.length;
  }

  /**
   * Adds an event.
   *
   * @param {Object} event The event
   * @public
   */
  push(event) {
    this._list.push(event);
    this._bytes += event.data.length;
  }

  /**
   * Takes the first event out. There has to be one.
   *
   * @return {Object} The event
   * @public
   */
  shift() {
    const event = this._list[this._from++];

    this._bytes -= event.data.length;
    if (this.isEmpty) {
      this._list = [];
      this._from = 0;
    }

    return event;
  }
}

module.exports = EventQueue;
