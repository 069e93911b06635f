// Runs every compiled test file as a process of its own and ends with `N passed, N failed`.
// usage: node test/run.mjs [SUBSTRING...]   only files whose path has one of the substrings
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const deadlineMs = 180_000;
const atOnce = 2;

function testFiles(folder) {
  return readdirSync(folder, { recursive: true })
    .map((name) => join(folder, name))
    .filter((name) => name.endsWith('.test.js'))
    .sort();
}

/** Tests a file declares; fewer that ran mean that the file stopped early. */
function declared(file) {
  return (readFileSync(file, 'utf8').match(/^\s*test\(/gm) ?? []).length;
}

function runFile(file) {
  const started = Date.now();
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ['--enable-source-maps', file], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    child.stdout.on('data', (chunk) => {
      output += chunk;
    });
    child.stderr.on('data', (chunk) => {
      output += chunk;
    });
    const timer = setTimeout(() => {
      output += `\nkilled: not done within ${deadlineMs / 1000} s\n`;
      child.kill('SIGKILL');
    }, deadlineMs);
    child.on('close', (code) => {
      clearTimeout(timer);
      resolve({ file, code, output, seconds: (Date.now() - started) / 1000 });
    });
  });
}

/** uvu's summary of a file: how many tests it had and how many of them passed. */
function countsOf({ file, code, output }) {
  const total = Number(/^\s*Total:\s+(\d+)/m.exec(output)?.[1] ?? 0);
  const passed = Number(/^\s*Passed:\s+(\d+)/m.exec(output)?.[1] ?? 0);
  const missing = Math.max(0, declared(file) - total);
  const failed = total - passed + missing;
  return { passed, failed: failed === 0 && (code !== 0 || total === 0) ? 1 : failed };
}

const wanted = process.argv.slice(2);
const files = testFiles(join(root, 'dist/test')).filter(
  (file) => wanted.length === 0 || wanted.some((part) => file.includes(part)),
);
const results = [];
const queue = [...files];
await Promise.all(
  Array.from({ length: atOnce }, async () => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      const result = await runFile(file);
      const counts = countsOf(result);
      results.push({ ...result, ...counts });
      const name = relative(join(root, 'dist'), file);
      console.log(
        `${counts.failed === 0 ? 'ok  ' : 'FAIL'} ${name} (${counts.passed} passed, ${result.seconds.toFixed(1)} s)`,
      );
      if (counts.failed > 0) console.log(result.output);
    }
  }),
);
const slowest = results.toSorted((a, b) => b.seconds - a.seconds).slice(0, 10);
console.log('\nslowest files:');
for (const { file, seconds } of slowest)
  console.log(`  ${seconds.toFixed(1)} s  ${relative(join(root, 'dist/test'), file)}`);
const sum = (key) => results.reduce((total, result) => total + result[key], 0);
console.log(`\n${sum('passed')} passed, ${sum('failed')} failed`);
process.exitCode = sum('failed') > 0 || sum('passed') === 0 ? 1 : 0;
