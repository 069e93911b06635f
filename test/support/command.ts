import { spawn } from 'node:child_process';

/** The output and the exit code of a command. */
export interface Outcome {
  /** The exit code, or the signal that killed the command. */
  readonly code: number | string;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** The input, environment and limits of a command. */
export interface CommandOptions {
  readonly input?: Uint8Array | string;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly timeoutMs?: number;
}

/** Runs a command to its end, or kills it at its deadline. */
export function runCommand(
  command: string,
  args: readonly string[],
  { input = '', env = {}, cwd, timeoutMs = 60_000 }: CommandOptions = {},
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      env: { ...process.env, ...env },
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
      ...(cwd === undefined ? {} : { cwd }),
    });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => void stdout.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => void stderr.push(chunk));
    child.stdin.on('error', () => undefined); // it may exit without reading its input
    child.once('error', reject);
    child.once('close', (code, signal) => {
      const output = { stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr).toString() };
      resolve({ code: code ?? signal ?? 'unknown', ...output });
    });
    child.stdin.end(input);
  });
}

/** The output of a command; throws when it fails. */
export async function outputOf(
  command: string,
  args: readonly string[],
  options?: CommandOptions,
): Promise<Buffer> {
  const { code, stdout, stderr } = await runCommand(command, args, options);
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code}: ${stderr}`);
  return stdout;
}
