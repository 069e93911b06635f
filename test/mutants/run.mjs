// Applies small changes of behaviour to the product, one after another, and expects a suite to fail each time.
// usage: node test/mutants/run.mjs [--check] [--built] [--sample N] [SUBSTRING...]
//   --check    only checks whether every mutant can be applied
//   --built    neither set-up nor build
//   --sample N only N of them, others when a source changes; none of the suites below system, which take minutes
//   SUBSTRING  only those whose table, suite or description has one of the substrings
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { root, runMain, setUp } from '../../src/build/setup.mjs';
import { testPackages } from '../packages.mjs';
import { Copy } from './copy.mjs';
import { locate, readMutants } from './table.mjs';

const atOnce = 2;

/** Some of the mutants, selected by the content of the sources, so that a run can be repeated. */
function sampleOf(all, size) {
  const mutants = all.filter(({ suite }) => !suite.startsWith('system/'));
  const hash = createHash('sha256');
  for (const file of new Set(mutants.map((mutant) => mutant.file))) {
    hash.update(readFileSync(join(root, file)));
  }
  const first = hash.digest().readUInt32BE();
  const step = mutants.length / size;
  const at = (index) => (first + Math.floor(index * step)) % mutants.length;
  return Array.from({ length: size }, (_, index) => mutants[at(index)]);
}

/** Runs an action for each item, two at a time, each with its own copy. */
async function withCopies(copies, items, action) {
  const queue = [...items];
  const worker = async (copy) => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift())
      await action(copy, item);
  };
  await Promise.all(copies.map(worker));
}

/** The suites that pass without a mutant; the others prove nothing. */
async function greenSuites(copies, mutants) {
  const green = new Set();
  await withCopies(copies, new Set(mutants.map(({ suite }) => suite)), async (copy, suite) => {
    const { result, output, seconds } = await copy.run(suite);
    console.log(`${result.padEnd(5)} ${suite} without a mutant (${seconds.toFixed(1)} s)`);
    if (result === 'green') green.add(suite);
    else console.log(output);
  });
  return green;
}

async function runAll(copies, mutants) {
  const green = await greenSuites(copies, mutants);
  const survivors = [];
  let killed = 0;
  await withCopies(copies, mutants, async (copy, mutant) => {
    const { table, breaks, suite } = mutant;
    const outcome = green.has(suite)
      ? await copy.runMutant(mutant)
      : { result: 'the suite fails without it', output: '', seconds: 0 };
    const isKilled = outcome.result === 'red';
    if (isKilled) killed++;
    else survivors.push(`${table}: ${breaks} (${suite}: ${outcome.result})`);
    const verdict = isKilled ? 'killed  ' : 'SURVIVED';
    console.log(`${verdict} ${table}: ${breaks} (${suite}, ${outcome.seconds.toFixed(1)} s)`);
    if (!isKilled && outcome.result !== 'green') console.log(outcome.output.slice(-4000));
  });
  return { killed, survivors };
}

async function chosen({ values, positionals }) {
  const { located, problems } = locate(await readMutants());
  if (problems.length > 0)
    throw new Error(`mutants that cannot be applied:\n${problems.join('\n')}`);
  const matching = located.filter(
    ({ table, suite, breaks }) =>
      positionals.length === 0 ||
      positionals.some((part) => [table, suite, breaks].some((text) => text.includes(part))),
  );
  if (matching.length === 0 && !values.check) throw new Error('no mutant matches');
  return values.sample === undefined ? matching : sampleOf(matching, Number(values.sample));
}

runMain(async () => {
  const parsed = parseArgs({
    allowPositionals: true,
    options: {
      check: { type: 'boolean' },
      built: { type: 'boolean' },
      sample: { type: 'string' },
    },
  });
  const mutants = await chosen(parsed);
  if (parsed.values.check) {
    console.log(`${mutants.length} mutants can be applied`);
    return;
  }
  if (!parsed.values.built) await setUp(testPackages);
  const started = Date.now();
  const copies = [];
  for (let index = 0; index < atOnce; index++) copies.push(await Copy.create());
  const { killed, survivors } = await runAll(copies, mutants);
  console.log(`\nin ${Math.round((Date.now() - started) / 1000)} s`);
  for (const survivor of survivors) console.log(`survived: ${survivor}`);
  console.log(`${killed} killed, ${survivors.length} survived`);
  if (survivors.length > 0) process.exitCode = 1;
});
