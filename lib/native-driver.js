'use strict';

const process = require('process');
const { AsyncResource } = require('async_hooks');
const { isMainThread } = require('worker_threads');

const Outbox = require('./outbox');
const binding = require('./binding');
const runTicks = require('./run-ticks');
const { isNode } = require('./runtime');
const { setImmediate, setTimeout } = require('./scheduling');
const { Inbox, ROW, UPGRADE, isDecoded } = require('./inbox');

//
// What a turn of `src/binding/nest.rs` says besides its events: another one is
// due, connections have not sent their request yet, there was no room for the
// events of all connections, and the last one of those is to go on: what was read
// from it has come to more events.
//
const DUE = 1;
const AWAITED = 2;
const REST = 4;
const SPLIT = 8;

/** Bytes for the heads of the requests of a turn. */
const HEADS_SIZE = 64 * 1024;

/** What is to be handed to the kernel when the process exits. */
const kOutboxes = Symbol.for('oxws.outboxes');

/** For how many milliseconds an engine without work is kept. */
const PATIENCE = 1000;

/** No connection. */
const NOBODY = -1;

/** How many connections are dispatched before replies go out. */
const FLUSH_INTERVAL = 16;

/**
 * Whether this is a process in which there can be an engine. Other runtimes have
 * other sockets, and another event loop.
 */
const isPossible =
  binding.Engine !== undefined &&
  process.env.OXWS_DRIVER !== 'stream' &&
  isNode &&
  typeof process._tickCallback === 'function';

/** The asynchronous context of what the event loop calls. */
let root = null;

/**
 * The native driver of this thread: the engine, its memory, and the batches that
 * it hands over.
 */
const driver = {
  /**
   * The engine. `null` as long as it is not needed, `false` where there can be
   * none.
   */
  engine: isPossible ? null : false,

  /** What is sent through it. */
  outbox: null,

  /**
   * The functions of `native-socket.js`. That is loaded with the engine, since
   * it needs Node's own `net.Socket`.
   */
  sockets: null,

  /** Connections and listeners, by the ids that the engine gives. */
  targets: [],

  /** Those of them that accept connections. */
  listeners: new Set(),

  /**
   * What `WebSocket` does about the events of its connection, and the listener
   * of the `'data'` event of a socket that feeds the receiver.
   */
  callbacks: null,

  /**
   * How many connections were served by the native driver, how many by the
   * stream driver from the beginning, and how many changed over to it.
   */
  stats: { native: 0, stream: 0, spilled: 0 },

  afterBatch,
  close,
  closeSocket,
  closeWhenIdle,
  currentBatch,
  enter,
  inRoot,
  isAhead,
  isCurrent,
  leave,
  reference,
  schedule,
  start
};

module.exports = driver;

/**
 * The memory of the next batch. A turn that a listener brings about, by running
 * the event loop, needs other memory than the one that is being dispatched.
 */
let spareInbox = null;

/**
 * The batch that is being dispatched, if one is: its memory, what is left of its
 * rows, what is to be called after it, and whose events are being handled, by whom.
 */
let batch = null;

/** How many batches there have been. */
let batches = 0;

/** Whose events the last batch has ended with. */
let lastId = NOBODY;

/** The memory that the engine has. */
let lentInbox = null;

/** How many connections it serves, and how many keep the process alive. */
let served = 0;
let referenced = 0;

/** The timer that closes the engine, if that is not needed any more. */
let idleTimer = null;

/** Whether a turn is scheduled that no readiness would call for. */
let scheduled = false;

/**
 * Connections whose `'close'` event is due when those of sockets are: in groups,
 * between which a socket has been closed, and those groups that are yet to be told.
 */
let closing = [];
let finishing = [];
let isGroupClosed = true;

/**
 * Starts the engine, if there can be one and it has not been started.
 *
 * @return {Boolean} Whether there is one
 * @public
 */
function start() {
  if (driver.engine !== null) return driver.engine !== false;

  try {
    const engine = new binding.Engine(turn, finishClosing, goOnWithin);

    driver.engine = Object.assign(engine, engine.calls());
  } catch (err) {
    driver.engine = false;
    return false;
  }

  driver.engine.runOutside(() => {
    root = new AsyncResource('OXWS');
  });

  driver.outbox = new Outbox(driver.engine);
  driver.sockets = require('./native-socket');

  flushAtExit(driver.outbox);
  return true;
}

/**
 * Sees to it that what was sent before the process exits is handed to the kernel,
 * and what is sent from then on at once. One listener does that for all copies of
 * this file: test runners load it again and again.
 *
 * @param {Outbox} outbox What is sent
 * @private
 */
