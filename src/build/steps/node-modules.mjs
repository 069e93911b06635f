import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './command.mjs';
import { useOwnHeaders } from './node-headers.mjs';

/** Identifies the input of node_modules: the two files, and the machine and Node that its addons are built for. */
function fingerprint(root) {
  const hash = createHash('sha256');
  for (const name of ['package.json', 'package-lock.json'])
    hash.update(readFileSync(join(root, name)));
  return hash.update(`${process.arch} ${process.versions.modules}`).digest('hex');
}

function isCurrent(stamp, wanted) {
  try {
    return readFileSync(stamp, 'utf8') === wanted;
  } catch {
    return false;
  }
}

/** Runs the npm that started this process, else the one on PATH. */
function installedNpm(args, options) {
  const script = process.env.npm_execpath;
  return script?.endsWith('.js')
    ? run(process.execPath, [script, ...args], options)
    : run('npm', args, options);
}

/** npm before 10, as in Debian 13, cannot read overrides by another package: it then fetches npm 10. */
async function npm(root, args) {
  const { stdout } = await installedNpm(['--version']);
  if (Number.parseInt(stdout, 10) >= 10) return installedNpm(args, { cwd: root });
  const newer = ['exec', '--yes', '--package=npm@10', '--', 'npm', '--prefix', root];
  return installedNpm([...newer, ...args], { cwd: '/' });
}

/** The output of a failed attempt to load an addon of node_modules; undefined when it loads. */
async function loadFailure(root, name) {
  const { code, output } = await run(process.execPath, ['-e', `require('${name}')`], {
    cwd: root,
    check: false,
  });
  return code === 0 ? undefined : output;
}

/** Rebuilds an addon that npm left unbuilt while reporting success; fails with the output of the build. */
async function requireAddon(root, name, report) {
  if ((await loadFailure(root, name)) === undefined) return;
  report(`building ${name}`);
  const { output } = await npm(root, ['rebuild', name, '--foreground-scripts']);
  const problem = await loadFailure(root, name);
  if (problem !== undefined) throw new Error(`${name} does not load\n${output}\n${problem}`);
}

/**
 * Installs the packages of the lock file unless node_modules is current. Not `npm ci`, which refuses a lock file
 * without the entries of other platforms, and some registries lack those.
 */
export async function installNodeModules(root, report) {
  useOwnHeaders();
  const stamp = join(root, 'node_modules/.iotedge-stamp');
  const wanted = fingerprint(root);
  if (!isCurrent(stamp, wanted)) {
    report('npm install, by the lock file');
    await npm(root, ['install', '--no-save', '--include=dev', '--no-audit', '--no-fund']);
    writeFileSync(stamp, wanted);
  }
  await requireAddon(root, 'pkcs11js', report);
}
