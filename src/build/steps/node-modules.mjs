import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './command.mjs';
import { useOwnHeaders } from './node-headers.mjs';

/** What node_modules was made from: the two files, the machine and the Node that its addons were built for. */
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

/** npm as the one that started this process, else the one on the path. */
function installedNpm(args, options) {
  const script = process.env.npm_execpath;
  return script?.endsWith('.js')
    ? run(process.execPath, [script, ...args], options)
    : run('npm', args, options);
}

/** npm before 10, which Debian 13 has, cannot read overrides by another package: it fetches the one of Node 20. */
async function npm(root, args) {
  const { stdout } = await installedNpm(['--version']);
  if (Number.parseInt(stdout, 10) >= 10) return installedNpm(args, { cwd: root });
  const newer = ['exec', '--yes', '--package=npm@10', '--', 'npm', '--prefix', root];
  return installedNpm([...newer, ...args], { cwd: '/' });
}

/** Whether an addon of node_modules can be loaded by the running Node; else why not. */
async function loads(root, name) {
  const { code, output } = await run(process.execPath, ['-e', `require('${name}')`], {
    cwd: root,
    check: false,
  });
  return code === 0 ? undefined : output;
}

/** npm may leave an addon unbuilt and report success: builds it once more in the open and fails with the log. */
async function requireAddon(root, name, say) {
  if ((await loads(root, name)) === undefined) return;
  say(`building ${name}`);
  const { output } = await npm(root, ['rebuild', name, '--foreground-scripts']);
  const problem = await loads(root, name);
  if (problem !== undefined) throw new Error(`${name} does not load\n${output}\n${problem}`);
}

/**
 * Installs the packages of the lock file when node_modules is not made from it. Not `npm ci`: that refuses a lock
 * file without the entries of other platforms, which some registries do not have.
 */
export async function installNodeModules(root, say) {
  useOwnHeaders();
  const stamp = join(root, 'node_modules/.iotedge-stamp');
  const wanted = fingerprint(root);
  if (!isCurrent(stamp, wanted)) {
    say('npm install, by the lock file');
    await npm(root, ['install', '--no-save', '--include=dev', '--no-audit', '--no-fund']);
    writeFileSync(stamp, wanted);
  }
  await requireAddon(root, 'pkcs11js', say);
}
