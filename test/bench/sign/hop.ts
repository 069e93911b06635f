import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { deadline } from '../../support/deadline.ts';
import { softhsmLibrary, tokenPin } from '../../support/keys/softhsm.ts';
import type { Rig } from '../../support/rig/rig.ts';
import { type Pace, type ServerPace, several } from '../pace.ts';
import { cpuMicroseconds } from '../processes.ts';
import { type SigningKey, signingKeys } from './keys.ts';

const script = fileURLToPath(new URL('token.js', import.meta.url));

/** Signatures with the keys of the token as the Keys service makes them, without a bus: the floor of Sign. */
export class HopBench implements Disposable {
  readonly #process: ChildProcess;
  readonly #replies: AsyncIterator<string>;

  private constructor(child: ChildProcess) {
    if (child.stdout === null) throw new TypeError('its output is not a pipe');
    child.stderr?.pipe(process.stderr);
    this.#process = child;
    this.#replies = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  }

  /** Opens the token, and signs until V8 has compiled it. */
  static async start(rig: Rig): Promise<HopBench> {
    const environment = { SOFTHSM2_CONF: rig.token.configuration };
    const words = [script, softhsmLibrary(), tokenPin];
    const bench = new HopBench(rig.spawn(process.execPath, words, { environment }));
    for (const key of Object.values(signingKeys)) if ('label' in key) await bench.pace(key);
    return bench;
  }

  /** One round. */
  async pace(key: SigningKey, inFlight = several): Promise<ServerPace> {
    const { pid = 0 } = this.#process;
    const before = await cpuMicroseconds(pid);
    const { label, mechanism, count } = key;
    this.#process.stdin?.write(`${JSON.stringify({ label, mechanism, count, inFlight })}\n`);
    const reply = await deadline(60_000, this.#replies.next(), 'the token');
    const pace = JSON.parse(String(reply.value)) as Pace; // printed by the script
    return { ...pace, cpu: ((await cpuMicroseconds(pid)) - before) / count };
  }

  [Symbol.dispose](): void {
    this.#process.kill('SIGKILL');
  }
}
