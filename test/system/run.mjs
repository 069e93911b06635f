// Runs the tests of the installed services on the systems that can be booted, one after the other, and builds packages
// for arm64.
// usage: node test/system/run.mjs [--built] [NAME...]
//   --built  neither set-up nor build
//   NAME     only these, of debian-12 debian-13 arm64
import { root, runMain } from '../../src/build/setup.mjs';
import { countsOf, finish, sumOf } from '../counts.mjs';
import { bootedSystems } from '../distributions/list.mjs';
import { runShown } from '../shown-command.mjs';

/** What is run by name: a part of the paths of its test files, and its environment. */
const runs = {
  ...Object.fromEntries(
    Object.keys(bootedSystems).map((name) => [
      name,
      { tests: 'system/booted/', env: { IOTEDGE_TEST_SYSTEM: name } },
    ]),
  ),
  arm64: { tests: 'system/packages/arm64', env: {} },
};

runMain(async () => {
  const args = process.argv.slice(2);
  const chosen = args.filter((arg) => arg !== '--built');
  const unknown = chosen.find((name) => runs[name] === undefined);
  if (unknown !== undefined)
    throw new Error(`${unknown} is none of ${Object.keys(runs).join(', ')}`);
  const results = [];
  for (const name of chosen.length > 0 ? chosen : Object.keys(runs)) {
    console.log(`\n== ${name}`);
    const built = args.includes('--built') || results.length > 0 ? ['--built'] : [];
    const { tests, env: own } = runs[name];
    const command = ['test/run.mjs', ...built, tests];
    const env = { ...process.env, ...own };
    results.push(countsOf(await runShown('node', command, { cwd: root, env })));
  }
  finish(sumOf(results));
});
