import type { Socket } from 'node:net';

const maxLineBytes = 16 << 10;

/** One step of the exchange: the line that is sent after a reply of this form. */
interface Step {
  readonly accepts: (line: string) => boolean;
  readonly send: string;
}

/**
 * Descriptors are negotiated although no method uses one: dbus-broker 34 and later put one into the reply to
 * GetConnectionCredentials, and disconnect a peer that did not negotiate. Node reads with read(2), so the kernel
 * closes every descriptor that arrives. A bus that cannot pass descriptors replies ERROR, and sends none.
 */
const steps: readonly Step[] = [
  { accepts: (line) => line.startsWith('OK '), send: 'NEGOTIATE_UNIX_FD\r\n' },
  { accepts: (line) => line === 'AGREE_UNIX_FD' || line.startsWith('ERROR'), send: 'BEGIN\r\n' },
];

/** The SASL exchange of the D-Bus specification, mechanism EXTERNAL, as the uid of this process. */
export class Authentication {
  /** Resolves when messages may be sent; rejects when the bus refuses, closes or does not reply in time. */
  readonly done: Promise<void>;
  readonly #socket: Socket;
  readonly #signal: AbortSignal;
  readonly #abort = (): void => {
    this.fail(new Error('no reply in time', { cause: this.#signal.reason }));
  };
  #settle: ((error: Error | undefined) => void) | undefined;
  #received = '';
  #step = 0;

  constructor(socket: Socket, signal: AbortSignal) {
    this.#socket = socket;
    this.#signal = signal;
    this.done = new Promise((resolve, reject) => {
      this.#settle = (error) => {
        if (error === undefined) resolve();
        else reject(error);
      };
    });
    signal.addEventListener('abort', this.#abort);
    if (signal.aborted) this.#abort();
    socket.once('connect', () => {
      const uid = Buffer.from(String(process.getuid?.() ?? 0)).toString('hex');
      socket.write(`\0AUTH EXTERNAL ${uid}\r\n`);
    });
  }

  /** Whether the bytes that follow are messages. */
  get isOver(): boolean {
    return this.#settle === undefined;
  }

  /** Processes a reply of the bus, which sends nothing unasked. */
  receive(bytes: Buffer): void {
    this.#received += bytes.toString('latin1');
    const end = this.#received.indexOf('\r\n');
    if (end < 0) {
      if (this.#received.length > maxLineBytes)
        this.fail(new Error('the reply of the bus is too long'));
      return;
    }
    const line = this.#received.slice(0, end);
    const rest = this.#received.slice(end + 2);
    this.#received = '';
    const step = steps[this.#step++];
    if (step?.accepts(line) !== true || rest !== '') {
      this.fail(new Error(`the bus refused authentication: ${line}`));
      return;
    }
    this.#socket.write(step.send);
    if (this.#step === steps.length) this.#end(undefined);
  }

  /** Fails the authentication, unless it has ended. */
  fail(error: Error): void {
    if (this.isOver) return;
    this.#end(error);
    this.#socket.destroy();
  }

  #end(error: Error | undefined): void {
    this.#signal.removeEventListener('abort', this.#abort);
    this.#settle?.(error);
    this.#settle = undefined;
  }
}
