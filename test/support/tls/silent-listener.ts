import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

/**
 * Listens on loopback with a full backlog, so that the kernel drops further connection requests, like a firewall or an
 * unreachable host. After `accept` the next retransmission connects, about a second later.
 */
export class SilentListener implements AsyncDisposable {
  readonly port: number;
  readonly #process: ChildProcess;

  private constructor(process: ChildProcess, port: number) {
    this.#process = process;
    this.port = port;
  }

  static async start(): Promise<SilentListener> {
    const child = spawn('python3', ['-c', script], { stdio: ['pipe', 'pipe', 'inherit'] });
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    return new SilentListener(child, Number(line.toString()));
  }

  /** Accepts connections from now on. */
  accept(): void {
    this.#process.stdin?.end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const exited = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await exited;
  }
}

const script = `
import select, socket, sys
listener = socket.socket()
listener.bind(('127.0.0.1', 0))
listener.listen(0)
fillers = []
for _ in range(8):
    filler = socket.socket()
    filler.setblocking(False)
    filler.connect_ex(listener.getsockname())
    fillers.append(filler)
select.select([], fillers, [], 1)
print(listener.getsockname()[1], flush=True)
sys.stdin.read()
accepted = []
while True:
    accepted.append(listener.accept())
`;
