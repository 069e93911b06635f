import { ChildProcess, spawn } from 'node:child_process';
import { Socket } from 'node:net';
import { systemCode } from '../../../errors.ts';
import { builtFile } from '../../../native/built-file.ts';

/** A process that can own a library. */
export interface Host {
  /** The private socket pair to it. */
  readonly socket: Socket;
  /** Resolves when it has ended, with how: `was ended by SIGSEGV`. */
  readonly ended: Promise<string>;
  kill(): void;
}

/** Where the launcher leaves a process that it has started in advance, for the first library. */
const startedEarly = Symbol.for('iotedge.pkcs11-host');

/** Starts a process, or takes the one that was started in advance. */
export function startHost(): Host {
  const child = takeEarlyHost() ?? spawnHost();
  const ended = new Promise<string>((resolve) => {
    child.removeAllListeners('error');
    child.on('error', (error) =>
      resolve(`cannot be started: ${systemCode(error) ?? error.message}`),
    );
    child.once('exit', (code, signal) =>
      resolve(signal === null ? `exited with code ${code}` : `was ended by ${signal}`),
    );
  });
  const socket = child.stdio[3];
  if (!(socket instanceof Socket)) throw new TypeError('its process has no socket');
  return { socket, ended, kill: () => void child.kill('SIGKILL') };
}

/** Ends a process that was started in advance: no token is configured. */
export function discardEarlyHost(): void {
  takeEarlyHost()?.kill('SIGKILL');
}

function spawnHost(): ChildProcess {
  const program = builtFile('../bin/iotedge-pkcs11.cjs');
  if (program === undefined) throw new Error('iotedge-pkcs11.cjs is not installed');
  return spawn(process.execPath, [program], { stdio: ['ignore', 'inherit', 'inherit', 'pipe'] });
}

function takeEarlyHost(): ChildProcess | undefined {
  const early: unknown = Reflect.get(globalThis, startedEarly);
  Reflect.deleteProperty(globalThis, startedEarly);
  if (!(early instanceof ChildProcess) || early.pid === undefined) return undefined;
  return early.exitCode === null && early.signalCode === null ? early : undefined;
}
