// Mutates the files without I/O in every way that StrykerJS supports, and fails when too many mutants survive.
// usage: node test/mutants/stryker.mjs [--built] [SUBSTRING...]
//   --built    neither set-up nor build
//   SUBSTRING  only files whose path has one of the substrings
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { root, runMain, setUp } from '../../src/build/setup.mjs';
import { run } from '../../src/build/steps/command.mjs';
import { pureFiles } from './pure-files.mjs';

/** The last version for Node 20. Not a devDependency: 166 packages, 64 MB, that no other command needs. */
const version = '9.6.1';
const directory = join(root, 'node_modules/.cache/stryker', version);

async function install() {
  if (existsSync(directory)) return;
  console.log(`installing StrykerJS ${version}`);
  const fresh = `${directory}.${process.pid}`;
  mkdirSync(fresh, { recursive: true });
  try {
    const options = ['--ignore-scripts', '--no-save', '--no-audit', '--no-fund'];
    const name = `@stryker-mutator/core@${version}`;
    await run('npm', ['install', ...options, '--prefix', fresh, name], { cwd: '/' });
    renameSync(fresh, directory); // complete, or missing
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

function chosen(parts) {
  const files = Object.keys(pureFiles).filter(
    (file) => parts.length === 0 || parts.some((part) => file.includes(part)),
  );
  if (files.length === 0) throw new Error('no file matches');
  return files;
}

runMain(async () => {
  const options = { built: { type: 'boolean' } };
  const { values, positionals } = parseArgs({ allowPositionals: true, options });
  const files = chosen(positionals);
  if (!values.built) await setUp();
  await install();
  const program = join(directory, 'node_modules/@stryker-mutator/core/bin/stryker.js');
  const config = join(root, 'test/mutants/stryker-config.mjs');
  const args = [program, 'run', config, '--mutate', files.join(',')];
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
  process.exitCode = status ?? 1;
});
