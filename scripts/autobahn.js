'use strict';

// Runs the Autobahn test suite against this package and compares the results
// with __test__/autobahn/expected.json.
//
//   node scripts/autobahn.js [--quick | --full] [--role client|server|both]
//                            [--driver native|stream]
//
// Exit code 0: as expected; 1: not as expected; 2: wrong usage; 77: the suite
// cannot run here. It needs CPython 2.7, found through OXWS_PYTHON2, the PATH
// or pyenv, and a pip of that Python or of a Python 3. What it installs and
// writes is below .cache/autobahn; everything listens on 127.0.0.1 only.

const crypto = require('crypto');
const fs = require('fs');
const os = require('os');
const path = require('path');
const readline = require('readline');
const { fork, spawn, spawnSync } = require('child_process');
const { once } = require('events');
const { parseArgs } = require('util');

const AGENT = 'oxws';
const CACHE = path.join(__dirname, '..', '.cache', 'autobahn');
const FILES = path.join(__dirname, '..', '__test__', 'autobahn');
const VENV = path.join(CACHE, 'venv');
const VENV_PYTHON = path.join(VENV, 'bin', 'python');

// The last version that runs in Python 2.7 itself and needs nothing else.
const VIRTUALENV = 'virtualenv==16.7.12';

// Give up when the fuzzer has not begun another case for this long (in ms).
// The longest cases take half a minute.
const STALL_TIMEOUT = 180000;

// How long the server has to end after the last case (in ms).
const EXIT_TIMEOUT = 10000;

/**
 * The cases of the quick run, or beginnings of their numbers: everything but
 * limits and compression, and of these some of each kind that take little time.
 */
const QUICK = [
  ...['1', '2', '3', '4', '5', '6', '7', '10'],
  ...['9.1.4', '9.2.4', '9.3.1', '9.4.5', '9.5.1', '9.6.3', '9.7.3', '9.8.6'],
  ...['12.1.3', '12.2.4', '12.3.5', '12.4.11', '12.5.6'],
  ...['13.1.1', '13.2.3', '13.3.4', '13.4.4', '13.5.5', '13.6.11', '13.7.6']
];

/**
 * Ends the program because the suite cannot run on this machine.
 *
 * @param {String} reason What is missing
 */
function cannotRun(reason) {
  console.error(`The Autobahn test suite cannot run here: ${reason}`);
  process.exit(77);
}

/**
 * Runs a command to its end.
 *
 * @param {String} command The program
 * @param {String[]} args Its arguments
 * @return {{ ok: Boolean, output: String }} How it went and what it printed
 */
function run(command, args) {
  const { error, status, stderr, stdout } = spawnSync(command, args, {
    encoding: 'utf8',
    env: { ...process.env, PIP_NO_PYTHON_VERSION_WARNING: '1' }
  });

  return {
    ok: status === 0,
    output: error ? error.message : `${stdout}${stderr}`.trim()
  };
}

/**
 * Finds CPython 2.7.
 *
 * @return {?String} The interpreter
 */
function findPython() {
  const versions = path.join(os.homedir(), '.pyenv', 'versions');
  const candidates = [process.env.OXWS_PYTHON2, 'python2.7'];

  if (fs.existsSync(versions)) {
    for (const name of fs.readdirSync(versions)) {
      if (name.startsWith('2.7.'))
        candidates.push(path.join(versions, name, 'bin', 'python2.7'));
    }
  }

  // A file of that name may be a shim of pyenv that runs nothing, so ask it.
  const check =
    'import platform as p; print(p.python_implementation() + p.python_version())';

  return candidates.find((candidate) => {
    return (
      candidate &&
      run(candidate, ['-c', check]).output.startsWith('CPython2.7.')
    );
  });
}

/**
 * Installs the suite unless that was done before, with the same requirements.
 *
 * @param {String} python The interpreter
 */
function install(python) {
  const requirements = path.join(FILES, 'requirements.txt');
  const optional = path.join(FILES, 'requirements-optional.txt');
  const stampFile = path.join(CACHE, 'stamp');
  const stamp = crypto
    .createHash('sha256')
    .update(VIRTUALENV)
    .update(fs.readFileSync(requirements))
    .update(fs.readFileSync(optional))
    .digest('hex');

  if (
    fs.existsSync(stampFile) &&
    fs.readFileSync(stampFile, 'utf8') === stamp &&
    run(VENV_PYTHON, ['--version']).ok
  ) {
    return;
  }

  const tools = path.join(CACHE, 'tools');
  const pip = [python, 'python3'].find((candidate) => {
    return run(candidate, ['-m', 'pip', '--version']).ok;
  });

  if (!pip) cannotRun(`no pip, neither of ${python} nor of python3.`);

  console.log(`Installing the test suite into ${CACHE}`);
  fs.rmSync(stampFile, { force: true });
  fs.rmSync(tools, { force: true, recursive: true });
  fs.rmSync(VENV, { force: true, recursive: true });

  const pipInstall = ['-m', 'pip', 'install', '--no-deps'];
  const steps = [
    [pip, [...pipInstall, '--target', tools, VIRTUALENV]],
    // With the pip and setuptools that virtualenv carries.
    [python, [path.join(tools, 'virtualenv.py'), '--no-download', VENV]],
    [VENV_PYTHON, [...pipInstall, '-r', requirements]],
    [VENV_PYTHON, ['-c', 'import autobahntestsuite']]
  ];

  for (const [command, args] of steps) {
    const { ok, output } = run(command, args);

    if (!ok) {
      console.error(output);
      cannotRun(`"${command} ${args.join(' ')}" failed.`);
    }
  }

  if (!run(VENV_PYTHON, [...pipInstall, '-r', optional]).ok)
    console.log('Without wsaccel, which could not be built');

  fs.writeFileSync(stampFile, stamp);
}

