'use strict';

/**
 * What is to be true of oxws in a cell. All are ratios of medians except
 * `bytes`.
 *
 * @typedef {Object} Targets
 * @property {Number} [rate] Messages per second, at least so many times ws's
 * @property {Number} [p50] Median latency, at most so many times ws's
 * @property {Number} [cpu] CPU time per message, at most so many times that of
 *     uWebSockets.js
 * @property {Number} [bytes] Resident bytes per connection, at most
 * @property {Number} [bytesRatio] The same, at most so many times ws's
 */

/**
 * One cell of the benchmark.
 *
 * @typedef {Object} Cell
 * @property {String} name `<group>/<what is measured>`
 * @property {String} title The same in words, for tables and charts
 * @property {('server'|'client')} role Which side is under test
 * @property {String} [mode] How the server listens
 * @property {String} work What server.js or client.js does
 * @property {String[]} load The mode and options of the load generator
 * @property {Boolean} quick Part of a quick run
 * @property {Boolean} idle Measures memory instead of messages
 * @property {String[]} implementations What is compared
 * @property {String} [cpuCell] The cell with uWebSockets.js's CPU time
 * @property {Targets} targets What is to hold
 */

const WS_LIKE = ['oxws', 'ws', 'ws-native'];
const SERVERS = [...WS_LIKE, 'uws'];
const LIGHT = { rate: 1.2, p50: 0.9, cpu: 1.2 };

/**
 * Splits the options of the load generator.
 *
 * @param {String} text Mode and options, separated by spaces
 * @return {String[]} The arguments
 */
const words = (text) => text.split(' ');

// Name, title, options of the load generator, targets.
const echoes = [
  ['64b-1c', '64 B, 1 connection', '--size 64 --conns 1', LIGHT],
  ['64b-4c', '64 B, 4 connections', '--size 64 --conns 4', LIGHT],
  [
    '64b-64c',
    '64 B, 64 connections',
    '--size 64 --conns 64',
    { rate: 2, cpu: 0.9 }
  ],
  [
    '64b-512c',
    '64 B, 512 connections',
    '--size 64 --conns 512',
    { rate: 2, cpu: 0.9 }
  ],
  [
    '64b-64c-16f',
    '64 B, 64 connections, 16 in flight',
    '--size 64 --conns 64 --inflight 16',
    { rate: 12, cpu: 0.7 }
  ],
  [
    'text-256b-64c',
    'JSON text 256 B, 64 connections',
    '--size 256 --conns 64 --text 1',
    { rate: 1.9, cpu: 0.95 }
  ],
  [
    '16k-16c',
    '16 KiB, 16 connections',
    '--size 16384 --conns 16',
    { rate: 2.2, cpu: 1 }
  ],
  [
    '256k-8c',
    '256 KiB, 8 connections',
    '--size 262144 --conns 8',
    { rate: 3, cpu: 1 }
  ],
  [
    '1m-4c',
    '1 MiB, 4 connections',
    '--size 1048576 --conns 4',
    { rate: 1.6, cpu: 1 }
  ]
];

const messageCells = [
  ...echoes.map(([id, title, options, targets]) => ({
    id: `echo-${id}`,
    title: `echo ${title}`,
    work: 'echo',
    load: words(`echo ${options}`),
    targets
  })),
  {
    id: 'ingest-128b-64c',
    title: 'ingest 128 B, 64 connections',
    work: 'ingest',
    load: words('ingest --size 128 --conns 64 --every 100'),
    targets: { rate: 2, cpu: 0.8 }
  },
  //
  // More than one message at a time, as large as many are. There is no goal but
  // not to be slower than ws.
  //
  {
    id: 'echo-8k-16c-4f',
    title: 'echo 8 KiB, 16 connections, 4 in flight',
    work: 'echo',
    load: words('echo --size 8192 --conns 16 --inflight 4'),
    targets: { rate: 1 },
    quick: false
  },
  {
    id: 'ingest-8k-16c',
    title: 'ingest 8 KiB, 16 connections',
    work: 'ingest',
    load: words('ingest --size 8192 --conns 16 --every 100'),
    targets: { rate: 1 },
    quick: false
  },
  {
    id: 'broadcast-128b-500c',
    title: 'broadcast 128 B to 500 connections',
    work: 'broadcast',
    load: words('broadcast --size 128 --conns 500'),
    targets: { rate: 4 }
  },
  {
    id: 'broadcast-128b-500c-16f',
    title: 'broadcast 128 B to 500 connections, 16 in flight',
    work: 'broadcast',
    load: words('broadcast --size 128 --conns 500 --rounds 16'),
    targets: { rate: 4 }
  }
];

const connectCell = {
  id: 'connect',
  title: 'connect, handshake, close',
  work: 'echo',
  load: words('connect --conns 32'),
  targets: { rate: 2.5, cpu: 1.2 }
};

