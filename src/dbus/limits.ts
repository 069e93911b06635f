import { ServiceError } from '../errors.ts';

/** How much one uid, and all uids but root together, may have under way. */
export interface CallLimits {
  readonly callsPerUid: number;
  readonly bytesPerUid: number;
  /** For all uids but root; root keeps what is above. */
  readonly calls: number;
}

/** 64 calls and 64 MiB a uid, 512 calls in all. */
export const defaultCallLimits: CallLimits = {
  callsPerUid: 64,
  bytesPerUid: 64 << 20,
  calls: 512,
};

interface Usage {
  calls: number;
  bytes: number;
}

/** What each owner, such as a uid, has under way. */
export class CallBudget<Owner extends number | string> {
  readonly #limits: Pick<CallLimits, 'callsPerUid' | 'bytesPerUid'>;
  readonly #usage = new Map<Owner, Usage>();
  #calls = 0;

  constructor(limits: Pick<CallLimits, 'callsPerUid' | 'bytesPerUid'>) {
    this.#limits = limits;
  }

  /** Calls under way. */
  get calls(): number {
    return this.#calls;
  }

  /** Counts a call in; LimitsExceeded when the owner has too much under way. */
  enter(owner: Owner, bytes: number): void {
    const usage = this.#usage.get(owner) ?? { calls: 0, bytes: 0 };
    const { callsPerUid, bytesPerUid } = this.#limits;
    if (usage.calls >= callsPerUid || usage.bytes + bytes > bytesPerUid) {
      const has = `${usage.calls} calls and ${usage.bytes} bytes under way`;
      const who = typeof owner === 'number' ? `uid ${owner}` : owner;
      throw new ServiceError('LimitsExceeded', `${who} has ${has}`);
    }
    usage.calls++;
    usage.bytes += bytes;
    this.#usage.set(owner, usage);
    this.#calls++;
  }

  /** Counts a call out. */
  leave(owner: Owner, bytes: number): void {
    const usage = this.#usage.get(owner);
    if (usage === undefined) return;
    usage.calls--;
    usage.bytes -= bytes;
    if (usage.calls === 0) this.#usage.delete(owner);
    this.#calls--;
  }
}

/** Counts what is under way by uid: by connection an attacker would only open more connections. */
export class CallCounter {
  readonly #limits: CallLimits;
  readonly #byUid: CallBudget<number>;
  #others = 0;

  constructor(limits: CallLimits) {
    this.#limits = limits;
    this.#byUid = new CallBudget(limits);
  }

  /** Calls under way. */
  get calls(): number {
    return this.#byUid.calls;
  }

  /** Counts a call in; LimitsExceeded when the uid, or all but root, have too much under way. */
  enter(uid: number, bytes: number): void {
    if (uid !== 0 && this.#others >= this.#limits.calls) {
      throw new ServiceError('LimitsExceeded', `${this.#others} calls are under way`);
    }
    this.#byUid.enter(uid, bytes);
    if (uid !== 0) this.#others++;
  }

  /** Counts a call out. */
  leave(uid: number, bytes: number): void {
    this.#byUid.leave(uid, bytes);
    if (uid !== 0) this.#others--;
  }
}