/**
 * Starts the fuzzer.
 *
 * @param {String} mode `server` or `client`
 * @param {String} directory Where the specification and the reports go
 * @param {Object} spec The specification
 * @return {ChildProcess} The process; emits `port` (fuzzing server only)
 */
function startFuzzer(mode, directory, spec) {
  const file = path.join(directory, 'spec.json');

  fs.rmSync(directory, { force: true, recursive: true });
  fs.mkdirSync(directory, { recursive: true });
  fs.writeFileSync(file, JSON.stringify({ ...spec, outdir: directory }));

  const script = path.join(FILES, 'fuzz.py');
  const fuzzer = spawn(VENV_PYTHON, ['-u', script, mode, file], {
    stdio: ['pipe', 'pipe', 'inherit']
  });
  const stalled = setTimeout(() => {
    console.error(`The fuzzer has not gone on for ${STALL_TIMEOUT} ms`);
    fuzzer.stdin.end();
  }, STALL_TIMEOUT);
  let section;

  readline.createInterface({ input: fuzzer.stdout }).on('line', (line) => {
    const [, what, value] = /(LISTENING|case ID) ([\d.]+)/.exec(line) || [];

    if (what === 'LISTENING') {
      fuzzer.emit('port', value);
    } else if (what === 'case ID') {
      stalled.refresh();

      if (parseInt(value, 10) !== section) {
        section = parseInt(value, 10);
        console.log(`  cases ${section}.*`);
      }
    }
  });

  fuzzer.on('exit', () => clearTimeout(stalled));

  return fuzzer;
}

/**
 * Starts the echo agent of a role.
 *
 * @param {String} role The role of this package, `client` or `server`
 * @param {String} driver `native` or `stream`
 * @param {String[]} [args] Arguments
 * @return {ChildProcess} The process
 */
function startAgent(role, driver, args) {
  const env = { ...process.env };

  if (driver === 'stream') env.OXWS_DRIVER = 'stream';
  else delete env.OXWS_DRIVER;

  const agent = fork(path.join(FILES, `${role}.js`), args, { env });

  agent.once('exit', (code, signal) => {
    if (code !== 0) console.error(`The ${role} has ended: ${signal || code}`);
  });

  return agent;
}

/**
 * Runs cases.
 *
 * @param {String} role The role of this package, `client` or `server`
 * @param {String} driver `native` or `stream`
 * @param {String[]} cases The cases
 * @param {String} directory Where the reports go
 * @return {Promise<{ results: Object, stats: ?Object }>} The suite's index of
 *     results by case number, and how many connections each driver has served
 */
async function runCases(role, driver, cases, directory) {
  let stats;

  if (role === 'server') {
    const agent = startAgent(role, driver);
    const port = await new Promise((resolve, reject) => {
      agent.once('message', (message) => resolve(message.port));
      agent.once('exit', () => reject(new Error('The server has no port')));
    });
    const url = `ws://127.0.0.1:${port}`;
    const servers = [{ agent: AGENT, url }];
    const fuzzer = startFuzzer('client', directory, { cases, servers });

    await once(fuzzer, 'exit');

    if (agent.connected) {
      const kill = setTimeout(() => agent.kill('SIGKILL'), EXIT_TIMEOUT);

      agent.once('message', (message) => {
        stats = message.stats;
      });
      agent.send('finish');
      await once(agent, 'exit');
      clearTimeout(kill);
    }
  } else {
    const fuzzer = startFuzzer('server', directory, { cases });

    fuzzer.once('port', (port) => {
      const agent = startAgent(role, driver, [port, AGENT]);

      agent.once('message', (message) => {
        stats = message.stats;
      });
      agent.once('exit', () => fuzzer.stdin.end());
      // Still there only if the fuzzer has died or had to be stopped.
      fuzzer.once('exit', () => agent.kill('SIGKILL'));
    });

    await once(fuzzer, 'exit');
  }

  const index = path.join(directory, 'index.json');
  const agents = fs.existsSync(index)
    ? JSON.parse(fs.readFileSync(index, 'utf8'))
    : {};

  return { results: agents[AGENT] || {}, stats };
}

