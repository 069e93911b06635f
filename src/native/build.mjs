// Builds the addons and the OpenSSL module with the node-gyp that npm brings, against the headers of the running Node.
// usage: node src/native/build.mjs [--asan] [--deadline-ms N] [--only provider|linux] [OUT_DIR]
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, realpathSync } from 'node:fs';
import { copyFile, cp, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, delimiter, dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const here = dirname(fileURLToPath(import.meta.url));

const projects = [
  {
    name: 'provider',
    products: {
      'iotedge_keys_provider.node': 'iotedge_keys_provider.node',
      'iotedge-keys.so': join('ossl-modules', 'iotedge-keys.so'),
    },
  },
  { name: 'linux', products: { 'iotedge_linux.node': 'iotedge_linux.node' } },
];

/** npm has built this one, for this machine only. */
const fromNpm = {
  name: 'pkcs11js',
  source: join(here, '..', '..', 'node_modules', 'pkcs11js'),
  products: { 'pkcs11.node': 'pkcs11.node' },
};

/**
 * Builds what is out of date, into `outDir`: `iotedge_keys_provider.node`, `iotedge_linux.node` and
 * `ossl-modules/iotedge-keys.so`. `asan` instruments the provider with AddressSanitizer, `deadlineMs` limits its calls
 * of the Keys service; both are for tests. `target` is another architecture: its name in Node, and the prefix of its
 * cross compiler; `pkcs11.node` is then built, too. Rejects with the end of the compiler's output.
 */
export async function buildNative({
  outDir,
  asan = false,
  deadlineMs = 30_000,
  only,
  target,
} = {}) {
  const variables = { asan: asan ? 1 : 0, deadline_ms: deadlineMs };
  const all = target === undefined ? projects : [...projects, fromNpm];
  for (const project of all.filter(({ name }) => only === undefined || name === only)) {
    await buildProject(project, { outDir, variables, target });
  }
}

async function buildProject({ name, products, source = join(here, name) }, options) {
  const { outDir, variables, target } = options;
  const work = join(dirname(outDir), `.${basename(outDir)}-native`, name);
  const stamp = join(work, 'stamp');
  const wanted = await fingerprint(source, variables, target);
  const targets = Object.values(products).map((path) => join(outDir, path));
  if (targets.every((path) => existsSync(path)) && (await contents(stamp)) === wanted) return;
  await rm(work, { recursive: true, force: true });
  await mkdir(work, { recursive: true });
  for (const file of await sourcesIn(source)) await cp(join(source, file), join(work, file));
  await compile(work, variables, target);
  for (const [product, path] of Object.entries(products)) {
    await place(join(work, 'build', 'Release', product), join(outDir, path));
  }
  await writeFile(stamp, wanted);
}

/** Replaces the file by a rename, so that running processes keep the one that they have mapped. */
async function place(from, to) {
  const next = `${to}.${process.pid}.new`;
  await mkdir(dirname(to), { recursive: true });
  await copyFile(from, next);
  await rename(next, to);
}

/** The files of a project, as paths below it, without what npm has built there. */
async function sourcesIn(source) {
  const entries = await readdir(source, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => relative(source, join(parentPath, name)))
    .filter((path) => !path.startsWith(`build${sep}`))
    .toSorted();
}

async function fingerprint(source, variables, target) {
  const hash = createHash('sha256').update(
    JSON.stringify([variables, target ?? process.arch, nodeDirectory()]),
  );
  for (const file of await sourcesIn(source)) {
    hash.update(`\0${file}\0`).update(await readFile(join(source, file)));
  }
  hash.update(await readFile(fileURLToPath(import.meta.url)));
  return hash.digest('hex');
}

function contents(path) {
  return readFile(path, 'utf8').catch(() => undefined);
}

async function compile(work, variables, target) {
  const nodedir = nodeDirectory();
  const definitions = Object.entries(variables).map(([name, value]) => `-D${name}=${value}`);
  const options = ['rebuild', '--release', `--directory=${work}`, '--loglevel=error'];
  if (nodedir !== undefined) options.push(`--nodedir=${nodedir}`);
  if (target !== undefined) options.push(`--arch=${target.node}`);
  const compilers = target && { CC: `${target.triplet}-gcc`, CXX: `${target.triplet}-g++` };
  await run(process.execPath, [nodeGyp(), ...options, '--', ...definitions], compilers);
}

/** The prefix with the headers of the running Node; undefined lets node-gyp download them. */
function nodeDirectory() {
  const own = dirname(dirname(realpathSync(process.execPath)));
  return [own, '/usr'].find((prefix) => hasHeaders(prefix));
}

function hasHeaders(prefix) {
  const include = join(prefix, 'include', 'node');
  return existsSync(join(include, 'node_api.h')) && existsSync(join(include, 'common.gypi'));
}

function nodeGyp() {
  const found = npmDirectories()
    .flatMap((npm) => [join(npm, 'node_modules', 'node-gyp'), join(npm, '..', 'node-gyp')])
    .map((directory) => join(directory, 'bin', 'node-gyp.js'))
    .find((file) => existsSync(file));
  if (found === undefined) throw new Error('node-gyp was found neither in npm nor beside it');
  return found;
}

/** Where npm may be installed: the running one, that of this Node, those on PATH, Debian's. */
function npmDirectories() {
  const running = process.env.npm_execpath;
  const programs = (process.env.PATH ?? '')
    .split(delimiter)
    .map((directory) => join(directory, 'npm'));
  return [
    ...(running === undefined ? [] : [dirname(dirname(running))]),
    join(dirname(dirname(realpathSync(process.execPath))), 'lib', 'node_modules', 'npm'),
    ...programs
      .filter((file) => existsSync(file))
      .map((file) => dirname(dirname(realpathSync(file)))),
    '/usr/share/nodejs/npm',
  ];
}

function run(command, args, env = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    const collect = (chunk) => {
      output = (output + chunk).slice(-20_000);
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0) resolve();
      else reject(new Error(`building the native code failed with ${code}:\n${output}`));
    });
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      asan: { type: 'boolean' },
      'deadline-ms': { type: 'string' },
      only: { type: 'string' },
    },
  });
  await buildNative({
    outDir: resolve(positionals[0] ?? join(here, '..', '..', 'dist', 'lib')),
    asan: values.asan,
    deadlineMs: values['deadline-ms'] && Number(values['deadline-ms']),
    only: values.only,
  });
}
