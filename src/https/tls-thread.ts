import { Worker } from 'node:worker_threads';
import { builtFile } from '../native/built-file.ts';
import { refuseSignatures } from '../native/provider.ts';
import { releaseMemory } from '../native/release-memory.ts';
import type { FromWorker, ToWorker } from './worker-messages.ts';

/** Options of the TLS thread. */
export interface TlsThreadOptions {
  /** The program of the thread; `tls-worker.ts`, bundled, when absent. */
  readonly file?: string | URL;
  readonly onMessage: (message: FromWorker) => void;
  /** Called when the thread did not start, failed or ended by itself. */
  readonly onLost: (reason: unknown) => void;
}

const program = 'iotedge-tls-worker.cjs';

/** A thread that starts with the first message to it, and again with the next one after it ended. */
export class TlsThread implements AsyncDisposable {
  readonly #options: TlsThreadOptions;
  /** With those that are ending. */
  readonly #workers = new Set<Worker>();
  #current: Worker | undefined;

  constructor(options: TlsThreadOptions) {
    this.#options = options;
  }

  /** Sends a message, for which the thread is started where there is none. */
  send(message: ToWorker): void {
    try {
      this.#current ??= this.#start();
    } catch (error) {
      this.#options.onLost(error);
      return;
    }
    this.#current.postMessage(message);
  }

  /** Sends a message unless there is no thread. */
  sendIfStarted(message: ToWorker): void {
    this.#current?.postMessage(message);
  }

  /** Ends the thread and its connections, of which none may be in use. Does not wait for it. */
  end(): void {
    const worker = this.#current;
    this.#current = undefined;
    void worker?.terminate();
    worker?.once('exit', () => void releaseMemory());
  }

  #start(): Worker {
    const file = this.#options.file ?? builtFile(program);
    if (file === undefined) throw new Error(`${program} is not installed`);
    const worker = new Worker(file);
    this.#workers.add(worker);
    worker.on('message', this.#options.onMessage);
    worker.on('error', (error) => this.#lose(worker, error));
    worker.on('exit', (status) => {
      this.#workers.delete(worker);
      this.#lose(worker, new Error(`exit status ${status}`));
    });
    worker.unref(); // the timer of each exchange keeps the process alive
    return worker;
  }

  #lose(worker: Worker, reason: unknown): void {
    if (this.#current !== worker) return;
    this.#current = undefined;
    this.#options.onLost(reason);
  }

  /** Ends the thread, and waits for it. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#current = undefined;
    if (this.#workers.size === 0) return;
    // otherwise a thread that is blocked in a signature would be waited for
    using _refusal = refuseSignatures();
    await Promise.all([...this.#workers].map((worker) => worker.terminate()));
  }
}