/**
 * Tells whether a result is good enough. Stricter than expected is: a UTF-8
 * error reported before the end of the message, say.
 *
 * @param {Array} expected Behavior, behavior of the closing, close code
 * @param {Array} actual The same
 * @return {Boolean} `true` if it is
 */
function isAsExpected(expected, actual) {
  return expected.every((value, i) => {
    return (
      value === actual[i] || (value === 'NON-STRICT' && actual[i] === 'OK')
    );
  });
}

/**
 * Prints what is known about a case that failed.
 *
 * @param {String} id The case
 * @param {Array} expected The expected result
 * @param {?Object} result The suite's result, if there is one
 * @param {String} directory Where the reports are
 */
function printFailure(id, expected, result, directory) {
  if (!result) {
    console.log(`FAILED ${id}: no result`);
    return;
  }

  const file = path.join(directory, result.reportfile);
  const report = JSON.parse(fs.readFileSync(file, 'utf8'));
  const actual = JSON.stringify(summary(result));

  console.log(`FAILED ${id}: ${actual} instead of ${JSON.stringify(expected)}`);
  console.log(`  ${report.result}`);
  console.log(`  ${report.resultClose}`);
  for (const row of report.wirelog.slice(-12))
    console.log(`    ${JSON.stringify(row).slice(0, 150)}`);
  console.log(`  ${file}`);
}

/**
 * Reduces a result to what is compared.
 *
 * @param {Object} result A result in the suite's index
 * @return {Array} Behavior, behavior of the closing, close code from this side
 */
function summary(result) {
  return [result.behavior, result.behaviorClose, result.remoteCloseCode];
}

/**
 * Runs one role and compares. That each connection was served by the driver in
 * question counts as one more case.
 *
 * @param {String} role `client` or `server`
 * @param {String} driver `native` or `stream`
 * @param {Boolean} quick Only the quick subset
 * @return {Promise<{ failed: Number, passed: Number }>} How many cases
 */
async function test(role, driver, quick) {
  const all = JSON.parse(
    fs.readFileSync(path.join(FILES, 'expected.json'), 'utf8')
  )[role];
  const cases = Object.keys(all).filter((id) => {
    return !quick || QUICK.some((prefix) => `${id}.`.startsWith(`${prefix}.`));
  });
  const directory = path.join(CACHE, 'reports', `${role}-${driver}`);

  console.log(`${role}, ${driver} driver: ${cases.length} cases`);

  const start = Date.now();
  const { results, stats } = await runCases(role, driver, cases, directory);
  const failed = cases.filter((id) => {
    return !results[id] || !isAsExpected(all[id], summary(results[id]));
  });

  for (const id of failed) printFailure(id, all[id], results[id], directory);

  const isServedAsAsked =
    stats &&
    (driver === 'stream' ? stats.native : stats.stream + stats.spilled) === 0;

  if (!isServedAsAsked) console.log(`FAILED drivers: ${JSON.stringify(stats)}`);

  console.log(`  ${Math.round((Date.now() - start) / 1000)} s`);

  return {
    failed: failed.length + (isServedAsAsked ? 0 : 1),
    passed: cases.length - failed.length + (isServedAsAsked ? 1 : 0)
  };
}

/**
 * Reads the command line.
 *
 * @return {{ driver: String, quick: Boolean, roles: String[] }} What to run
 */
function readArguments() {
  try {
    const { values } = parseArgs({
      options: {
        driver: { type: 'string', default: 'native' },
        full: { type: 'boolean', default: false },
        quick: { type: 'boolean', default: false },
        role: { type: 'string', default: 'both' }
      }
    });
    const roles = values.role === 'both' ? ['client', 'server'] : [values.role];

    if (
      ['native', 'stream'].includes(values.driver) &&
      roles.every((role) => ['client', 'server'].includes(role)) &&
      !(values.full && values.quick)
    ) {
      return { driver: values.driver, quick: !values.full, roles };
    }
  } catch (err) {
    console.error(err.message);
  }

  console.error(
    'Usage: node scripts/autobahn.js [--quick | --full] ' +
      '[--role client|server|both] [--driver native|stream]'
  );
  process.exit(2);
}

/**
 * Runs what the command line asks for.
 */
async function main() {
  const { driver, quick, roles } = readArguments();
  const python = findPython();

  if (!python) {
    cannotRun(
      'CPython 2.7 was found neither through OXWS_PYTHON2 nor as python2.7 ' +
        'on the PATH nor below ~/.pyenv/versions.'
    );
  }

  install(python);

  let failed = 0;
  let passed = 0;

  for (const role of roles) {
    const counts = await test(role, driver, quick);

    failed += counts.failed;
    passed += counts.passed;
  }

  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed > 0 ? 1 : 0;
}

main();
