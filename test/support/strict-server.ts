import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { deadline, until } from './deadline.ts';
import type { Pki } from './pki.ts';

/** `openssl s_server`, which insists on a client certificate that verifies and answers with what it saw. */
export class StrictServer implements AsyncDisposable {
  readonly port: number;
  readonly #child: ChildProcessWithoutNullStreams;

  private constructor(child: ChildProcessWithoutNullStreams, port: number) {
    this.#child = child;
    this.port = port;
  }

  static async start(pki: Pki, version: 'TLSv1.2' | 'TLSv1.3'): Promise<StrictServer> {
    const { key, certificate } = await pki.issue('s_server', ['localhost']);
    await writeFile(join(pki.directory, 's_server.pem'), `${key}${certificate}`);
    const option = version === 'TLSv1.2' ? '-tls1_2' : '-tls1_3';
    const line = `s_server -accept 127.0.0.1:0 -cert s_server.pem ${option} -www -Verify 3 -verify_return_error -CAfile root.cer`;
    const child = spawn('openssl', line.split(' '), { cwd: pki.directory });
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
