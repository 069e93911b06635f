import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const longestMs = 600_000;
const graceMs = 5_000;
const marker = 'IOTEDGE_TEST_PROCESS';

/** Id and command line of every process with the mark in its environment, whatever its parent. */
function marked(mark) {
  const wanted = `${marker}=${mark}`;
  const found = [];
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      if (!readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(wanted)) continue;
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
      if (command !== '') found.push({ pid: Number(pid), command });
    } catch {
      // it has ended meanwhile, or belongs to another user
    }
  }
  return found;
}

/** Kills the processes that a test left running, after a grace period; returns those that it had to kill. */
async function stopLeftovers(mark) {
  for (const end = Date.now() + graceMs; marked(mark).length > 0 && Date.now() < end; )
    await sleep(50);
  const leftovers = marked(mark);
  for (const { pid } of leftovers) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // it has ended meanwhile
    }
  }
  return leftovers.map(({ pid, command }) => `${command} (process ${pid})`);
}

/** The system calls of the threads of every process with the mark, to explain a hang that cannot be reproduced. */
function whereabouts(mark) {
  const lines = [];
  for (const { pid, command } of marked(mark)) {
    lines.push(`${pid} ${command}`);
    try {
      for (const thread of readdirSync(`/proc/${pid}/task`)) {
        const read = (name) => readFileSync(`/proc/${pid}/task/${thread}/${name}`, 'utf8').trim();
        const [call] = read('syscall').split(' ');
        lines.push(`  ${thread} ${read('comm')}: system call ${call}, waits in ${read('wchan')}`);
      }
    } catch {
      // it has ended meanwhile, or belongs to another user
    }
  }
  return lines.join('\n');
}

/** The running test processes; they end with the runner. */
const running = new Set();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.once(signal, () => {
    for (const child of running) child.kill('SIGTERM');
    setTimeout(() => process.exit(1), graceMs);
  });
}

/** Runs one test file to its end or its deadline, and ends every process that it started. */
export async function runTestFile(file, cwd, deadlineMs = longestMs) {
  const started = Date.now();
  const mark = randomUUID();
  const child = spawn(process.execPath, ['--enable-source-maps', file], {
    cwd,
    env: { ...process.env, [marker]: mark },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  let output = '';
  const collect = (text) => {
    output += text;
  };
  child.stdout.setEncoding('utf8').on('data', collect);
  child.stderr.setEncoding('utf8').on('data', collect);
  const timer = setTimeout(() => {
    output += `\nkilled: not done within ${deadlineMs / 1000} s\n${whereabouts(mark)}\n`;
    child.kill('SIGKILL');
  }, deadlineMs);
  const closed = new Promise((resolve) => {
    child.on('close', resolve);
  });
  const code = await new Promise((resolve) => {
    child.on('exit', (status, signal) => resolve(status ?? signal));
  });
  clearTimeout(timer);
  running.delete(child);
  const leftovers = await stopLeftovers(mark);
  await Promise.race([closed, sleep(graceMs, undefined, { ref: false })]);
  return { code, output, leftovers, seconds: (Date.now() - started) / 1000 };
}
