'use strict';

const fs = require('fs');
const os = require('os');
const path = require('path');
const { execFileSync } = require('child_process');
const { parseArgs } = require('util');

const report = require('./report.js');
const { implementations } = require('./implementations.js');
const { canPin, makeScratch, prepare, versionOf } = require('./prepare.js');
const { measure } = require('./measure.js');
const { cells, select } = require('./cells.js');

// A quick run starts no further round that would end later than this.
const QUICK_LIMIT = 170_000;

const HELP = `npm run bench -- [options]

  --quick           a look within three minutes
  --cells a,b       cells, groups or names within groups (see --list)
  --only a,b        implementations: ${Object.keys(implementations).join(', ')}
  --node <path>     the Node.js to measure with
  --rounds <n>      rounds (5; quick: as many as fit, at most 3)
  --window <ms>     time measured per sample (2000; quick: 400)
  --pin <how>       split: main thread and load on a core each (default);
                    one-core: the whole process on one core; none
  --one-core        the same as --pin one-core
  --cores a,b       the cores to pin to (0,1)
  --no-build        measure oxws as it was built last
  --list            print the names of the cells
`;

/**
 * Splits a list on the command line.
 *
 * @param {String} [text] The list
 * @return {String[]} Its entries
 */
const split = (text) => (text ? text.split(',') : []);

/**
 * Reads the command line.
 *
 * @return {Object} The options
 */
function readOptions() {
  const { values } = parseArgs({
    options: {
      cells: { type: 'string' },
      cores: { type: 'string', default: '0,1' },
      help: { type: 'boolean' },
      list: { type: 'boolean' },
      'no-build': { type: 'boolean' },
      node: { type: 'string', default: process.execPath },
      'one-core': { type: 'boolean' },
      only: { type: 'string' },
      pin: { type: 'string', default: 'split' },
      quick: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      window: { type: 'string' }
    }
  });
  const { quick } = values;
  const cores = split(values.cores);
  const picked = select(split(values.cells));
  const only = split(values.only);
  const unknown = only.find((name) => !implementations[name]);
  const pin = values['one-core'] ? 'one-core' : values.pin;

  if (unknown) throw new Error(`No such implementation: ${unknown}`);
  if (!['split', 'one-core', 'none'].includes(pin)) {
    throw new Error(`--pin ${pin}: not one of split, one-core, none`);
  }
  if (pin !== 'none' && !canPin(cores)) {
    throw new Error('Needs taskset and two cores; otherwise use --pin none');
  }

  return {
    ...values,
    build: !values['no-build'],
    cells: quick && !values.cells ? picked.filter((c) => c.quick) : picked,
    cores,
    names: only.length ? only : Object.keys(implementations),
    part: Boolean(values.cells || values.only),
    pin,
    rounds: Number(values.rounds || (quick ? 3 : 5)),
    warmup: quick ? 200 : 800,
    window: Number(values.window || (quick ? 400 : 2000))
  };
}

/**
 * Finds out which implementations can be measured, and in which versions.
 *
 * @param {Object} options The options
 * @return {Map<String, String>} Versions by name
 */
function findVersions({ names, node }) {
  const versions = new Map();

  for (const name of names) {
    try {
      versions.set(name, versionOf(node, name));
    } catch (err) {
      if (name === 'oxws') throw err;
      console.log(`Without ${name}: ${err.message}`);
    }
  }

  return versions;
}

/**
 * Says where the numbers come from.
 *
 * @param {Object} options The options
 * @param {String} nodeVersion The version of Node.js
 * @param {Map<String, String>} versions Versions by name
 * @param {Number} rounds The rounds that were made
 * @return {String[]} Lines of text
 */
function describe(options, nodeVersion, versions, rounds) {
  const cpus = os.cpus();
  const memory = Math.round(os.totalmem() / 2 ** 30);
  // A folder of this machine means nothing to others.
  const args = process.argv
    .slice(2)
    .map((arg, i, all) => (all[i - 1] === '--node' ? path.basename(arg) : arg));

  return [
    `command: npm run bench -- ${args.join(' ')}`.trim(),
    `machine: ${cpus[0].model}, ${cpus.length} CPUs, ${memory} GiB, ` +
      `${os.type()} ${os.release()} ${os.arch()}`,
    `tcp: ${readCongestionControl()}`,
    `node: ${nodeVersion}`,
    ...[...versions].map(([name, version]) => `${name}: ${version}`),
    `rounds: ${rounds}, warm-up ${options.warmup} ms, ` +
      `window ${options.window} ms, pin ${options.pin}`
  ];
}

