/**
 * The order in which modules start, at every start: a module waits while one that is to start before it is about to
 * start. Like `After=` of systemd this is an order and no requirement: it does not wait for one that is missing, that is not
 * to run, or whose start failed, nor in a circle, and never longer than a limit.
 */
import { quoted } from '../../../quoted.ts';
import type { Log } from '../../../service/log/log.ts';
import type { ModuleState } from '../status.ts';

/** A module as the order needs it. */
export interface OrderedModule {
  readonly name: string;
  /** The modules that start before it. */
  readonly startAfter: readonly string[];
  readonly state: ModuleState;
  /** Whether it is to run. */
  readonly isToRun: boolean;
  readonly wake: () => void;
}

/** Dependencies of an order. */
export interface StartOrderOptions {
  readonly modules: () => readonly OrderedModule[];
  readonly now: () => Date;
  readonly log: Log;
  /** The longest that a module waits for others. */
  readonly longestMs?: number | undefined;
}

/** Whether a module may start: what it waits for, to start or for another event, until when, or a warning about the order, `` for none. */
export type Admission =
  | { readonly waitsFor: string; readonly until: Date; readonly event?: 'be removed' }
  | { readonly waitsFor: undefined; readonly warning: string };

/** Long enough to pull an image on a slow line. */
const longestMs = 300_000;
const pending: ReadonlySet<ModuleState> = new Set(['unknown', 'pulling', 'starting']);

type Modules = ReadonlyMap<string, OrderedModule>;

/** Lets modules start in their order. */
export class StartOrder {
  readonly #options: StartOrderOptions;
  /** Since when modules wait. */
  readonly #waiting = new Map<string, Date>();
  #isChecking = false;

  constructor(options: StartOrderOptions) {
    this.#options = options;
  }

  /** Asks before each start of a module; it is woken when it may start. */
  admit(name: string): Admission {
    const { now, log } = this.#options;
    const modules = this.#modules();
    const known = this.#waiting.get(name) ?? now();
    // a clock that was set back does not prolong the wait
    const since = known < now() ? known : now();
    const until = new Date(since.getTime() + (this.#options.longestMs ?? longestMs));
    const first = pendingOf(name, modules);
    if (first !== undefined && until > now()) {
      this.#waiting.set(name, since);
      return { waitsFor: first, until };
    }
    this.#waiting.delete(name);
    const late = first === undefined ? [] : [`did not wait longer for ${quoted(first)}`];
    const warning = [...problemsOf(name, modules), ...late].join('; ');
    if (warning !== '') log.warn('start order not kept', { module: name, reason: warning });
    return { waitsFor: undefined, warning };
  }

  /** A module was added, changed or removed: wakes those that may start now. */
  changed(): void {
    if (this.#isChecking || this.#waiting.size === 0) return;
    this.#isChecking = true;
    // many modules change together
    setImmediate(() => {
      this.#isChecking = false;
      const modules = this.#modules();
      for (const name of this.#waiting.keys()) {
        const module = modules.get(name);
        if (module?.isToRun !== true) this.#waiting.delete(name);
        if (pendingOf(name, modules) === undefined) module?.wake();
      }
    });
  }

  #modules(): Modules {
    return new Map(this.#options.modules().map((module) => [module.name, module]));
  }
}

/** The first module that the one of this name waits for. */
function pendingOf(name: string, modules: Modules): string | undefined {
  return modules.get(name)?.startAfter.find((other) => {
    const before = modules.get(other);
    const isPending = before?.isToRun === true && pending.has(before.state);
    return isPending && !startsAfter(other, name, modules);
  });
}

/** Why the order of a module cannot be kept. */
function problemsOf(name: string, modules: Modules): readonly string[] {
  const others = modules.get(name)?.startAfter ?? [];
  return others.flatMap((other) => {
    if (!modules.has(other)) return [`start_after: no module ${quoted(other)}`];
    const isCircle = startsAfter(other, name, modules);
    return isCircle ? [`start_after: ${quoted(other)} starts after this module`] : [];
  });
}

/** Whether one module starts after another, directly or not. */
function startsAfter(one: string, other: string, modules: Modules): boolean {
  const seen = new Set<string>();
  const open = [one];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (next === other) return true;
    if (seen.has(next)) continue;
    seen.add(next);
    open.push(...(modules.get(next)?.startAfter ?? []));
  }
  return false;
}
