import { after, type Work } from './after.ts';
import { type Calls, callsOf } from './calls.ts';
import { ckrName } from './failures.ts';

/** Where a library reports to. */
export interface LibraryListener {
  /** A function of the library has returned that blocked the process. */
  returned(): void;
  /** The process must end: a function of the library does not return. */
  stuck(why: string): void;
}

/**
 * The PKCS#11 library of this process. Restarting it, which some libraries need to detect a token that was reinserted,
 * waits for all running calls.
 */
export class Pkcs11Library {
  readonly #listener: LibraryListener;
  /** Loaded at once: the process is started before its library is known. */
  readonly #pkcs11js = import('pkcs11js');
  #calls: Calls | undefined;
  #running = 0;
  #isStuck = false;
  #idle: (() => void) | undefined;
  #restart: Promise<void> | undefined;

  constructor(listener: LibraryListener) {
    this.#listener = listener;
    // the first request fails with it
    this.#pkcs11js.catch(() => undefined);
  }

  /** The functions of the library. */
  get calls(): Calls {
    if (this.#calls === undefined) throw new TypeError('no library is loaded');
    return this.#calls;
  }

  /** Whether a call is running on a thread, which would delay the end of the process. */
  get isRunning(): boolean {
    return this.#running > 0 || this.#isStuck;
  }

  /** Loads and initializes the library, once. */
  async load(path: string): Promise<void> {
    if (this.#calls !== undefined) throw new TypeError('a library is loaded already');
    const { default: pkcs11js } = await this.#pkcs11js.catch(cannotLoad);
    const api = new pkcs11js.PKCS11();
    try {
      api.load(path);
    } catch (error) {
      cannotLoad(error);
    }
    const calls = callsOf(api, () => this.#listener.returned());
    initialize(calls);
    this.#calls = calls;
  }

  /** Runs work that a restart waits for. Waits for a restart first. */
  run<R>(work: Work<R>): R | Promise<R> {
    if (this.#restart !== undefined) return this.#runLater(work, this.#restart);
    this.#running++;
    return after(work, () => {
      this.#running--;
      if (this.#running === 0) this.#idle?.();
    });
  }

  /** Records that a call does not return, so that only another process can restart the library. */
  markStuck(): void {
    this.#isStuck = true;
  }

  /** Finalizes and initializes the library once no call runs. Concurrent callers share one restart. */
  async restart(): Promise<void> {
    if (this.#isStuck) {
      const why = 'a restart cannot wait for a call that does not return';
      this.#listener.stuck(why);
      throw new Error(why);
    }
    this.#restart ??= this.#restartNow().finally(() => {
      this.#restart = undefined;
    });
    await this.#restart;
  }

  /** Finalizes the library, if one is loaded and no call runs. */
  finalize(): void {
    if (this.#calls !== undefined && !this.isRunning) finalize(this.#calls);
  }

  async #runLater<R>(work: Work<R>, restart: Promise<void>): Promise<R> {
    await restart.catch(() => undefined);
    return this.run(work);
  }

  async #restartNow(): Promise<void> {
    const { calls } = this;
    while (this.#running > 0) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve;
      });
    }
    finalize(calls);
    initialize(calls);
  }
}

function initialize(calls: Calls): void {
  try {
    calls.C_Initialize();
  } catch (error) {
    if (ckrName(error) !== 'CKR_CRYPTOKI_ALREADY_INITIALIZED') throw error;
  }
}

function finalize(calls: Calls): void {
  try {
    calls.C_Finalize();
  } catch {
    // not initialized is fine too; any other failure shows again in C_Initialize
  }
}

function cannotLoad(error: unknown): never {
  throw new Error('the PKCS#11 library cannot be loaded', { cause: error });
}
