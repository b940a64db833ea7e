'use strict';

/**
 * Samples of all cells: cell name → implementation → samples.
 *
 * @typedef {Map<String, Map<String, Sample[]>>} Results
 */

/**
 * Medians of one implementation in one cell; `min` and `max` are of the rate.
 *
 * @typedef {Sample & {samples: Number, min: Number, max: Number}} Summary
 */

const FIELDS = [
  'rate',
  'p50',
  'p99',
  'cpu',
  'mainCpu',
  'bytes',
  'peakBytes',
  'idleCpu',
  'loadBusy'
];

const COLUMNS = [
  'cell',
  'implementation',
  'samples',
  'per_second',
  'per_second_min',
  'per_second_max',
  'p50_us',
  'p99_us',
  'cpu_us',
  'js_cpu_us',
  'bytes_per_connection',
  'peak_bytes_per_connection',
  'idle_cpu_us_per_second',
  'load_busy',
  'rate_vs_ws',
  'cpu_vs_uws'
];

/**
 * Finds the median.
 *
 * @param {Number[]} values The values, at least one
 * @return {Number} Their median
 */
function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;

  return sorted.length % 2
    ? sorted[middle]
    : (sorted[middle - 1] + sorted[middle]) / 2;
}

/**
 * Reduces samples to medians.
 *
 * @param {Sample[]} samples The samples, at least one
 * @return {Summary} Their medians
 */
function summarize(samples) {
  const summary = { samples: samples.length };

  for (const field of FIELDS) {
    const values = samples.map((sample) => sample[field]);

    if (values[0] !== undefined) summary[field] = median(values);
  }

  if (summary.rate !== undefined) {
    summary.min = Math.min(...samples.map(({ rate }) => rate));
    summary.max = Math.max(...samples.map(({ rate }) => rate));
  }

  return summary;
}

/**
 * One line of the result: an implementation in a cell.
 *
 * @typedef {Object} Row
 * @property {Cell} cell The cell
 * @property {String} name The implementation
 * @property {Summary} summary Its medians
 * @property {Number} [vsWs] Its rate in times of ws's
 * @property {Number} [cpuVsUws] Its CPU time in times of uWebSockets.js's
 */

/**
 * Makes the rows of the result.
 *
 * @param {Cell[]} cells The cells that were run
 * @param {Results} results Their samples
 * @return {Row[]} The rows
 */
function toRows(cells, results) {
  /**
   * Looks up medians.
   *
   * @param {String} cell The name of the cell
   * @param {String} name The implementation
   * @return {(Summary|undefined)} The medians, if there are samples
   */
  const find = (cell, name) => {
    const samples = results.get(cell)?.get(name);

    return samples && summarize(samples);
  };

  return cells.flatMap((cell) =>
    cell.implementations
      .map((name) => ({ cell, name, summary: find(cell.name, name) }))
      .filter(({ summary }) => summary)
      .map((row) => ({
        ...row,
        vsWs: row.summary.rate / find(cell.name, 'ws')?.rate || undefined,
        cpuVsUws: row.summary.cpu / find(cell.cpuCell, 'uws')?.cpu || undefined
      }))
  );
}

/**
 * Compares oxws with what is to hold.
 *
 * @param {Row[]} rows The rows of the result
 * @param {Boolean} oneCore True if the server had one core: then it is only to
 *     be no slower than ws
 * @return {{cell: String, text: String, met: Boolean}[]} One entry per target
 */