function flushAtExit(outbox) {
  if (process[kOutboxes] === undefined) {
    const outboxes = new Set();
    const flush = () => outboxes.forEach((it) => it.exit());

    Object.defineProperty(process, kOutboxes, { value: outboxes });
    process.prependListener('exit', flush);

    //
    // Who exits in a listener, or has removed all of them, calls this next.
    //
    const { reallyExit } = process;

    if (isMainThread) {
      process.reallyExit = function (code) {
        flush();
        reallyExit.call(this, code);
      };
    }
  }

  process[kOutboxes].add(outbox);
}

/**
 * Counts a connection that is served.
 *
 * @public
 */
function enter() {
  served++;
}

/**
 * Counts a connection that is not served any more.
 *
 * @public
 */
function leave() {
  if (--served === 0) closeWhenIdle();
}

/**
 * Closes the engine when it has had nothing to do for a while: its handle refers
 * to this file, of which there are many copies in the process of a test runner
 * in the course of time.
 *
 * @public
 */
function closeWhenIdle() {
  if (idleTimer !== null || served > 0 || driver.listeners.size > 0) return;

  idleTimer = setTimeout(() => {
    idleTimer = null;

    if (served > 0 || driver.listeners.size > 0) return;

    if (
      driver.engine.isTurning() ||
      scheduled ||
      closing.length > 0 ||
      finishing.length > 0
    ) {
      closeWhenIdle();
      return;
    }

    process[kOutboxes].delete(driver.outbox);
    driver.engine.close();
    driver.outbox.close();
    driver.engine = null;
    driver.targets = [];
    spareInbox = lentInbox = null;
  }, PATIENCE);
  idleTimer.unref();
}

/**
 * Counts the connections that keep the process alive.
 *
 * @param {Number} change How many more there are
 * @public
 */
function reference(change) {
  const before = referenced;

  referenced += change;
  if ((before === 0) !== (referenced === 0)) {
    driver.engine.setReferenced(referenced !== 0);
  }
}

/**
 * Schedules a turn that no readiness would call for.
 *
 * @public
 */
function schedule() {
  if (scheduled) return;

  scheduled = true;
  setImmediate(() => {
    const { engine } = driver;

    scheduled = false;
    engine.beginTurn();
    inRoot(turn);
    engine.endTurn();
  });
}

/**
 * Has the `'close'` event of a connection emitted when those of sockets are.
 *
 * @param {NativeConnection} connection The connection
 * @public
 */
function close(connection) {
  if (isGroupClosed) {
    isGroupClosed = false;
    closing.push([]);
    driver.engine.awaitClosing();
  }

  closing[closing.length - 1].push(connection);
}

/**
 * Takes note that a socket is closed: connections that are closed from now on are so
 * after it.
 *
 * @public
 */
function closeSocket() {
  isGroupClosed = true;
}

/**
 * Calls a function in the asynchronous context of what the event loop calls.
 *
 * @param {Function} fn The function
 * @return {*} What it returns
 * @public
 */
function inRoot(fn) {
  return root.runInAsyncScope(fn);
}

/**
 * Takes the events of all connections that are ready from the engine and
 * dispatches them. That takes several batches if they are many.
 *
 * @private
 */
function turn() {
  let result = turnOnce(NOBODY);

  while ((result & REST) !== 0) {
    if ((result & SPLIT) === 0) {
      runAllTicks();
      result = turnOnce(NOBODY);
    } else {
      result = turnOnce(lastId);
    }
  }

  //
  // After what the listeners have scheduled.
  //
  if ((result & DUE) !== 0) schedule();

  if ((result & AWAITED) !== 0) {
    for (const listener of driver.listeners) listener.watchSilence();
  }
}

/**
 * The number of the batch that is being dispatched.
 *
 * @return {Number} The number; 0 if there is none
 * @public
 */
function currentBatch() {
  return batch === null ? 0 : batches;
}

/**
 * Whether there are events of a connection in what is left of the batch.
 *
 * @param {Number} id The id of the connection
 * @return {Boolean} `true` if there are
 * @public
 */
function isAhead(id) {
  if (batch === null) return false;

  const { rows } = batch.inbox;

  for (let i = batch.next; i < batch.end; i += ROW) {
    if (rows[i] === id) return true;
  }

  return false;
}

/**
 * Whether the events that are being handled are those of a connection.
 *
 * @param {Number} id The id of the connection
 * @return {Boolean} `true` if they are
 * @public
 */
function isCurrent(id) {
  return batch !== null && batch.id === id;
}

/**
 * Calls a function when the batch has been dispatched; at once if there is none.
 *
 * @param {Function} fn The function
 * @public
 */
function afterBatch(fn) {
  if (batch === null) fn();
  else batch.later.push(fn);
}

