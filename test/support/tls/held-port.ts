import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { deadline } from '../deadline.ts';

/**
 * A port of the loopback interface that is reserved for one test: nothing listens on it, so connections are refused, and
 * the kernel does not assign it as a free port. A server of the test may listen on it by its number, also repeatedly.
 */
export class HeldPort implements AsyncDisposable {
  readonly port: number;
  readonly #process: ChildProcess;

  private constructor(process: ChildProcess, port: number) {
    this.#process = process;
    this.port = port;
  }

  static async hold(): Promise<HeldPort> {
    const child = spawn('python3', ['-c', script], { stdio: ['pipe', 'pipe', 'inherit'] });
    const printed = once(child.stdout, 'data') as Promise<[Buffer]>;
    const [line] = await deadline(20_000, printed, 'a port');
    return new HeldPort(child, Number(line.toString()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const exited = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await exited;
  }
}

/** Binds the port without listening. A listener can bind it too, as both set SO_REUSEADDR. */
const script = `
import socket, sys
held = socket.socket()
held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
held.bind(('127.0.0.1', 0))
print(held.getsockname()[1], flush=True)
sys.stdin.read()
`;
