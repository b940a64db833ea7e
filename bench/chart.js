'use strict';

/*
 * Draws results as a chart: node bench/chart.js [results.csv [chart.svg]]
 *
 * Without arguments it takes the newest complete results. Each row is a cell;
 * both scales are logarithmic and relative to ws, which is at 1.
 */

const fs = require('fs');
const path = require('path');

const { cells } = require('./cells.js');
const { implementations } = require('./implementations.js');

const RESULTS = path.join(__dirname, 'results');
// `server`, `noServer` and `unix` repeat the cells of `port`: left out.
const GROUPS = ['port', 'https', 'client'];

const WIDTH = 930;
const LABELS = 300;
const GAP = 40;
const PANEL = (WIDTH - LABELS - 2 * GAP) / 2;
const ROW = 24;
const TOP = 96;

// Drawn in this order, so that oxws lies on top.
const SERIES = ['floor', 'ws-native', 'ws', 'uws', 'oxws'];

const STYLE = `
  text { font: 12px system-ui, sans-serif; fill: #1f2328; }
  .title { font-size: 15px; font-weight: 600; }
  .quiet { fill: #59636e; }
  .end { text-anchor: end; }
  .middle { text-anchor: middle; }
  .grid { stroke: #d1d9e0; }
  .one { stroke: #818b98; }
  .oxws { fill: #d55e00; }
  .ws { fill: #6e7781; }
  .ws-native { fill: none; stroke: #6e7781; stroke-width: 1.5; }
  .uws { fill: #0072b2; }
  .floor { fill: none; stroke: #b8860b; stroke-width: 1.5; }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc; }
    .quiet { fill: #9198a1; }
    .grid { stroke: #3d444d; }
    .one { stroke: #9198a1; }
    .oxws { fill: #ff8c3a; }
    .ws { fill: #9198a1; }
    .ws-native { stroke: #9198a1; }
    .uws { fill: #56b4e9; }
    .floor { stroke: #e3b341; }
  }
`;

/**
 * Reads results.
 *
 * @param {String} file A CSV that run.js wrote
 * @return {{notes: String[], rows: Object[]}} Its head and its lines
 */
function readCsv(file) {
  const lines = fs.readFileSync(file, 'utf8').trim().split('\n');
  const notes = lines.filter((line) => line.startsWith('# '));
  const [names, ...values] = lines
    .filter((line) => !line.startsWith('#'))
    .map((line) => line.split(','));

  return {
    notes: notes.map((note) => note.slice(2)),
    rows: values.map((line) =>
      Object.fromEntries(
        line.map((text, i) => [
          names[i],
          i < 2 ? text : text === '' ? undefined : Number(text)
        ])
      )
    )
  };
}

/**
 * Finds the newest complete results.
 *
 * @return {String} The file
 */
function newest() {
  const files = fs
    .readdirSync(RESULTS)
    .filter((name) => /^\d{4}-\d\d-\d\d-v[\d.]+\.csv$/.test(name))
    .sort();

  if (!files.length) throw new Error('No complete results in bench/results');
  return path.join(RESULTS, files.at(-1));
}

/**
 * Writes an element.
 *
 * @param {String} name Its name
 * @param {Object} attributes Its attributes
 * @param {String} [content] The text in it
 * @return {String} The element
 */
function element(name, attributes, content = '') {
  const list = Object.entries(attributes).map(([key, value]) => {
    const text = typeof value === 'number' ? Number(value.toFixed(1)) : value;

    return ` ${key}="${text}"`;
  });
  const escaped = content.replace(/&/g, '&amp;').replace(/</g, '&lt;');

  return `<${name}${list.join('')}>${escaped}</${name}>`;
}

/**
 * Writes text.
 *
 * @param {Number} x Where it begins (or ends, depending on the class)
 * @param {Number} y Its base line
 * @param {String} content The text
 * @param {String} [style] Its classes
 * @return {String} The element
 */
const text = (x, y, content, style = '') =>
  element('text', { x, y, class: style }, content);

/**
 * Draws the mark of an implementation.
 *
 * @param {Number} cx Its center
 * @param {Number} cy Its center
 * @param {String} name The implementation
 * @param {String} [title] What shows when one points at it
 * @return {String} The element
 */
function mark(cx, cy, name, title) {
  const circle = { class: name, cx, cy, r: name === 'oxws' ? 5.5 : 4.5 };
  const inner = title ? element('title', {}, title) : '';

  return element('circle', circle).replace('><', `>${inner}<`);
}

/**
 * Draws one panel of values relative to ws.
 *
 * @param {Number} left Its left edge
 * @param {String} title What is compared
 * @param {String} field The column of the CSV
 * @param {{cell: Cell, rows: Object[]}[]} lines The cells
 * @return {String[]} Elements
 */
