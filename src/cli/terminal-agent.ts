import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import type { CommandContext } from './command.ts';

/** The option of a verb that may need a password. */
export const passwordOption = {
  'no-ask-password': {
    type: 'boolean',
    help: 'fail rather than ask for a password at this terminal',
  },
} as const;

const program = 'pkttyagent';
const readyMs = 5000;

/** Whether polkit may ask the user for a password. */
export function mayAsk({ options }: Pick<CommandContext, 'options'>): boolean {
  return options['no-ask-password'] !== true;
}

/** Whether this process needs polkit's agent at its terminal: root needs no password, and a program has no terminal. */
export function needsAgent(uid: number | undefined, isTerminal: boolean): boolean {
  return uid !== 0 && isTerminal;
}

/**
 * Runs polkit's agent at the terminal while an action that needs a password runs, as systemctl does. A desktop's agent
 * has precedence, and outside of a login session polkit asks neither.
 */
export async function withTerminalAgent<T>(
  context: Pick<CommandContext, 'options'>,
  action: () => Promise<T>,
): Promise<T> {
  const isTerminal = process.stdin.isTTY && process.stderr.isTTY;
  if (!mayAsk(context) || !needsAgent(process.getuid?.(), isTerminal)) return action();
  const agent = await startAgent();
  try {
    return await action();
  } finally {
    await end(agent);
  }
}

/** Starts the agent; without one that is installed polkit denies what needs a password. */
async function startAgent(): Promise<ChildProcess> {
  const { spawn } = await import('node:child_process'); // other verbs start without it
  const ready = 3;
  const args = ['--process', String(process.pid), '--notify-fd', String(ready), '--fallback'];
  const agent = spawn(program, args, { stdio: ['inherit', 'inherit', 'inherit', 'pipe'] });
  agent.on('error', () => undefined); // not installed
  const notified = agent.stdio[ready] as Readable | null | undefined;
  if (notified === null || notified === undefined) return agent;
  notified.resume();
  // it closes the descriptor once it is registered, and when it fails
  await once(notified, 'close', { signal: AbortSignal.timeout(readyMs) }).catch(() => undefined);
  return agent;
}

async function end(agent: ChildProcess): Promise<void> {
  if (agent.pid === undefined || agent.exitCode !== null || agent.signalCode !== null) return;
  const ended = once(agent, 'exit');
  agent.kill('SIGTERM');
  agent.kill('SIGCONT'); // it may have been stopped for reading from the background
  await ended;
}
