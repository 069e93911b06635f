import type { PullProgress } from './engine.ts';
import type { Goal, Report } from './goal.ts';
import type { Step } from './plan.ts';

const progressMs = 500;
const atRest = { step: undefined, progress: 0, progressText: '' } as const;

/** How a module is, kept up to date and told on with every change. */
export class LiveReport {
  readonly #now: () => Date;
  readonly #onReport: (report: Report) => void;
  #current: Report;
  #progressAt = 0;

  constructor(goal: Goal, now: () => Date, onReport: (report: Report) => void) {
    this.#now = now;
    this.#onReport = onReport;
    const unknown = { container: undefined, known: false, retryAt: undefined, error: '', note: '' };
    this.#current = { goal, ...unknown, ...atRest, restartCount: 0 };
  }

  get current(): Report {
    return this.#current;
  }

  tell(changes: Partial<Report>): void {
    this.#current = { ...this.#current, ...changes };
    this.#onReport(this.#current);
  }

  /** Tells of a step for as long as it takes. */
  async during(step: Step['kind'], work: () => Promise<void>): Promise<void> {
    this.tell({ step, progress: 0, progressText: step });
    try {
      await work();
    } finally {
      this.tell(atRest);
    }
  }

  /** Tells how far a step is, now and then: an engine says more than anybody wants to hear. */
  progress({ fraction, text }: PullProgress): void {
    const now = this.#now().getTime();
    if (now - this.#progressAt < progressMs) return;
    this.#progressAt = now;
    this.tell({ progress: Math.round(fraction * 100) / 100, progressText: text });
  }
}
