import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { deadline, until } from '../deadline.ts';
import type { Pki } from './pki.ts';

/** A certificate in PEM, and the path of its key. */
interface ServerKey {
  readonly certificate: string;
  readonly key: string;
  readonly environment: Readonly<Record<string, string>>;
}

/** `openssl s_server`, which requires a valid client certificate and responds with the details of the connection. */
export class StrictServer implements AsyncDisposable {
  readonly port: number;
  readonly #child: ChildProcessWithoutNullStreams;

  private constructor(child: ChildProcessWithoutNullStreams, port: number) {
    this.#child = child;
    this.port = port;
  }

  /** Starts with a key in a file, or with one of the given environment. */
  static async start(
    pki: Pki,
    version: 'TLSv1.2' | 'TLSv1.3',
    own?: ServerKey,
  ): Promise<StrictServer> {
    const { key, certificate } = own ?? (await pki.issue('s_server', ['localhost']));
    await writeFile(join(pki.directory, 's_server.pem'), certificate);
    if (own === undefined) await writeFile(join(pki.directory, 's_server.key'), key);
    const option = version === 'TLSv1.2' ? '-tls1_2' : '-tls1_3';
    const keySource = own === undefined ? 's_server.key' : own.key;
    const line = `s_server -accept 127.0.0.1:0 -cert s_server.pem -key ${keySource} ${option} -www -Verify 3 -verify_return_error -CAfile root.cer`;
    const env = { ...process.env, ...own?.environment };
    const child = spawn('openssl', line.split(' '), { cwd: pki.directory, env });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => void (output += chunk.toString()));
    child.stderr.resume();
    await until(10_000, 's_server to listen', () => /^ACCEPT .*:\d+$/m.test(output));
    return new StrictServer(child, Number(/^ACCEPT .*:(\d+)$/m.exec(output)?.[1]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#child, 'close');
    this.#child.kill('SIGKILL');
    await deadline(5000, closed, 's_server to end');
  }
}
