'use strict';

// Puts the licenses of the crates that are linked into the addon into
// THIRD-PARTY-NOTICES.txt, here and in the packages below `npm/`, and the license
// of oxws into these: `npm run notices`. For a release, and for `npm pack`.

const { execFileSync } = require('child_process');
const fs = require('fs');
const path = require('path');

const NAME = 'THIRD-PARTY-NOTICES.txt';
const root = path.join(__dirname, '..');

/**
 * Lists the crates that are part of the addon on any platform.
 *
 * @return {Object[]} What Cargo says about them
 */
function linkedCrates() {
  const { packages, resolve } = JSON.parse(
    execFileSync('cargo', ['metadata', '--format-version', '1', '--locked'], {
      cwd: root,
      encoding: 'utf8',
      maxBuffer: 64 * 1024 * 1024
    })
  );
  const macros = packages
    .filter(({ targets }) =>
      targets.some(({ kind }) => kind[0] === 'proc-macro')
    )
    .map(({ id }) => id);
  const found = new Set([resolve.root]);

  // The set grows while it is gone through.
  for (const id of found) {
    const { deps } = resolve.nodes.find((node) => node.id === id);
    const normal = deps.filter(({ dep_kinds: kinds }) =>
      kinds.some(({ kind }) => kind === null)
    );

    // Macros run when the addon is built.
    for (const { pkg } of normal) if (!macros.includes(pkg)) found.add(pkg);
  }

  found.delete(resolve.root);
  return packages
    .filter(({ id }) => found.has(id))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/**
 * Reads the licenses that come with a crate; of those that one may choose from,
 * MIT's.
 *
 * @param {Object} crate What Cargo says about it
 * @return {String} Its notice
 */
function notice({ name, version, license, repository, manifest_path: file }) {
  const folder = path.dirname(file);
  const entries = fs
    .readdirSync(folder)
    .filter((entry) => /^(license|licence|copying|notice)/i.test(entry))
    .sort();
  const mit = entries.filter((entry) => /mit/i.test(entry));
  const texts = (license.includes(' OR ') && mit.length > 0 ? mit : entries)
    .map((entry) => path.join(folder, entry))
    .filter((entry) => fs.statSync(entry).isFile())
    .map((entry) => fs.readFileSync(entry, 'utf8').trim());

  return [`${name} ${version}`, license, repository || '', '', ...texts].join(
    '\n'
  );
}

const crates = linkedCrates();
const text = `${crates.map(notice).join(`\n\n${'-'.repeat(72)}\n\n`)}\n`;
const packages = fs
  .readdirSync(path.join(root, 'npm'))
  .map((name) => path.join(root, 'npm', name));

for (const folder of [root, ...packages]) {
  fs.writeFileSync(path.join(folder, NAME), text);
}

for (const folder of packages) {
  fs.copyFileSync(path.join(root, 'LICENSE'), path.join(folder, 'LICENSE'));
}

console.log(`${NAME}: ${crates.map(({ name }) => name).join(', ')}`);
