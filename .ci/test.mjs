// README's test command, then what meets the bus and polkit on Debian 13; ends with the counts of both as one line.
import { countsOf, finish, sumOf } from '../test/counts.mjs';
import { runShown } from '../test/shown-command.mjs';

const parts = [
  ['npm', 'test', '--silent'],
  ['node', 'test/distributions/run.mjs', '--suites', 'debian-13'],
];
const results = [];
for (const [command, ...args] of parts) {
  console.log(`\n== ${command} ${args.join(' ')}`);
  results.push(countsOf(await runShown(command, args)));
}
finish(sumOf(results));