/**
 * Reads which congestion control servers use, as it makes a difference even on
 * loopback: BBR paces what is sent.
 *
 * @return {String} Its name
 */
function readCongestionControl() {
  const name = '/proc/sys/net/ipv4/tcp_congestion_control';

  return fs.readFileSync(name, 'utf8').trim();
}

/**
 * Runs one round: every implementation once in every cell. The order changes
 * from round to round, so that no one always goes first.
 *
 * @param {Object} options The options
 * @param {String[]} names The implementations at hand
 * @param {Number} round The number of the round
 * @param {Results} results Where samples are added
 * @return {Promise<Number>} How many samples failed
 */
async function runRound(options, names, round, results) {
  let failures = 0;

  for (const cell of options.cells) {
    const present = cell.implementations.filter((name) => names.includes(name));
    const first = round % (present.length || 1);
    const order = [...present.slice(first), ...present.slice(0, first)];

    if (!results.has(cell.name)) results.set(cell.name, new Map());
    const samples = results.get(cell.name);

    for (const name of order) {
      const label = `round ${round + 1}  ${cell.name}  ${name}`;

      try {
        const sample = await measure(cell, name, options);

        if (!samples.has(name)) samples.set(name, []);
        samples.get(name).push(sample);
        console.log(
          cell.idle
            ? `${label}: ${Math.round(sample.bytes)} B`
            : `${label}: ${Math.round(sample.rate)}/s`
        );
      } catch (err) {
        failures++;
        console.error(`${label}: ${err.message}`);
      }
    }
  }

  return failures;
}

/**
 * Runs the rounds.
 *
 * @param {Object} options The options
 * @param {String[]} names The implementations at hand
 * @param {Number} start When the benchmark was started
 * @return {Promise<Object>} Samples, rounds made and failures
 */
async function runRounds(options, names, start) {
  const results = new Map();
  let failures = 0;
  let round = 0;
  let took = 0;

  while (round < options.rounds) {
    const begin = Date.now();

    if (options.quick && round && begin + took - start > QUICK_LIMIT) break;
    failures += await runRound(options, names, round++, results);
    took = Date.now() - begin;
  }

  return { failures, results, rounds: round };
}

/**
 * Writes the CSV.
 *
 * @param {Object} options The options
 * @param {String} nodeVersion The version of Node.js
 * @param {String} csv The contents
 */
function save(options, nodeVersion, csv) {
  const name = [
    new Date().toISOString().slice(0, 10),
    nodeVersion,
    ...(options.pin === 'split' ? [] : [options.pin]),
    ...(options.part ? ['part'] : options.quick ? ['quick'] : [])
  ].join('-');
  const file = path.join(__dirname, 'results', `${name}.csv`);

  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, csv);
  console.log(`\nWritten to ${path.relative(process.cwd(), file)}`);
}

/**
 * Runs the benchmark.
 */
async function main() {
  const start = Date.now();
  const options = readOptions();

  if (options.help) return void process.stdout.write(HELP);
  if (options.list) {
    for (const { name, title } of cells) {
      console.log(`${name.padEnd(30)} ${title}`);
    }
    return;
  }

  prepare(options.build && options.names.includes('oxws'));

  const node = options.node;
  const nodeVersion = execFileSync(node, ['--version'], {
    encoding: 'utf8'
  }).trim();
  const versions = findVersions(options);
  const scratch = makeScratch();
  let outcome;

  try {
    outcome = await runRounds(
      { ...options, scratch },
      [...versions.keys()],
      start
    );
  } finally {
    fs.rmSync(scratch, { recursive: true });
  }

  const { failures, results, rounds } = outcome;
  const rows = report.toRows(options.cells, results);
  const checks = report.checkTargets(rows, options.pin === 'one-core');
  const notes = describe(options, nodeVersion, versions, rounds);

  console.log(`\n${notes.join('\n')}\n\n${report.toTable(rows)}`);
  if (checks.length) console.log(`\n${report.toTargetTable(checks)}`);
  save(options, nodeVersion, report.toCsv(rows, notes));

  if (failures) {
    console.error(`${failures} samples failed`);
    process.exitCode = 1;
  }
}

main().catch((err) => {
  console.error(err.message);
  process.exitCode = 1;
});
