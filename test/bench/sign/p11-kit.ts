import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '../../support/deadline.ts';
import { softhsmLibrary, tokenPin } from '../../support/keys/softhsm.ts';
import type { Rig } from '../../support/rig/rig.ts';
import { compile } from '../native.ts';
import { type Pace, parsePace } from '../pace.ts';
import { signingKeys } from './keys.ts';

const clientLibrary = `/usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu/pkcs11/p11-kit-client.so`;

/**
 * The way in which programs share a token without this project: `p11-kit server` runs a process for each client, whose
 * PKCS#11 library forwards every call to it. Who may open its socket may use every key.
 */
export class P11KitBench implements Disposable {
  readonly #rig: Rig;
  readonly #program: string;
  readonly #socket: string;
  readonly #server: ChildProcess;

  private constructor(rig: Rig, program: string) {
    this.#rig = rig;
    this.#program = program;
    this.#socket = join(rig.directory, 'p11-kit');
    const words = ['--foreground', '--name', this.#socket, '--provider', softhsmLibrary()];
    const environment = { SOFTHSM2_CONF: rig.token.configuration };
    this.#server = rig.spawn('p11-kit', ['server', ...words, 'pkcs11:'], { environment });
    this.#server.stderr?.pipe(process.stderr);
  }

  /** Starts the server, and compiles the client into a directory. */
  static async start(rig: Rig, directory: string): Promise<P11KitBench> {
    const bench = new P11KitBench(rig, await compile('pkcs11', directory));
    await until(10_000, 'p11-kit server to listen', async () => existsSync(bench.#socket));
    return bench;
  }

  /** One round of a client in C with threads, each with a session of its own. */
  pace(threads: number): Promise<Pace> {
    const environment = { P11_KIT_SERVER_ADDRESS: `unix:path=${this.#socket}` };
    return this.#sign(clientLibrary, threads, environment);
  }

  /** One round of the token's library in the process of the client, on one thread. */
  inProcess(): Promise<Pace> {
    return this.#sign(softhsmLibrary(), 1, { SOFTHSM2_CONF: this.#rig.token.configuration });
  }

  [Symbol.dispose](): void {
    this.#server.kill('SIGTERM');
  }

  async #sign(
    library: string,
    threads: number,
    environment: Readonly<Record<string, string>>,
  ): Promise<Pace> {
    const { label, count } = signingKeys['P-256'];
    const words = [library, tokenPin, label, String(count), String(threads)];
    const { code, stdout, stderr } = await this.#rig.run(this.#program, words, { environment });
    if (code !== 0) throw new Error(`"${library}" does not sign: ${stderr}`);
    return parsePace(stdout);
  }
}
