import { spawn } from 'node:child_process';

/** Prints whole lines with an indent, so that the counts of a part are not mistaken for those of the whole. */
function printer() {
  let rest = '';
  const print = (text) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) console.log(`| ${line}`);
  };
  return { print, end: () => rest !== '' && print('\n') };
}

/** Runs a command, prints its output, and returns that with the exit code or the signal that killed it. */
export function runShown(command, args, options) {
  const { print, end } = printer();
  const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const collect = (text) => {
    output += text;
    print(text);
  };
  child.stdout.setEncoding('utf8').on('data', collect);
  child.stderr.setEncoding('utf8').on('data', collect);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      end();
      resolve({ code: code ?? signal, output });
    });
  });
}
