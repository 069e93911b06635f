import type { Handle } from '../protocol/values.ts';
import { after } from './after.ts';
import type { Calls } from './calls.ts';
import { ckrName, LostError } from './failures.ts';
import { InlinePolicy } from './inline-policy.ts';
import { Session } from './session.ts';

interface Waiter {
  readonly resolve: (session: Session) => void;
  readonly reject: (error: unknown) => void;
}

export interface PoolOptions {
  readonly slot: Handle;
  readonly flags: number;
  readonly limit: number;
  /** A call of a session does not return; `isLast` when no other session is left. Must not throw. */
  readonly onStuck: (isLast: boolean) => void;
}

/** Errors after which a session is of no use: it is gone, logged out, or an operation in it cannot be ended. */
const sessionLosses: ReadonlySet<string> = new Set([
  'CKR_SESSION_HANDLE_INVALID',
  'CKR_SESSION_CLOSED',
  'CKR_USER_NOT_LOGGED_IN',
  'CKR_OPERATION_ACTIVE',
  'CKR_OPERATION_NOT_INITIALIZED',
]);

const maxPolicies = 1000;

/** Up to `limit` sessions with one token, opened on demand. Work waits for a free one in order of arrival. */
export class SessionPool {
  readonly #calls: Calls;
  readonly #options: PoolOptions;
  readonly #free: Session[] = [];
  readonly #waiters: Waiter[] = [];
  /** By key handle. */
  readonly #policies = new Map<string, InlinePolicy>();
  #limit: number;
  #open = 0;
  #stuck = 0;
  #closed = false;

  constructor(calls: Calls, options: PoolOptions) {
    this.#calls = calls;
    this.#options = options;
    this.#limit = options.limit;
  }

  /** Does work with a session that nothing else uses meanwhile; at once when one is free. */
  use<R>(work: (session: Session) => R | Promise<R>): R | Promise<R> {
    const session = this.take();
    return session === undefined ? this.#useLater(work) : this.#useNow(session, work);
  }

  /** How operations with a key run. */
  policy(key: Handle): InlinePolicy {
    const name = key.toString('latin1');
    const known = this.#policies.get(name);
    if (known !== undefined) return known;
    const [oldest] = this.#policies.keys();
    if (this.#policies.size >= maxPolicies && oldest !== undefined) this.#policies.delete(oldest);
    const policy = new InlinePolicy();
    this.#policies.set(name, policy);
    return policy;
  }

  /** Returns a free session, undefined when all are in use. */
  take(): Session | undefined {
    if (this.#closed) throw new LostError();
    const free = this.#free.pop();
    if (free !== undefined || this.#open >= this.#limit) return free;
    return this.#openSession();
  }

  /** Waits for a session to be released. */
  async wait(): Promise<Session> {
    return new Promise<Session>((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
    });
  }

  /** Returns a session to the pool; closes it when it is broken or the pool is closed. */
  release(session: Session): void {
    if (session.isStuck) {
      this.#stuck++;
      this.#options.onStuck(this.#stuck >= this.#limit);
      return;
    }
    if (this.#closed || session.broken) {
      this.#closeSession(session);
      this.#serveWaiter();
      return;
    }
    const waiter = this.#waiters.shift();
    if (waiter === undefined) this.#free.push(session);
    else waiter.resolve(session);
  }

  /** Closes the free sessions now, the others when they are released; waiting work gets a LostError. */
  close(): void {
    this.#closed = true;
    this.#policies.clear();
    for (const waiter of this.#waiters.splice(0)) waiter.reject(new LostError());
    for (const session of this.#free.splice(0)) this.#closeSession(session);
  }

  async #useLater<R>(work: (session: Session) => R | Promise<R>): Promise<R> {
    const session = await this.wait();
    if (!this.#closed) return this.#useNow(session, work);
    // it was closed between the release of the session and now
    this.release(session);
    throw new LostError();
  }

  #useNow<R>(session: Session, work: (session: Session) => R | Promise<R>): R | Promise<R> {
    return after(
      () => work(session),
      (error) => {
        if (sessionLosses.has(ckrName(error) ?? '')) session.broken = true;
        this.release(session);
      },
    );
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
      const session = new Session(this.#calls, this.#calls.C_OpenSession(slot, flags));
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
      this.#calls.C_CloseSession(session.handle);
    } catch {
      // already closed, together with its token or library
    }
  }
}
