'use strict';

// Checks the declarations with the TypeScript compiler: `npm run test:types`.
//
// A project is set up in a temporary folder in which this package, as it would
// be published, is installed as `ws`, and every other package that is installed
// here is at hand. `__test__/types/` is compiled there: what programs do with
// ws, and what packages that depend on ws declare. `skipLibCheck` is off.

const { execFileSync, spawnSync } = require('child_process');
const fs = require('fs');
const os = require('os');
const path = require('path');

const root = path.join(__dirname, '..');
const compiler = path.join(root, 'node_modules', 'typescript', 'bin', 'tsc');

// In the order of how telling their errors are.
const projects = [
  'tsconfig.json',
  'tsconfig.bundler.json',
  'tsconfig.merging.json',
  'tsconfig.dependents.json'
];

/**
 * Lists the files with declarations that are published.
 *
 * @return {String[]} The paths, relative to the root
 */
function publishedDeclarations() {
  const [{ files }] = JSON.parse(
    execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
      cwd: root,
      encoding: 'utf8',
      // On Windows npm is a script, which only a shell runs.
      shell: process.platform === 'win32',
      stdio: ['ignore', 'pipe', 'ignore']
    })
  );

  return files.map((file) => file.path).filter((p) => /\.d\.[cm]?ts$/.test(p));
}

/**
 * Lists the installed packages.
 *
 * @param {String} folder The `node_modules` folder
 * @return {String[]} Their names
 */
function installedPackages(folder) {
  return fs
    .readdirSync(folder)
    .filter((name) => !name.startsWith('.'))
    .flatMap((name) =>
      name.startsWith('@')
        ? fs.readdirSync(path.join(folder, name)).map((sub) => `${name}/${sub}`)
        : name
    );
}

/**
 * Sets the project up.
 *
 * @param {String} folder An empty folder
 */
function setUp(folder) {
  const from = path.join(root, 'node_modules');
  const to = path.join(folder, 'node_modules');

  const link = (target, name) => {
    const place = path.join(to, name);

    fs.mkdirSync(path.dirname(place), { recursive: true });
    fs.symlinkSync(target, place, 'junction');
  };

  for (const name of installedPackages(from)) {
    if (name === 'ws') continue;

    // The declarations of others for ws, under a name that no package has.
    link(
      path.join(from, name),
      name === '@types/ws' ? 'published-types' : name
    );
  }

  for (const file of ['package.json', ...publishedDeclarations()]) {
    const place = path.join(to, 'ws', file);

    fs.mkdirSync(path.dirname(place), { recursive: true });
    fs.copyFileSync(path.join(root, file), place);
  }

  fs.cpSync(path.join(root, '__test__', 'types'), path.join(folder, 'types'), {
    recursive: true
  });
}

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'oxws-types-'));

try {
  setUp(folder);

  for (const project of projects) {
    const { status, error } = spawnSync(
      process.execPath,
      [compiler, '--project', path.join('types', project)],
      { cwd: folder, stdio: 'inherit' }
    );

    if (error) throw error;

    console.log(`${project}: ${status === 0 ? 'passed' : 'failed'}`);
    if (status !== 0) process.exitCode = 1;
  }
} finally {
  fs.rmSync(folder, { recursive: true });
}