// Text of which a message can be made that is a quarter or less as long. Goals
// of its own: it is not to be slower than ws, whatever the size.
const deflateCells = [
  ['1k-64c', '1 KiB, 64 connections', '--size 1024 --conns 64', true],
  ['64k-8c', '64 KiB, 8 connections', '--size 65536 --conns 8', false]
].map(([id, title, options, quick]) => ({
  id: `deflate-${id}`,
  title: `echo compressed JSON ${title}`,
  work: 'deflate',
  load: words(`echo ${options} --deflate 1`),
  targets: { rate: 1 },
  quick
}));

const QUICK_ECHO = 'echo-64b-64c';

/**
 * Completes a cell of the server role.
 *
 * @param {String} mode How the server listens
 * @param {Object} cell The cell without what depends on the mode
 * @return {Cell} The cell
 */
function serverCell(mode, cell) {
  const native = mode === 'port' || mode === 'unix';
  const floor = native && cell.work === 'echo' && cell.load[0] === 'echo';

  return {
    ...cell,
    name: `${mode}/${cell.id}`,
    title: mode === 'port' ? cell.title : `${mode}: ${cell.title}`,
    role: 'server',
    mode,
    quick: cell.quick ?? (mode === 'port' || cell.id === QUICK_ECHO),
    idle: false,
    implementations: [
      ...(native ? SERVERS : WS_LIKE),
      ...(floor ? ['floor'] : [])
    ],
    // uWebSockets.js has no such modes: compare with what it needs on a port.
    cpuCell: `${native ? mode : 'port'}/${cell.id}`
  };
}

/**
 * Makes the cells with an https server.
 *
 * @return {Cell[]} The cells
 */
function httpsCells() {
  return ['echo-64b-64c', 'echo-16k-16c'].map((id) => {
    const cell = messageCells.find((other) => other.id === id);

    return {
      ...serverCell('https', cell),
      load: [...cell.load, '--tls', '1'],
      quick: true,
      cpuCell: undefined,
      targets: { rate: 1.15 }
    };
  });
}

/**
 * Makes a cell of the client role.
 *
 * @param {String} work What the client does
 * @param {String} id The cell's name in its group
 * @param {String} title The cell in words
 * @param {String} options Options of the load generator
 * @param {Number} rate The target
 * @return {Cell} The cell
 */
function clientCell(work, id, title, options, rate) {
  return {
    name: `client/${id}`,
    title: `client: ${title}`,
    role: 'client',
    work,
    load: words(`serve ${options}`),
    quick: true,
    idle: false,
    implementations: WS_LIKE,
    targets: { rate }
  };
}

/**
 * Makes a cell that measures memory.
 *
 * @param {String} mode How the server listens
 * @param {Targets} targets What is to hold
 * @return {Cell} The cell
 */
function memoryCell(mode, targets) {
  return {
    name: `memory/${mode}`,
    title: `memory of an idle connection, ${mode}`,
    role: 'server',
    mode,
    work: 'echo',
    load: words('idle --conns 5000 --warm 1000'),
    quick: true,
    idle: true,
    implementations: mode === 'port' ? ['oxws', 'ws', 'uws'] : ['oxws', 'ws'],
    targets
  };
}

const deflateMemoryCell = {
  ...memoryCell('port', { bytesRatio: 1 }),
  name: 'memory/deflate',
  title: 'memory of an idle connection after a compressed message',
  work: 'deflate',
  load: words('idle --conns 1000 --warm 200 --size 1024 --deflate 1'),
  quick: false
};

/** @type {Cell[]} */
const cells = [
  ...[...messageCells, ...deflateCells, connectCell].map((cell) =>
    serverCell('port', cell)
  ),
  ...['server', 'noServer', 'unix'].flatMap((mode) =>
    messageCells.map((cell) => serverCell(mode, cell))
  ),
  // Node.js accepts these connections, which is most of the work.
  ...['server', 'noServer'].map((mode) => ({
    ...serverCell(mode, connectCell),
    targets: { rate: 1 }
  })),
  ...httpsCells(),
  clientCell(
    'receive',
    'receive-128b',
    'receive 128 B flat out',
    '--send 1 --size 128',
    3
  ),
  clientCell(
    'receive',
    'receive-256k',
    'receive 256 KiB flat out',
    '--send 1 --size 262144',
    1.5
  ),
  clientCell('send', 'send-128b', 'send 128 B flat out', '--size 128', 3),
  memoryCell('port', { bytes: 2000 }),
  memoryCell('server', { bytesRatio: 1 }),
  deflateMemoryCell
];

/**
 * Picks cells by full name (`port/connect`), group (`port`) or name within the
 * group (`connect`).
 *
 * @param {String[]} picks The names; none means all
 * @return {Cell[]} The cells, in their usual order
 * @throws {Error} If a name fits no cell
 */
function select(picks) {
  if (!picks.length) return cells;

  /**
   * Tells whether a name means a cell.
   *
   * @param {Cell} cell The cell
   * @param {String} pick The name
   * @return {Boolean} True if it does
   */
  const fits = (cell, pick) =>
    cell.name === pick || cell.name.split('/').includes(pick);

  const unknown = picks.find((pick) => !cells.some((cell) => fits(cell, pick)));
  if (unknown) throw new Error(`No such cell: ${unknown} (see --list)`);
  return cells.filter((cell) => picks.some((pick) => fits(cell, pick)));
}

module.exports = { cells, select };