function panel(left, title, field, lines) {
  const points = lines.flatMap(({ cell, rows }, i) => {
    const base = rows.find((row) => row.implementation === 'ws')?.[field];

    return rows
      .filter((row) => base && row[field])
      .map((row) => ({ cell, i, row, times: row[field] / base }));
  });
  const logs = points.map(({ times }) => Math.log2(times));
  const low = Math.floor(Math.min(0, ...logs));
  const high = Math.ceil(Math.max(1, ...logs));
  const bottom = TOP + lines.length * ROW;

  /**
   * Places a value.
   *
   * @param {Number} log The logarithm of the value
   * @return {Number} Its position
   */
  const x = (log) => left + ((log - low) / (high - low)) * PANEL;
  const out = [text(left, TOP - 28, title, 'quiet')];

  for (let log = low; log <= high; log++) {
    const at = x(log);
    const label = log < 0 ? `1/${2 ** -log}` : String(2 ** log);

    out.push(
      element('line', {
        class: log === 0 ? 'one' : 'grid',
        x1: at,
        x2: at,
        y1: TOP - 4,
        y2: bottom
      }),
      text(at, TOP - 10, label, 'quiet middle')
    );
  }

  points.sort(
    (a, b) =>
      SERIES.indexOf(a.row.implementation) -
      SERIES.indexOf(b.row.implementation)
  );
  for (const { cell, i, row, times } of points) {
    const { title: name } = implementations[row.implementation];

    out.push(
      mark(
        x(Math.log2(times)),
        TOP + (i + 0.5) * ROW,
        row.implementation,
        `${cell.title}: ${name} ${times.toPrecision(3)}`
      )
    );
  }

  return out;
}

/**
 * Draws the memory of an idle connection as bars, relative to the longest of
 * each cell.
 *
 * @param {Number} top Where to begin
 * @param {Object[]} rows The rows of the CSV
 * @return {{height: Number, out: String[]}} Elements and the room they take
 */
function memory(top, rows) {
  const bars = rows.filter((row) => row.bytes_per_connection > 0);

  if (!bars.length) return { height: 0, out: [] };

  const most = {};

  for (const { cell, bytes_per_connection: bytes } of bars) {
    most[cell] = Math.max(most[cell] || 0, bytes);
  }

  const out = [
    text(LABELS, top + 16, 'resident bytes per idle connection', 'quiet')
  ];

  bars.forEach((row, i) => {
    const y = top + 26 + i * ROW;
    const bytes = row.bytes_per_connection;
    const width = (bytes / most[row.cell]) * (WIDTH - LABELS - GAP - 60);
    const { title } = implementations[row.implementation];
    const mode = row.cell.split('/')[1];

    out.push(
      text(LABELS - 16, y + 12, `${title}, ${mode}`, 'end'),
      element('rect', {
        class: row.implementation,
        x: LABELS,
        y,
        width,
        height: ROW - 8
      }),
      text(
        LABELS + width + 6,
        y + 12,
        Math.round(bytes).toLocaleString('en-US')
      )
    );
  });

  return { height: 40 + bars.length * ROW, out };
}

/**
 * Draws the chart.
 *
 * @param {String[]} notes The head of the CSV
 * @param {Object[]} rows The rows of the CSV
 * @return {String} The SVG
 */
function draw(notes, rows) {
  const lines = cells
    .filter(({ name }) => GROUPS.includes(name.split('/')[0]))
    .map((cell) => ({
      cell,
      rows: rows.filter((row) => row.cell === cell.name)
    }))
    .filter((line) => line.rows.length);
  const bottom = TOP + lines.length * ROW;
  const bars = memory(bottom + 16, rows);
  const height = bottom + 16 + bars.height + 28;
  const present = SERIES.filter((name) =>
    rows.some((row) => row.implementation === name)
  ).reverse();

  /**
   * Finds a line of the head.
   *
   * @param {String} name What the line begins with
   * @return {String} The rest of it
   */
  const note = (name) =>
    notes.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);

  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" ` +
      `role="img" aria-label="Benchmark results relative to ws">`,
    `<style>${STYLE}</style>`,
    text(16, 26, 'Compared with ws (logarithmic, ws = 1)', 'title'),
    ...present.flatMap((name, i) => [
      mark(24 + i * 150, 46, name),
      text(36 + i * 150, 50, implementations[name].title)
    ]),
    ...lines.map(({ cell }, i) =>
      text(LABELS - 16, TOP + (i + 0.5) * ROW + 4, cell.title, 'end')
    ),
    ...panel(
      LABELS,
      'messages per second (right is better)',
      'per_second',
      lines
    ),
    ...panel(
      LABELS + PANEL + GAP,
      'CPU time per message (left is better)',
      'cpu_us',
      lines
    ),
    ...bars.out,
    text(
      16,
      height - 10,
      `Node.js ${note('node')}; ${note('machine')}; rounds: ${parseInt(note('rounds'))}`,
      'quiet'
    ),
    '</svg>',
    ''
  ].join('\n');
}

const [source = newest(), target = path.join(RESULTS, 'chart.svg')] =
  process.argv.slice(2);
const { notes, rows } = readCsv(source);

fs.writeFileSync(target, draw(notes, rows));
console.log(`Written to ${path.relative(process.cwd(), target)}`);
