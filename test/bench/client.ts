import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { type Identity, setpriv } from '../support/identity/identity.ts';
import { compile } from './native.ts';
import { parsePace, type ServerPace } from './pace.ts';
import { cpuMicroseconds } from './processes.ts';

const run = promisify(execFile);

/** The address of a method. */
export interface Place {
  readonly address: string;
  readonly name: string;
  readonly path: string;
  readonly interface: string;
}

/** The calls of one measurement. */
export interface Calls {
  readonly count: number;
  readonly inFlight: number;
  /** The key of Sign; undefined for an echo. */
  readonly key?: { readonly id: string; readonly mechanism: string } | undefined;
  /** The caller, by default root. */
  readonly identity?: Identity | undefined;
}

/** The client in C, so that the cost of the caller is the same for every server. */
export class Client {
  readonly program: string;

  private constructor(program: string) {
    this.program = program;
  }

  /** Compiles the client into a directory. */
  static async compile(directory: string): Promise<Client> {
    return new Client(await compile('client', directory));
  }

  /** Arguments with which the client serves the same method, as the floor. */
  serve(place: Place): readonly string[] {
    return [...words(place), 'serve'];
  }

  /** Measures calls of a method of a process. */
  async pace(place: Place, pid: number, calls: Calls): Promise<ServerPace> {
    const { count, inFlight, key, identity } = calls;
    const become = identity === undefined ? [] : setpriv(identity);
    const method = [key === undefined ? 'echo' : 'sign', String(count), String(inFlight)];
    if (key !== undefined) method.push(key.id, key.mechanism);
    const [program = '', ...rest] = [...become, this.program, ...words(place), ...method];
    const before = await cpuMicroseconds(pid);
    const { stdout } = await run(program, rest, { timeout: 120_000 });
    const cpu = ((await cpuMicroseconds(pid)) - before) / count;
    return { ...parsePace(stdout), cpu };
  }
}

function words(place: Place): readonly string[] {
  return [place.address, place.name, place.path, place.interface];
}
