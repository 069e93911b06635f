/** How long verdicts may be reused, counted from the start of the check. */
export interface VerdictLifetimes {
  readonly yesMs: number;
  readonly noMs: number;
}

interface Verdict {
  readonly sender: string;
  readonly allowed: boolean;
  readonly until: number;
}

const maxVerdicts = 4096;

/** Verdicts by request, cached until their caller leaves the bus or something that they were based on changes. */
export class VerdictCache {
  /** Applies to verdicts that are cached from now on. */
  lifetimes: VerdictLifetimes;
  readonly #verdicts = new Map<string, Verdict>();
  readonly #keysBySender = new Map<string, Set<string>>();
  #generation = 0;

  constructor(lifetimes: VerdictLifetimes) {
    this.lifetimes = lifetimes;
  }

  /** How many times the cache was cleared: a verdict of a check that started in an earlier generation is not cached. */
  get generation(): number {
    return this.#generation;
  }

  /** The cached verdict, undefined when there is none or it has expired. */
  get(key: string, now: number): boolean | undefined {
    const verdict = this.#verdicts.get(key);
    if (verdict === undefined) return undefined;
    if (now < verdict.until) return verdict.allowed;
    this.#remove(key, verdict);
    return undefined;
  }

  /** Caches the verdict of a check that started at that time, in that generation. */
  add(
    key: string,
    sender: string,
    verdict: { readonly allowed: boolean; readonly askedAt: number; readonly generation: number },
  ): void {
    const { allowed, askedAt, generation } = verdict;
    const lifetime = allowed ? this.lifetimes.yesMs : this.lifetimes.noMs;
    if (lifetime <= 0 || generation !== this.#generation) return;
    const before = this.#verdicts.get(key);
    if (before !== undefined) this.#remove(key, before);
    this.#removeExpired(askedAt);
    if (this.#verdicts.size >= maxVerdicts) this.#removeOldest();
    this.#verdicts.set(key, { sender, allowed, until: askedAt + lifetime });
    const keys = this.#keysBySender.get(sender);
    if (keys === undefined) this.#keysBySender.set(sender, new Set([key]));
    else keys.add(key);
  }

  /** Evicts the verdicts of a caller that left the bus. */
  evictSender(sender: string): void {
    for (const key of this.#keysBySender.get(sender) ?? []) this.#verdicts.delete(key);
    this.#keysBySender.delete(sender);
  }

  /** Evicts everything; verdicts of pending checks will not be cached. */
  evictAll(): void {
    this.#generation++;
    this.#verdicts.clear();
    this.#keysBySender.clear();
  }

  get size(): number {
    return this.#verdicts.size;
  }

  #removeExpired(now: number): void {
    for (const [key, verdict] of this.#verdicts) {
      if (verdict.until <= now) this.#remove(key, verdict);
    }
  }

  #removeOldest(): void {
    for (const [key, verdict] of this.#verdicts) {
      this.#remove(key, verdict);
      return;
    }
  }

  #remove(key: string, { sender }: Verdict): void {
    this.#verdicts.delete(key);
    const keys = this.#keysBySender.get(sender);
    keys?.delete(key);
    if (keys?.size === 0) this.#keysBySender.delete(sender);
  }
}
