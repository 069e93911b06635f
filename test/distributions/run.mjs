// Runs README's two commands on bare roots of its distributions, from scratch.
// usage: node test/distributions/run.mjs [--suites] [NAME...]
//   NAME      only these, of debian-12 debian-13 ubuntu-24.04
//   --suites  instead of README's commands only the suites that depend on the bus and polkit, on every bus, and those that
//             depend on libraries of tokens and on code generators, on one
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { runMain } from '../../src/build/setup.mjs';
import { run, withLock } from '../../src/build/steps/command.mjs';
import { ensurePackages } from '../../src/build/steps/debian-packages.mjs';
import { requireNode } from '../../src/build/steps/node-version.mjs';
import { countsOf, failure, finish, sumOf } from '../counts.mjs';
import { baseRoot, NotRunnable } from './base-root.mjs';
import { distributions } from './list.mjs';
import { Machine } from './machine.mjs';

const cache = resolve(process.env.IOTEDGE_TEST_CACHE ?? '/var/cache/iotedge-test');
const buses = ['dbus-daemon', 'dbus-broker'];
const suites = [
  'integration/dbus/',
  'integration/service/',
  'integration/interface',
  'integration/clients/',
  'integration/keys/service',
];
/** What depends on the distribution's libraries and code generators, whichever its bus: on the first of them. */
const librarySuites = ['integration/keys/', 'integration/generators'];

const say = (text) => console.log(`\n== ${text}`);

/** The network configuration of this machine's npm. */
async function network() {
  const setting = async (name) => {
    const { stdout } = await run('npm', ['config', 'get', name], { cwd: '/' });
    return /^(null|undefined)?$/.test(stdout.trim()) ? undefined : stdout.trim();
  };
  const proxies = Object.entries(process.env).filter(([name]) => /^(https?|no)_proxy$/i.test(name));
  const certificates = process.env.NODE_EXTRA_CA_CERTS ?? (await setting('cafile'));
  return {
    ...Object.fromEntries(proxies),
    npm_config_registry: await setting('registry'),
    npm_config_prefer_offline: 'true',
    ...(certificates !== undefined && { certificates }),
  };
}

/** Runs README's first command to its end. */
async function demonstrate(machine) {
  const { code, output } = await machine.run(['npm', 'start', '--', '--once']);
  const steps = [1, 2, 3, 4, 5, 6, 7].every((step) => new RegExp(`^${step}  `, 'm').test(output));
  const whole = code === 0 && steps && output.includes('Nothing is left behind.');
  if (!whole) console.log(`npm start ended with ${code}`);
  return whole ? { passed: 1, failed: 0, skipped: 0 } : failure;
}

async function runCommands(machine) {
  return [await demonstrate(machine), countsOf(await machine.run(['npm', 'test']))];
}

async function runSuites(machine) {
  const results = [];
  for (const bus of buses) {
    say(`the suites on ${bus}`);
    const more = results.length === 0 ? librarySuites : ['--built'];
    const command = ['node', 'test/run.mjs', ...suites, ...more];
    results.push(countsOf(await machine.run(command, { IOTEDGE_TEST_BUS: bus })));
  }
  return results;
}

/** The counts of a distribution. */
async function runDistribution(distribution, options) {
  const lower = await baseRoot(distribution, cache, say);
  const machine = new Machine(lower, cache, options.network);
  try {
    say(distribution.title);
    return sumOf(await (options.suites ? runSuites : runCommands)(machine));
  } finally {
    machine.close();
  }
}

/** As `runDistribution`; an optional distribution that the mirror does not have is printed and counted as skipped. */
async function attempt(distribution, options) {
  try {
    return await runDistribution(distribution, options);
  } catch (error) {
    const { message, output = '' } = error;
    if (error instanceof NotRunnable && distribution.mayBeMissing) {
      console.log(`not runnable here: ${distribution.title} (${message})`);
      return { passed: 0, failed: 0, skipped: 1 };
    }
    console.log(`${distribution.title} could not be created: ${message}\n${output}`);
    return failure;
  }
}

function chosen(names) {
  const unknown = names.find((name) => !distributions.some((known) => known.name === name));
  if (unknown !== undefined) throw new Error(`${unknown} is not a known distribution`);
  return distributions.filter(({ name }) => names.length === 0 || names.includes(name));
}

requireNode();
runMain(async () => {
  const args = process.argv.slice(2);
  const wanted = chosen(args.filter((arg) => !arg.startsWith('--')));
  if (process.getuid() !== 0) throw new Error('this creates roots and namespaces: run it as root');
  await ensurePackages(['debootstrap', 'debian-archive-keyring'], say);
  mkdirSync(cache, { recursive: true });
  const options = { suites: args.includes('--suites'), network: await network() };
  const results = [];
  const all = async () => {
    for (const distribution of wanted) results.push(await attempt(distribution, options));
  };
  await withLock(join(cache, 'lock'), all, say);
  finish(sumOf(results));
});
