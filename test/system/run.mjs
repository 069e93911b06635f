// Runs the tests of the installed services on the systems that can be booted, one after the other.
// usage: node test/system/run.mjs [--built] [NAME...]
//   --built  neither set-up nor build
//   NAME     only these, of debian-12 debian-13
import { root, runMain } from '../../src/build/setup.mjs';
import { countsOf, finish, sumOf } from '../counts.mjs';
import { bootedSystems } from '../distributions/list.mjs';
import { runShown } from '../shown-command.mjs';

runMain(async () => {
  const args = process.argv.slice(2);
  const chosen = args.filter((arg) => arg !== '--built');
  const unknown = chosen.find((name) => bootedSystems[name] === undefined);
  if (unknown !== undefined) throw new Error(`${unknown} is no system that can be booted`);
  const results = [];
  for (const name of chosen.length > 0 ? chosen : Object.keys(bootedSystems)) {
    console.log(`\n== ${name}`);
    const built = args.includes('--built') || results.length > 0 ? ['--built'] : [];
    const command = ['test/run.mjs', ...built, 'system/booted/'];
    const env = { ...process.env, IOTEDGE_TEST_SYSTEM: name };
    results.push(countsOf(await runShown('node', command, { cwd: root, env })));
  }
  finish(sumOf(results));
});
