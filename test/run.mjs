// Sets the machine up, runs every compiled test file in its own process and ends with `N passed, N failed`.
// usage: node test/run.mjs [--built] [--soak] [SUBSTRING...]
//   --built    neither set-up nor build
//   --soak     only tests that can run longer or with more values, 100 times as many; takes hours
//   SUBSTRING  only files whose path has one of the substrings; without any, those of `onlyNamed` are left out
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { requireNode } from '../src/build/steps/node-version.mjs';

requireNode();
const { runMain, setUp } = await import('../src/build/setup.mjs');
const { runTestFile } = await import('./support/test-process.mjs');
const { failuresBegin, failuresEnd, finish } = await import('./counts.mjs');
const { sampledSystem } = await import('./distributions/list.mjs');
const { testPackages } = await import('./packages.mjs');
const { scheduleOf } = await import('./schedule.mjs');
const { summaryOf } = await import('./support/suite-summary.mjs');

const root = fileURLToPath(new URL('..', import.meta.url));
const compiled = join(root, 'dist/test');
const ending = '.test.js';
/** Tests wait for half of their time: for deadlines, processes and the disk. One file that only waits runs beside them. */
const atOnce = availableParallelism() + 1;
const soakDeadlineMs = 4 * 3_600_000;

/** Their tests create users, namespaces and containers. */
const needsRoot = (file) => /^(integration|system)\//.test(relative(compiled, file));

/** It installs a cross compiler and takes minutes; test/system/run.mjs names it. */
const onlyNamed = /^system\/packages\/arm64\.test\.js$/;

function testFiles(filters) {
  return readdirSync(compiled, { recursive: true })
    .map((name) => join(compiled, name))
    .filter((file) => file.endsWith(ending))
    .filter((file) => {
      const path = relative(compiled, file);
      if (filters.length === 0) return !onlyNamed.test(path);
      return filters.some((part) => path.includes(part));
    });
}

/** Whether a soak tries more (test/support/property.ts, also by the model of a module), or takes longer. */
const canSoak = (file) =>
  /support\/(property\.js|modules\/model\/)|IOTEDGE_TEST_OUTAGE_S/.test(readFileSync(file, 'utf8'));

/** The number of tests that a file declares; fewer runs mean that it stopped early. Loops add tests, never remove them. */
function declaredTests(file) {
  const text = readFileSync(file, 'utf8');
  const names = [...text.matchAll(/(\w+) = (?:suite|runnable|bootedSuite)\(/g)].map(
    (match) => match[1],
  );
  if (names.length === 0) return 0;
  return (text.match(new RegExp(`^\\s*(?:${names.join('|')})\\(`, 'gm')) ?? []).length;
}

/** Compares uvu's summary of a file with its declared tests and those that it reported as not runnable. */
function countsOf({ file, code, output, leftovers }) {
  const { total, passed, skipped } = summaryOf(output);
  const notRunnable = output.match(/^not runnable here: .*$/gm) ?? [];
  const missing = Math.max(0, declaredTests(file) - total - notRunnable.length);
  const failed = total - passed + missing + skipped;
  const broken = code !== 0 || total + notRunnable.length === 0 || leftovers.length > 0;
  return { passed, failed: failed === 0 && broken ? 1 : failed, missing, notRunnable };
}

function report({ name, counts, leftovers, output, seconds }) {
  const verdict = counts.failed === 0 ? 'ok  ' : 'FAIL';
  console.log(`${verdict} ${name} (${counts.passed} passed, ${seconds.toFixed(1)} s)`);
  for (const line of counts.notRunnable) console.log(`     ${line}`);
  if (counts.failed === 0) return;
  console.log(output);
  if (counts.missing > 0) console.log(`${counts.missing} tests that ${name} declares did not run`);
  for (const process of leftovers) console.log(`left behind: ${process}`);
}

/** Runs the files, several at a time, and reports each. */
async function runFiles(files, deadlineMs) {
  const names = files.map((file) => relative(compiled, file).slice(0, -ending.length));
  const { busy, idle } = scheduleOf(names);
  const results = [];
  const work = async (next) => {
    for (let name = next(); name !== undefined; name = next()) {
      const file = join(compiled, `${name}${ending}`);
      const outcome = await runTestFile(file, root, deadlineMs);
      const counts = countsOf({ ...outcome, file });
      const result = { ...outcome, counts, name: `${name}${ending}` };
      results.push(result);
      report(result);
    }
  };
  const workers = Array.from({ length: atOnce }, () => work(() => busy.shift() ?? idle.shift()));
  await Promise.all([...workers, work(() => idle.shift())]);
  return results;
}

/** The failures once more, at the end: what stands in the middle of a long output is often cut. */
function repeatFailures(results) {
  const failed = results.filter(({ counts }) => counts.failed > 0);
  if (failed.length === 0) return;
  console.log(`\n${failuresBegin}`);
  for (const { name, output } of failed) {
    console.log(`FAIL ${name}\n${output.trimEnd().split('\n').slice(-60).join('\n')}`);
  }
  console.log(failuresEnd);
}

function summarize(results, skipped) {
  const slowest = [...results].sort((a, b) => b.seconds - a.seconds).slice(0, 10);
  console.log('\nslowest files:');
  for (const { name, seconds } of slowest) console.log(`  ${seconds.toFixed(1)} s  ${name}`);
  const sum = (key) => results.reduce((total, { counts }) => total + counts[key], 0);
  const notRunnable = results.flatMap(({ counts }) => counts.notRunnable);
  if (notRunnable.length > 0) console.log(`\n${[...new Set(notRunnable)].join('\n')}`);
  repeatFailures(results);
  const counts = { passed: sum('passed'), failed: sum('failed') };
  finish({ ...counts, skipped: skipped + notRunnable.length });
}

runMain(async () => {
  const args = process.argv.slice(2);
  if (!args.includes('--built')) await setUp(testPackages);
  let files = testFiles(args.filter((arg) => !arg.startsWith('--')));
  if (files.some((file) => file.includes('/system/booted/'))) {
    process.env.IOTEDGE_TEST_SYSTEM ??= sampledSystem(join(root, 'dist/lib'));
    console.log(`the booted system is ${process.env.IOTEDGE_TEST_SYSTEM}`);
  }
  let deadlineMs;
  if (args.includes('--soak')) {
    deadlineMs = soakDeadlineMs;
    process.env.IOTEDGE_TEST_SOAK = '1';
    process.env.IOTEDGE_TEST_OUTAGE_S ??= '15';
    files = files.filter(canSoak);
  }
  let skipped = 0;
  if (process.getuid() !== 0) {
    const left = files.filter(needsRoot);
    skipped = left.reduce((total, file) => total + declaredTests(file), 0);
    console.log(`not root: ${left.length} files of integration tests are skipped`);
    files = files.filter((file) => !needsRoot(file));
  }
  summarize(await runFiles(files, deadlineMs), skipped);
});
