import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type Identity, setpriv } from '../support/identity/identity.ts';
import { cpuMicroseconds } from './processes.ts';

const run = promisify(execFile);
const source = fileURLToPath(new URL('../../../test/bench/native/client.c', import.meta.url));

/** The number of concurrent calls in every measurement. */
export const inFlight = 8;

/** A rate, and its cost for the server. */
export interface Pace {
  readonly perSecond: number;
  /** CPU microseconds of the server process per call. */
  readonly cpu: number;
}

/** The address of a method. */
export interface Place {
  readonly address: string;
  readonly name: string;
  readonly path: string;
  readonly interface: string;
}

/** The client in C, so that the cost of the caller is the same for every server. */
export class Client {
  readonly program: string;

  private constructor(program: string) {
    this.program = program;
  }

  /** Compiles the client into a directory. */
  static async compile(directory: string): Promise<Client> {
    const program = join(directory, 'client');
    await run('cc', ['-O2', '-Wall', '-o', program, source, '-lsystemd']);
    return new Client(program);
  }

  /** Arguments with which the client serves the same method, as the floor. */
  serve(place: Place): readonly string[] {
    return [...words(place), 'serve'];
  }

  /** Measures calls of a method, as root or as another user. */
  async pace(
    place: Place,
    call: {
      readonly method: 'echo' | 'sign';
      readonly key?: string;
      readonly count: number;
      readonly pid: number;
      readonly identity?: Identity | undefined;
    },
  ): Promise<Pace> {
    const { method, key = '-', count, pid, identity } = call;
    const become = identity === undefined ? [] : setpriv(identity);
    const args = [...words(place), method, key, String(count), String(inFlight)];
    const [program = '', ...rest] = [...become, this.program, ...args];
    const before = await cpuMicroseconds(pid);
    const { stdout } = await run(program, rest, { timeout: 120_000 });
    const cpu = ((await cpuMicroseconds(pid)) - before) / count;
    return { perSecond: Number(stdout), cpu };
  }
}

function words(place: Place): readonly string[] {
  return [place.address, place.name, place.path, place.interface];
}
