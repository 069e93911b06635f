import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type Identity, setpriv } from '../support/identity/identity.ts';
import { cpuMicroseconds } from './processes.ts';

const run = promisify(execFile);
const source = fileURLToPath(new URL('../../../test/bench/native/client.c', import.meta.url));

/** How many calls are under way at any time in every measurement. */
export const inFlight = 8;

/** A rate and what the server spent for it. */
export interface Pace {
  readonly perSecond: number;
  /** Microseconds of CPU of the serving process for one call. */
  readonly cpu: number;
}

/** Where a method is called. */
export interface Place {
  readonly address: string;
  readonly name: string;
  readonly path: string;
  readonly interface: string;
}

/** The caller in C, so that what calls costs the same whatever is called. */
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

  /** Arguments that make the client a server of the same method, the floor. */
  serve(place: Place): readonly string[] {
    return [...words(place), 'serve'];
  }

  /** Calls a method that a process serves, as root or as another user. */
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