function checkTargets(rows, oneCore) {
  const checks = [];

  for (const { cell, name, summary, vsWs, cpuVsUws } of rows) {
    if (name !== 'oxws') continue;

    const ws = rows.find((row) => row.cell === cell && row.name === 'ws');
    const { rate, p50, cpu, bytes, bytesRatio } = cell.targets;

    /**
     * Adds an entry, unless there is no such target or nothing to compare with.
     *
     * @param {String} what What is compared
     * @param {Number} [value] What was measured
     * @param {String} sign Which way it is to differ
     * @param {Number} [target] The target
     */
    const check = (what, value, sign, target) => {
      if (target === undefined || !(value >= 0)) return;
      checks.push({
        cell: cell.name,
        text: `${what} ${round(value)} (${sign} ${target})`,
        met: sign === '≥' ? value >= target : value <= target
      });
    };

    check('messages/s vs ws', vsWs, '≥', rate && oneCore ? 1 : rate);
    if (!oneCore) {
      check('p50 vs ws', summary.p50 / ws?.summary.p50, '≤', p50);
      check('CPU vs uWebSockets.js', cpuVsUws, '≤', cpu);
    }
    check('bytes per connection', summary.bytes, '≤', bytes);
    check('bytes vs ws', summary.bytes / ws?.summary.bytes, '≤', bytesRatio);
  }

  return checks;
}

/**
 * Shortens a number for reading: three digits, or all of those before the point.
 *
 * @param {Number} [value] The number
 * @return {String} Its text, empty if there is none
 */
function round(value) {
  if (value === undefined) return '';
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en-US');
  return String(Number(value.toPrecision(3)));
}

/**
 * Lays out columns of text, the first two to the left and others to the right.
 *
 * @param {String[][]} lines The cells of each line
 * @return {String} The text
 */
function layOut(lines) {
  const widths = lines[0].map((_, i) =>
    Math.max(...lines.map((line) => line[i].length))
  );

  return lines
    .map((line) =>
      line
        .map((text, i) =>
          i < 2 ? text.padEnd(widths[i]) : text.padStart(widths[i])
        )
        .join('  ')
        .trimEnd()
    )
    .join('\n');
}

/**
 * Writes the rows as a table for people.
 *
 * @param {Row[]} rows The rows of the result
 * @return {String} The table
 */
function toTable(rows) {
  const head = ['cell', 'implementation', 'per second', 'p50 µs', 'p99 µs'];
  const tail = ['CPU µs', 'JS µs', 'vs ws', 'CPU vs uWS', 'load busy', 'bytes'];

  return layOut([
    [...head, ...tail],
    ...rows.map(({ cell, name, summary, vsWs, cpuVsUws }, i) => [
      rows[i - 1]?.cell === cell ? '' : cell.name,
      name,
      ...[summary.rate, summary.p50, summary.p99].map(round),
      ...[summary.cpu, summary.mainCpu, vsWs, cpuVsUws].map(round),
      ...[summary.loadBusy, summary.bytes].map(round)
    ])
  ]);
}

/**
 * Writes the targets as a table for people.
 *
 * @param {Object[]} checks What `checkTargets()` returned
 * @return {String} The table
 */
function toTargetTable(checks) {
  return layOut(
    checks.map(({ cell, text, met }) => [cell, text, met ? 'met' : 'MISSED'])
  );
}

/**
 * Writes the rows as CSV.
 *
 * @param {Row[]} rows The rows of the result
 * @param {String[]} notes Lines about machine and versions
 * @return {String} The contents of the file
 */
function toCsv(rows, notes) {
  const lines = rows.map(({ cell, name, summary, vsWs, cpuVsUws }) => {
    const { samples, rate, min, max, p50, p99, cpu, mainCpu } = summary;
    const { bytes, peakBytes, idleCpu, loadBusy } = summary;
    const values = [rate, min, max, p50, p99, cpu, mainCpu, bytes, peakBytes];

    return [
      cell.name,
      name,
      samples,
      ...[...values, idleCpu, loadBusy, vsWs, cpuVsUws].map((value) =>
        value === undefined ? '' : Number(value.toPrecision(6))
      )
    ].join(',');
  });

  return [
    ...notes.map((note) => `# ${note}`),
    COLUMNS.join(','),
    ...lines,
    ''
  ].join('\n');
}

module.exports = { checkTargets, toCsv, toRows, toTable, toTargetTable };
