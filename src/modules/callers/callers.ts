import type { ModuleName } from '../../ids.ts';
import type { Cgroup, InstanceCgroups } from '../supervisor/module-type.ts';
import { isRoot, isWithin } from './cgroup.ts';

/** A module may call as soon as its container runs, which is before the engine has described that. */
const startMs = 2_000;
const checkMs = 25;

/** The part of a module by which its processes are recognized. */
export interface CallingModule {
  readonly name: ModuleName;
  /** Of its instance as it was observed last; undefined while it does not run. */
  readonly cgroups: InstanceCgroups | undefined;
  /** Whether it is being started. */
  readonly isStarting: boolean;
}

/** A request of a process that is of no module yet. */
interface Waiter {
  readonly caller: Cgroup;
  readonly until: number;
  readonly resolve: (module: ModuleName | undefined) => void;
}

/**
 * Recognizes the processes of modules by their control groups. A module whose group is not its own alone has no callers:
 * it is the root, or contains the runtime, what runs the module, or another module.
 */
export class Callers {
  readonly #modules: () => readonly CallingModule[];
  readonly #own: Cgroup;
  /** All are checked together: a flood of strangers costs no more than one. */
  readonly #waiting = new Set<Waiter>();

  /** `own` is the group of this process. */
  constructor(modules: () => readonly CallingModule[], own: Cgroup) {
    this.#modules = modules;
    this.#own = own;
  }

  /** The module of a process as it is known now, undefined for any other process. */
  find(caller: Cgroup): ModuleName | undefined {
    return this.#find(this.#modules(), caller);
  }

  /** As `find`; waits a moment for it while a module is being started. */
  moduleOf(caller: Cgroup): Promise<ModuleName | undefined> {
    const modules = this.#modules();
    const module = this.#find(modules, caller);
    if (module !== undefined || !isAnyStarting(modules)) return Promise.resolve(module);
    return new Promise((resolve) => {
      if (this.#waiting.size === 0) this.#checkLater();
      this.#waiting.add({ caller, until: performance.now() + startMs, resolve });
    });
  }

  #checkLater(): void {
    setTimeout(() => this.#check(), checkMs);
  }

  #check(): void {
    const modules = this.#modules();
    const isStarting = isAnyStarting(modules);
    const now = performance.now();
    const found = new Map<string, ModuleName | undefined>();
    for (const waiter of this.#waiting) {
      const { caller, until, resolve } = waiter;
      const key = `${caller.unified}\0${caller.systemd}`;
      const module = found.has(key) ? found.get(key) : this.#find(modules, caller);
      found.set(key, module);
      if (module === undefined && isStarting && now <= until) continue;
      this.#waiting.delete(waiter);
      resolve(module);
    }
    if (this.#waiting.size > 0) this.#checkLater();
  }

  #find(modules: readonly CallingModule[], caller: Cgroup): ModuleName | undefined {
    const found = modules.filter(({ cgroups }) => cgroups && isWithin(caller, cgroups.main));
    return found.find((module) => this.#hasOwnGroup(module, modules))?.name;
  }

  #hasOwnGroup(module: CallingModule, modules: readonly CallingModule[]): boolean {
    const { cgroups } = module;
    if (cgroups === undefined || isRoot(cgroups.main)) return false;
    const others = modules.flatMap((other) =>
      other === module || other.cgroups === undefined ? [] : [other.cgroups.main],
    );
    const foreign = [this.#own, cgroups.parent, ...others];
    return !foreign.some((group) => isWithin(group, cgroups.main));
  }
}

function isAnyStarting(modules: readonly CallingModule[]): boolean {
  return modules.some(({ isStarting }) => isStarting);
}
