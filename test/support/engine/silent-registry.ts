import { readFile, readlink } from 'node:fs/promises';
import { until } from '../deadline.ts';
import type { PrivateEngine } from './private-engine.ts';

/** A registry that never replies, so that a pull from it does not end. */
export async function silentRegistry(engine: PrivateEngine, port: number): Promise<Disposable> {
  const swallow = ['sh', '-c', 'cat >/dev/null'];
  const listen = ['-ll', '-p', String(port), '-e', ...swallow];
  const server = engine.spawnInNetwork('busybox', 'nc', ...listen);
  await until(30_000, 'the silent registry', () => listens(server.pid, port));
  return {
    [Symbol.dispose]: () => void server.kill('SIGKILL'),
  };
}

/** Whether a process listens on a port in the engine's network namespace, which `pid` has entered. */
export async function listens(pid: number | undefined, port: number): Promise<boolean> {
  const hexPort = port.toString(16).toUpperCase().padStart(4, '0');
  return !(await isHere(pid)) && (await listeners(pid)).includes(hexPort);
}

/** Whether a process has not yet left our network namespace for the engine's. */
async function isHere(pid: number | undefined): Promise<boolean> {
  return (await readlink(`/proc/${pid}/ns/net`)) === (await readlink('/proc/self/ns/net'));
}

/** The listening ports, in hexadecimal, in the network namespace of a process. */
async function listeners(pid: number | undefined): Promise<readonly string[]> {
  const tables = ['tcp', 'tcp6'].map((table) => readFile(`/proc/${pid}/net/${table}`, 'utf8'));
  const text = (await Promise.all(tables)).join('');
  return [...text.matchAll(/:([0-9A-F]{4}) [0-9A-F]+:0000 0A /g)].map(([, port = '']) => port);
}
