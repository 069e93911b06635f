import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../src/build/steps/command.mjs';
import { aptConfiguration, mirrorOf } from './mirror.mjs';

const nodeMajor = '20';
const arch = { arm: 'armv7l' }[process.arch] ?? process.arch;

/** The root of a distribution cannot be created on this machine, which is not a failure of the product. */
export class NotRunnable extends Error {}

async function download(address, file) {
  // apt's own downloader: it has the machine's proxies and certificates
  await run('/usr/lib/apt/apt-helper', ['download-file', address, file]);
}

/** Whether a mirror has the distribution. */
async function isThere(mirror, suite, folder) {
  const file = join(folder, 'Release');
  rmSync(file, { force: true });
  try {
    await download(`${mirror}/dists/${suite}/Release`, file);
    return new RegExp(`^Codename: ${suite}$`, 'm').test(readFileSync(file, 'utf8'));
  } catch {
    return false;
  }
}

/** Downloads the keyring of a distribution that the machine lacks, and verifies the digest of its package. */
async function keyring(distribution, mirror, folder) {
  const { keyring: wanted } = distribution;
  if (wanted === undefined) return [];
  const file = join(folder, 'keyring.deb');
  await download(`${mirror}/${wanted.package}`, file);
  const found = createHash('sha256').update(readFileSync(file)).digest('hex');
  if (found !== wanted.sha256) throw new Error(`${wanted.package} is not the one that is known`);
  await run('dpkg-deb', ['-x', file, join(folder, 'keyring')]);
  return ['--keyring', join(folder, 'keyring', wanted.file)];
}

/** Installs Node and npm, each from its npm package, with links in PATH. */
async function installNode(distribution, root) {
  const prefix = join(root, 'opt/node');
  mkdirSync(prefix, { recursive: true });
  const node = `node-linux-${arch}`;
  const packages = [`${node}@${nodeMajor}`, `npm@${distribution.npm}`];
  const options = ['--no-save', '--no-audit', '--no-fund', '--ignore-scripts'];
  await run('npm', ['install', '--prefix', prefix, ...options, ...packages]);
  const programs = {
    node: `${node}/bin/node`,
    npm: 'npm/bin/npm-cli.js',
    npx: 'npm/bin/npx-cli.js',
  };
  for (const [name, file] of Object.entries(programs))
    symlinkSync(`/opt/node/node_modules/${file}`, join(root, 'usr/local/bin', name));
}

function configureApt({ distribution, mirror, apt }, root) {
  const components = (distribution.components ?? 'main').replaceAll(',', ' ');
  const line = `deb ${mirror} ${distribution.suite} ${components}\n`;
  writeFileSync(join(root, 'etc/apt/sources.list'), line);
  writeFileSync(join(root, 'etc/apt/apt.conf.d/50machine'), `${apt.join('\n')}\n`);
  // the root need not survive a power failure
  writeFileSync(join(root, 'etc/dpkg/dpkg.cfg.d/50machine'), 'force-unsafe-io\n');
}

/** The inputs of a root. */
async function plan(distribution) {
  const mirror = await mirrorOf(distribution.distributor);
  if (mirror === undefined) throw new NotRunnable('apt uses no archive of Debian or Ubuntu');
  const apt = [...(await aptConfiguration()), 'APT::Keep-Downloaded-Packages "true";'];
  return { distribution, mirror, apt, node: `node-linux-${arch}@${nodeMajor}` };
}

/** debootstrap uses its own downloader, which does not read apt.conf. */
function withProxies(apt) {
  const proxy = /^Acquire::(https?)::Proxy "(\w+:.+)";$/;
  const proxies = apt.flatMap((line) => {
    const [, scheme, address] = proxy.exec(line) ?? [];
    return scheme === undefined ? [] : [[`${scheme}_proxy`, address]];
  });
  return { ...process.env, ...Object.fromEntries(proxies) };
}

async function make(planned, folder) {
  const { distribution, mirror } = planned;
  if (!(await isThere(mirror, distribution.suite, folder)))
    throw new NotRunnable(`the mirror of this machine has no ${distribution.suite}`);
  const root = join(folder, 'lower/root');
  mkdirSync(root, { recursive: true });
  const options = ['--variant=minbase', `--components=${distribution.components ?? 'main'}`];
  options.push('--force-check-gpg', ...(await keyring(distribution, mirror, folder)));
  if (distribution.packages !== undefined)
    options.push(`--include=${distribution.packages.join(',')}`);
  const script = distribution.script === undefined ? [] : [distribution.script];
  const command = [...options, distribution.suite, root, mirror, ...script];
  await run('debootstrap', command, { env: withProxies(planned.apt) });
  configureApt(planned, root);
  await installNode(distribution, root);
}

function contents(file) {
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
}

/**
 * The folder whose only entry `root` is the bare distribution with Node and npm, created unless the cache has one with
 * the same inputs. Throws NotRunnable where the machine's mirror does not have the distribution.
 */
export async function baseRoot(distribution, cache, say) {
  const planned = await plan(distribution);
  const wanted = JSON.stringify(planned);
  const folder = join(cache, distribution.name);
  const stamp = join(folder, 'stamp');
  if (contents(stamp) !== wanted) {
    say(`making a bare root of ${distribution.title}`);
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    await make(planned, folder);
    writeFileSync(stamp, wanted);
  }
  return join(folder, 'lower');
}