/**
 * Takes a batch of events from the engine and dispatches it.
 *
 * @param {Number} goesOn Whose events the last batch has ended within; there are no
 *     ticks between them
 * @return {Number} What the engine says besides
 * @private
 */
function turnOnce(goesOn) {
  const { outbox } = driver;
  const inbox = spareInbox || new Inbox(HEADS_SIZE);

  spareInbox = null;
  if (inbox.prepare() || inbox !== lentInbox) {
    lentInbox = inbox;
    driver.engine.lendInbox(inbox.rows, inbox.slab, inbox.used, inbox.heads);
  }

  const count = driver.engine.turn();
  const { rows } = inbox;
  const result = rows[2];
  let sinceFlush = goesOn === NOBODY ? 0 : FLUSH_INTERVAL - 1;

  inbox.commit(driver.engine);
  outbox.dispatching = true;

  const outer = batch;
  const end = (count + 1) * ROW;
  const it = { inbox, next: ROW, end, later: [], id: NOBODY, target: null };

  batches++;
  batch = it;

  try {
    if (goesOn !== NOBODY && rows[ROW] !== goesOn) {
      outbox.advance();
      runAllTicks();
    }

    while (it.next < end) {
      dispatchNext();

      if (it.next < end) {
        if (++sinceFlush === FLUSH_INTERVAL) {
          sinceFlush = 0;
          outbox.flush();
        }

        outbox.advance();
        runAllTicks();
      }
    }
  } finally {
    lastId = count === 0 ? NOBODY : rows[end - ROW];
    batch = outer;
    inbox.release();
    spareInbox = inbox;
    outbox.dispatching = outer !== null;
  }

  callAll(it.later);

  //
  // What is sent because of one read leaves together.
  //
  if ((result & SPLIT) === 0) {
    outbox.flush();
    outbox.advance();
  }

  return result;
}

/**
 * Dispatches the next events of the batch: those of one connection that are one read,
 * or one of something else.
 *
 * @private
 */
function dispatchNext() {
  const { end, id: outerId, inbox, next: i, target: outerTarget } = batch;
  const { rows } = inbox;
  const id = rows[i];
  let next = i + ROW;

  //
  // With libuv there is a callback for each read and for the end, and for each
  // connection that is handed over by a listener.
  //
  if ((rows[i + 1] & 0xff) < UPGRADE) {
    while (
      next < end &&
      rows[next] === id &&
      isDecoded(rows[next + 1] & 0xff)
    ) {
      next += ROW;
    }
  }

  //
  // A connection that asks to be let in is nobody yet.
  //
  const isNew = (rows[i + 1] & 0xff) === UPGRADE;
  const target = driver.targets[isNew ? rows[i + 1] >>> 8 : id];

  batch.next = next;
  if (target === null || target === undefined) return;

  const { isHeld } = target;

  batch.id = id;
  batch.target = target;

  try {
    target.dispatch(inbox, i, next);
  } catch (err) {
    binding.fatalException(err);
  }

  batch.id = outerId;
  batch.target = outerTarget;

  if (target.isHeld && !isHeld) target.letGo();
}

/**
 * Goes on where a listener runs the event loop, in each iteration of that: what was
 * sent leaves, and the rest of the batch is dispatched. The connection of the
 * listener has to wait, as a receiver does whose `write()` is under way.
 *
 * @private
 */
function goOnWithin() {
  driver.outbox.flush();
  if (batch === null) return;

  const { end, inbox, target } = batch;

  if (target !== null && !target.isHeld) target.hold();

  while (batch.next < end) {
    const next = driver.targets[inbox.rows[batch.next]];

    if (next && next.isHeld) break;
    dispatchNext();
  }
}

/**
 * Calls functions, each as if by a callback of its own.
 *
 * @param {Function[]} list The functions
 * @private
 */
function callAll(list) {
  for (const fn of list) {
    runAllTicks();

    try {
      fn();
    } catch (err) {
      binding.fatalException(err);
    }
  }
}

/**
 * Emits the `'close'` events that are due, the last one first: that is the order
 * in which libuv closes handles.
 *
 * @private
 */
function finishClosing() {
  if (finishing.length === 0) {
    finishing = closing;
    closing = [];
    isGroupClosed = true;
  }

  const list = finishing.pop();

  for (let i = list.length - 1; i >= 0; i--) {
    try {
      list[i].finish();
    } catch (err) {
      binding.fatalException(err);
    }

    if (i > 0) runAllTicks();
  }
}

/**
 * Runs ticks and microtasks between the events of two connections, or reads: with
 * ws each has a callback of its own, after which they run.
 *
 * @private
 */
function runAllTicks() {
  for (;;) {
    try {
      runTicks();
      return;
    } catch (err) {
      //
      // Thrown by one of them. The others are still to be run.
      //
      binding.fatalException(err);
    }
  }
}
