import type { Log } from '../service/log/log.ts';
import type { ModulesConfig } from './config/config.ts';
import type { ManagedModule } from './managed-module.ts';
import type { ModuleType } from './supervisor/module-type.ts';
import { type Admission, StartOrder } from './supervisor/order/start-order.ts';
import { inStartOrder, type RunningInstance, stopInOrder } from './supervisor/order/stop-order.ts';

/** Dependencies of the order of modules. */
export interface ModuleOrderOptions {
  readonly config: Pick<ModulesConfig, 'onStop'>;
  readonly type: Pick<ModuleType, 'stop'>;
  readonly modules: () => readonly ManagedModule[];
  readonly now: () => Date;
  readonly log: Log;
}

/** The order in which modules start, and stop with the service. */
export class ModuleOrder {
  readonly #options: ModuleOrderOptions;
  readonly #starts: StartOrder;
  #engineRanSince: Date | undefined;

  constructor(options: ModuleOrderOptions) {
    this.#options = options;
    const modules = () => options.modules().map((module) => module.ordered());
    this.#starts = new StartOrder({ ...options, modules });
  }

  /** Since when the engine has run at least, undefined when that is unknown. */
  get engineRanSince(): Date | undefined {
    return this.#engineRanSince;
  }

  /** Asks before each start of a module. */
  admit(name: string): Admission {
    return this.#starts.admit(name);
  }

  /** A module was added, changed or removed. */
  changed(): void {
    this.#starts.changed();
  }

  /** Before the modules are reconciled: what runs was running before the service. */
  begin(): void {
    // a service that stops its modules leaves none of which the end is its own
    if (this.#options.config.onStop === 'stop') return;
    this.#engineRanSince = inStartOrder(this.#running())[0]?.startedAt;
  }

  /** Stops all modules if the configuration says so; what supervises them ends with `ended`. Their sockets are served until then. */
  async end(ended: () => Promise<unknown>): Promise<void> {
    const { config, modules } = this.#options;
    if (config.onStop === 'leave') return;
    for (const module of modules()) module.halt();
    await ended();
    await stopInOrder(this.#running(), this.#options);
  }

  #running(): readonly RunningInstance[] {
    return this.#options.modules().flatMap((module) => module.runningInstance() ?? []);
  }
}
