import type { PKCS11 } from 'pkcs11js';
import { ServiceError } from '../../../errors.ts';
import { ckrName, LostError } from './ckr.ts';
import { CKF } from './constants.ts';

/**
 * A PKCS#11 library, loaded on first use. A process loads a library once, so there must be one instance per path.
 * Restarting it, which some libraries need to detect a token that was reinserted, waits for all running calls.
 */
export class Pkcs11Library implements AsyncDisposable {
  readonly path: string;
  #api: PKCS11 | undefined;
  #loading: Promise<PKCS11> | undefined;
  #generation = 1;
  #running = 0;
  #idle: (() => void) | undefined;
  #restart: Promise<void> | undefined;
  #restartedAt = -Infinity;

  constructor(path: string) {
    this.path = path;
  }

  /** The functions of the library; `ready` must have resolved before. */
  get api(): PKCS11 {
    if (this.#api === undefined) throw new LostError('session');
    return this.#api;
  }

  /** Incremented by every restart: handles of an older generation are invalid. */
  get generation(): number {
    return this.#generation;
  }

  /** Whether calls may start now; otherwise `ready` waits for that. */
  get open(): boolean {
    return this.#api !== undefined && this.#restart === undefined;
  }

  /** Resolves when calls may start. Unavailable when the library cannot be loaded. */
  async ready(): Promise<void> {
    while (this.#restart !== undefined) await this.#restart;
    if (this.#api !== undefined) return;
    this.#loading ??= load(this.path).finally(() => {
      this.#loading = undefined;
    });
    this.#api = await this.#loading;
  }

  /** Counts a call as running until `leave`. */
  enter(): void {
    this.#running++;
  }

  leave(): void {
    this.#running--;
    if (this.#running === 0) this.#idle?.();
  }

  /**
   * Finalizes and initializes the library once no call runs. Concurrent callers share one restart. Does nothing
   * within `pauseMs` of the last restart, because each one interrupts the other tokens of the library.
   */
  async restart(pauseMs: number): Promise<void> {
    if (this.#restart === undefined) {
      if (performance.now() - this.#restartedAt < pauseMs) return;
      this.#restart = this.#restartNow().finally(() => {
        this.#restart = undefined;
        this.#restartedAt = performance.now();
      });
    }
    await this.#restart;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#loading?.catch(() => undefined);
    await this.#restart?.catch(() => undefined);
    if (this.#api === undefined) return;
    await this.#drain();
    this.#generation++;
    finalize(this.#api);
    this.#api = undefined;
  }

  async #restartNow(): Promise<void> {
    await this.#drain();
    this.#generation++;
    finalize(this.api);
    try {
      initialize(this.api);
    } catch (error) {
      throw unusable('started', error);
    }
  }

  async #drain(): Promise<void> {
    while (this.#running > 0) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve;
      });
      this.#idle = undefined;
    }
  }
}

async function load(path: string): Promise<PKCS11> {
  // loaded lazily: a service without a token starts faster
  const { default: pkcs11js } = await import('pkcs11js');
  const api = new pkcs11js.PKCS11();
  try {
    api.load(path);
    initialize(api);
    return api;
  } catch (error) {
    throw unusable('loaded', error);
  }
}

function initialize(api: PKCS11): void {
  try {
    api.C_Initialize({ flags: CKF.OS_LOCKING_OK });
  } catch (error) {
    if (ckrName(error) !== 'CKR_CRYPTOKI_ALREADY_INITIALIZED') throw error;
  }
}

function finalize(api: PKCS11): void {
  try {
    api.C_Finalize();
  } catch {
    // not initialized is fine too; any other failure shows again in C_Initialize
  }
}

function unusable(what: string, error: unknown): ServiceError {
  const reason = ckrName(error) ?? (error instanceof Error ? error.message : 'unknown error');
  const message = `the PKCS#11 library cannot be ${what}: ${reason}`;
  return new ServiceError('Unavailable', message, { cause: error });
}
