// README's test command, what meets the bus and polkit on Debian 13, and some mutants; ends with the counts of all as one line.
import { countsOf, finish, sumOf } from '../test/counts.mjs';
import { runShown } from '../test/shown-command.mjs';

const parts = [
  ['npm', 'test', '--silent'],
  ['node', 'test/distributions/run.mjs', '--suites', 'debian-13'],
  ['node', 'test/mutants/run.mjs', '--built', '--sample', '12'],
];
const results = [];
for (const [command, ...args] of parts) {
  console.log(`\n== ${command} ${args.join(' ')}`);
  results.push(countsOf(await runShown(command, args)));
}
finish(sumOf(results));
