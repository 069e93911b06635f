import { ServiceError } from '../errors.ts';

/** How much one owner may have under way. */
export interface Allowance {
  readonly calls: number;
  readonly bytes: number;
}

/** How much may be under way. */
export interface CallLimits {
  /** Of each uid but root. */
  readonly perUid: Allowance;
  /** Of root: with what is above the others', a machine can be repaired while a program of root's is out of hand. */
  readonly root: Allowance;
  /** For all uids but root together; root keeps what is above. */
  readonly calls: number;
}

/** 64 calls and 64 MiB a uid, twice that for root, 512 calls in all. */
export const defaultCallLimits: CallLimits = {
  perUid: { calls: 64, bytes: 64 << 20 },
  root: { calls: 128, bytes: 128 << 20 },
  calls: 512,
};

/** What each owner, such as a uid, has under way. */
export class CallBudget<Owner extends number | string> {
  readonly #usage = new Map<Owner, { calls: number; bytes: number }>();
  #calls = 0;

  /** Calls under way. */
  get calls(): number {
    return this.#calls;
  }

  /** Counts a call in; LimitsExceeded when the owner has too much under way. */
  enter(owner: Owner, bytes: number, most: Allowance): void {
    const usage = this.#usage.get(owner) ?? { calls: 0, bytes: 0 };
    if (usage.calls >= most.calls || usage.bytes + bytes > most.bytes) {
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
  readonly #byUid = new CallBudget<number>();
  #others = 0;

  constructor(limits: CallLimits) {
    this.#limits = limits;
  }

  /** Calls under way. */
  get calls(): number {
    return this.#byUid.calls;
  }

  /** Counts a call in; LimitsExceeded when the uid, or all but root, have too much under way. */
  enter(uid: number, bytes: number): void {
    const { calls, perUid, root } = this.#limits;
    if (uid !== 0 && this.#others >= calls) {
      throw new ServiceError('LimitsExceeded', `${this.#others} calls are under way`);
    }
    this.#byUid.enter(uid, bytes, uid === 0 ? root : perUid);
    if (uid !== 0) this.#others++;
  }

  /** Counts a call out. */
  leave(uid: number, bytes: number): void {
    this.#byUid.leave(uid, bytes);
    if (uid !== 0) this.#others--;
  }
}
