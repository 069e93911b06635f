// README's test command, what meets the bus and polkit on Debian 13, and some mutants; ends with the counts of all as one line.
import { countsOf, failuresOf, finish, sumOf } from '../test/counts.mjs';
import { runShown } from '../test/shown-command.mjs';

const parts = [
  ['npm', 'test', '--silent'],
  ['node', 'test/distributions/run.mjs', '--suites', 'debian-13'],
  ['node', 'test/mutants/run.mjs', '--built', '--sample', '10'],
];
const results = [];
const failures = [];
for (const [command, ...args] of parts) {
  console.log(`\n== ${command} ${args.join(' ')}`);
  const outcome = await runShown(command, args);
  results.push(countsOf(outcome));
  failures.push(failuresOf(outcome.output));
}
console.log(`\n${failures.filter((text) => text !== '').join('\n')}`);
finish(sumOf(results));
