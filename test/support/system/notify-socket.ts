import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { deadline, until } from '../deadline.ts';

const program = `
import json, socket, sys
receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
receiver.bind(sys.argv[1])
print("listening", flush=True)
while True:
    print(json.dumps(receiver.recv(65536).decode()), flush=True)
`;

/** Receives the notifications of a service to its manager, as systemd does on $NOTIFY_SOCKET. */
export class NotifySocket implements AsyncDisposable {
  readonly path: string;
  readonly #receiver: ChildProcess;
  #lines: readonly string[] = [];

  private constructor(path: string) {
    this.path = path;
    this.#receiver = spawn('python3', ['-c', program, path], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    this.#receiver.stdout?.on('data', (chunk) => {
      text += String(chunk);
      this.#lines = text.split('\n').slice(0, -1);
    });
  }

  static async open(path: string): Promise<NotifySocket> {
    const socket = new NotifySocket(path);
    await until(10_000, 'the notify socket', () => Promise.resolve(socket.#lines.length > 0));
    return socket;
  }

  /** The messages so far, in order. */
  get messages(): readonly string[] {
    return this.#lines.slice(1).map((line) => String(JSON.parse(line)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#receiver, 'close');
    this.#receiver.kill('SIGKILL');
    await deadline(10_000, closed, 'the notify socket to close');
  }
}
