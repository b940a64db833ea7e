'use strict';

const kDone = Symbol('kDone');
const kRun = Symbol('kRun');

/**
 * A queue of asynchronous jobs of which a limited number runs at a time.
 */
class Limiter {
  /**
   * Create a new `Limiter`.
   *
   * @param {Number} [concurrency=Infinity] How many jobs may run at a time
   */
  constructor(concurrency) {
    // One function for all jobs: they do not differ in what their end means.
    this[kDone] = () => {
      this.pending--;
      this[kRun]();
    };
    this.concurrency = concurrency || Infinity;
    this.jobs = [];
    this.pending = 0;
  }

  /**
   * Add a job. It runs at once if there is room.
   *
   * @param {Function} job A function that takes a function to call at the end
   * @public
   */
  add(job) {
    this.jobs.push(job);
    this[kRun]();
  }

  /**
   * Run the job that has waited longest, if there is one and there is room.
   *
   * @private
   */
  [kRun]() {
    if (this.jobs.length === 0 || this.pending === this.concurrency) return;

    this.pending++;
    this.jobs.shift()(this[kDone]);
  }
}

module.exports = Limiter;
