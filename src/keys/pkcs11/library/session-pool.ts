import type { Handle, PKCS11 } from 'pkcs11js';
import { ServiceError } from '../../../errors.ts';
import { ckrName, LostError } from './ckr.ts';
import { Session } from './session.ts';

interface Waiter {
  readonly resolve: (session: Session) => void;
  readonly reject: (error: unknown) => void;
}

export interface PoolOptions {
  readonly slot: Handle;
  readonly flags: number;
  readonly limit: number;
}

/** Up to `limit` sessions with one token, opened on demand. Callers wait for a free one in order of arrival. */
export class SessionPool {
  readonly #api: PKCS11;
  readonly #options: PoolOptions;
  readonly #free: Session[] = [];
  readonly #waiters: Waiter[] = [];
  #limit: number;
  #open = 0;
  #closed = false;

  constructor(api: PKCS11, options: PoolOptions) {
    this.#api = api;
    this.#options = options;
    this.#limit = options.limit;
  }

  /** Returns a free session, undefined when all are in use. */
  take(): Session | undefined {
    if (this.#closed) throw new LostError('session');
    const free = this.#free.pop();
    if (free !== undefined || this.#open >= this.#limit) return free;
    return this.#openSession();
  }

  /** Waits for a session to be released. Cancelled when the signal aborts first. */
  async wait(signal: AbortSignal): Promise<Session> {
    if (signal.aborted) throw cancelled();
    return new Promise<Session>((resolve, reject) => {
      const abort = () => {
        this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
        reject(cancelled());
      };
      const done = () => signal.removeEventListener('abort', abort);
      const waiter: Waiter = {
        resolve: (session) => {
          done();
          resolve(session);
        },
        reject: (error) => {
          done();
          reject(error);
        },
      };
      signal.addEventListener('abort', abort, { once: true });
      this.#waiters.push(waiter);
    });
  }

  /** Returns a session to the pool; closes it when it is broken or the pool is closed. */
  release(session: Session): void {
    if (this.#closed || session.broken) {
      this.#closeSession(session);
      this.#serveWaiter();
      return;
    }
    const waiter = this.#waiters.shift();
    if (waiter === undefined) this.#free.push(session);
    else waiter.resolve(session);
  }

  /** Closes the free sessions now, the others when they are released; waiting callers get a LostError. */
  close(): void {
    this.#closed = true;
    for (const waiter of this.#waiters.splice(0)) waiter.reject(new LostError('session'));
    for (const session of this.#free.splice(0)) this.#closeSession(session);
  }

  #serveWaiter(): void {
    if (this.#closed || this.#waiters.length === 0) return;
    try {
      const session = this.take();
      if (session !== undefined) this.#waiters.shift()?.resolve(session);
    } catch (error) {
      this.#waiters.shift()?.reject(error);
    }
  }

  #openSession(): Session | undefined {
    const { slot, flags } = this.#options;
    try {
      const session = new Session(this.#api, this.#api.C_OpenSession(slot, flags));
      this.#open++;
      return session;
    } catch (error) {
      if (ckrName(error) !== 'CKR_SESSION_COUNT' || this.#open === 0) throw error;
      this.#limit = this.#open;
      return undefined;
    }
  }

  #closeSession(session: Session): void {
    this.#open--;
    try {
      this.#api.C_CloseSession(session.handle);
    } catch {
      // already closed, together with its token or library
    }
  }
}

function cancelled(): ServiceError {
  return new ServiceError('Cancelled', 'the caller no longer waits');
}
