'use strict';

const { AsyncResource } = require('async_hooks');

/**
 * What the kernel has not taken of a write of a socket or of a frame, and who waits
 * for that.
 */
class Unsent {
  /**
   * Creates an Unsent instance.
   *
   * @param {Function} cb The callback of the write
   */
  constructor(cb) {
    /** The data, in pieces. */
    this.list = [];

    /** Its length in bytes. */
    this.length = 0;

    /**
     * Calls the callback, in the asynchronous context of the write.
     *
     * @param {Error} [err] What has gone wrong, if anything has
     */
    this.cb = (err) => {
      if (!this._isSettled) this._context.emitDestroy();

      this._isSettled = true;
      this._context.runInAsyncScope(cb, null, err);
    };

    this._context = createContext();
    this._isSettled = false;
  }

  /**
   * Takes the current asynchronous context for that of the write: it is that of a
   * frame which was sent before it was handed to the kernel. As in a stream of
   * Node.js, what waits behind it is written, and called back, in that context, too.
   *
   * @public
   */
  enter() {
    if (this._isSettled) return;

    this._context.emitDestroy();
    this._context = createContext();
  }
}

module.exports = Unsent;

/**
 * Remembers the current asynchronous context.
 *
 * @return {AsyncResource} The context
 * @private
 */
function createContext() {
  return new AsyncResource('WRITEWRAP', { requireManualDestroy: true });
}
