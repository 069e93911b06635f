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

/** Counts what is under way by uid: by connection an attacker would only open more connections. */
export class CallCounter {
  readonly #limits: CallLimits;
  readonly #usage = new Map<number, Usage>();
  #calls = 0;
  #others = 0;

  constructor(limits: CallLimits) {
    this.#limits = limits;
  }

  /** Calls under way. */
  get calls(): number {
    return this.#calls;
  }

  /** Counts a call in; LimitsExceeded when the uid has too much under way. */
  enter(uid: number, bytes: number): void {
    const usage = this.#usage.get(uid) ?? { calls: 0, bytes: 0 };
    if (usage.calls >= this.#limits.callsPerUid || usage.bytes + bytes > this.#limits.bytesPerUid) {
      throw new ServiceError('LimitsExceeded', `uid ${uid} has ${usage.calls} calls under way`);
    }
    if (uid !== 0 && this.#others >= this.#limits.calls) {
      throw new ServiceError('LimitsExceeded', `${this.#others} calls are under way`);
    }
    usage.calls++;
    usage.bytes += bytes;
    this.#usage.set(uid, usage);
    this.#calls++;
    if (uid !== 0) this.#others++;
  }

  /** Counts a call out. */
  leave(uid: number, bytes: number): void {
    const usage = this.#usage.get(uid);
    if (usage === undefined) return;
    usage.calls--;
    usage.bytes -= bytes;
    if (usage.calls === 0) this.#usage.delete(uid);
    this.#calls--;
    if (uid !== 0) this.#others--;
  }
}
