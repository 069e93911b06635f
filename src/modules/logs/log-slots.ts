import { ServiceError } from '../../errors.ts';

/** How many logs are open at the same time. */
export interface LogLimits {
  readonly ofUid: number;
  readonly inAll: number;
}

/** Counts open logs by the uid of their reader. */
export class LogSlots {
  readonly #limits: LogLimits;
  readonly #open = new Map<number, number>();

  constructor(limits: LogLimits) {
    this.#limits = limits;
  }

  /** Occupies a place until it is disposed of; LimitsExceeded when there is none. */
  take(uid: number): Disposable {
    const { inAll, ofUid } = this.#limits;
    const own = this.#open.get(uid) ?? 0;
    if (own >= ofUid) {
      throw new ServiceError('LimitsExceeded', `uid ${uid} has ${ofUid} logs open`);
    }
    const all = [...this.#open.values()].reduce((sum, count) => sum + count, 0);
    if (all >= inAll) throw new ServiceError('LimitsExceeded', `${inAll} logs are open`);
    this.#open.set(uid, own + 1);
    let isFree = false;
    return {
      [Symbol.dispose]: () => {
        if (isFree) return;
        isFree = true;
        const left = (this.#open.get(uid) ?? 0) - 1;
        if (left > 0) this.#open.set(uid, left);
        else this.#open.delete(uid);
      },
    };
  }
}
