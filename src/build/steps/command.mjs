import { spawn } from 'node:child_process';

/** The failure of a program; `output` is all of its output. */
export class CommandError extends Error {
  constructor(command, code, output) {
    super(`${command} failed (${code})`);
    this.output = output;
  }
}

/**
 * Runs a program without standard input and resolves with its output. Rejects with a `CommandError` when it does not
 * exit with 0, unless `check` is false.
 */
export function run(command, args, { check = true, ...options } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '';
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      stdout += text;
      output += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text) => {
      output += text;
    });
    child.on('error', (error) => {
      reject(new CommandError(command, error.code, error.message));
    });
    child.on('close', (code, signal) => {
      if (code === 0 || !check) resolve({ code, stdout, output });
      else
        reject(new CommandError([command, ...args.slice(0, 2)].join(' '), signal ?? code, output));
    });
  });
}

/**
 * Runs an action while holding a lock file, and reports when it waits for another process. The lock ends with this
 * process at the latest.
 */
export async function withLock(file, action, report) {
  const script = 'flock -n 9 || { echo waiting; flock 9; }; echo locked; exec cat';
  const holder = spawn('sh', ['-c', `exec 9>"$1"; ${script}`, 'lock', file], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  await new Promise((resolve, reject) => {
    holder.stdout.setEncoding('utf8').on('data', (text) => {
      if (text.includes('waiting')) report(`another process holds ${file}: waiting for it`);
      if (text.includes('locked')) resolve();
    });
    holder.once('error', reject);
    holder.once('exit', (code) =>
      reject(new Error(`cannot lock ${file} (flock ended with ${code})`)),
    );
  });
  try {
    return await action();
  } finally {
    holder.stdin.end();
  }
}
