import { readFile } from 'node:fs/promises';
import { until } from '../deadline.ts';
import type { PrivateEngine } from './private-engine.ts';

/** A registry that never answers, so that a pull from it stays under way. */
export async function silentRegistry(engine: PrivateEngine, port: number): Promise<Disposable> {
  const swallow = ['sh', '-c', 'cat >/dev/null'];
  const listen = ['-ll', '-p', String(port), '-e', ...swallow];
  const server = engine.spawnInNetwork('busybox', 'nc', ...listen);
  const hexPort = port.toString(16).toUpperCase().padStart(4, '0');
  await until(10_000, 'the silent registry', async () =>
    (await listeners(server.pid)).includes(hexPort),
  );
  return {
    [Symbol.dispose]: () => void server.kill('SIGKILL'),
  };
}

/** The ports, in hexadecimal, that somebody listens on in the network of a process. */
async function listeners(pid: number | undefined): Promise<readonly string[]> {
  const tables = ['tcp', 'tcp6'].map((table) => readFile(`/proc/${pid}/net/${table}`, 'utf8'));
  const text = (await Promise.all(tables)).join('');
  return [...text.matchAll(/:([0-9A-F]{4}) [0-9A-F]+:0000 0A /g)].map(([, port = '']) => port);
}
