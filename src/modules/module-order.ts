import type { Log } from '../service/log/log.ts';
import type { ModulesConfig } from './config/config.ts';
import type { ManagedModule } from './managed-module.ts';
import type { ModuleType } from './supervisor/module-type.ts';
import { type Admission, StartOrder } from './supervisor/order/start-order.ts';
import { inStartOrder, type RunningInstance, stopInOrder } from './supervisor/order/stop-order.ts';

/** Dependencies of the order of modules. */
export interface ModuleOrderOptions {
  readonly config: Pick<ModulesConfig, 'agent' | 'onStop'>;
  readonly type: Pick<ModuleType, 'stop'>;
  readonly modules: () => readonly ManagedModule[];
  readonly now: () => Date;
  readonly log: Log;
}

/** The longest until the agent is checked again that waits for the end of a former one. */
const formerCheckMs = 5_000;

/** The order in which modules start, and stop with the service. */
export class ModuleOrder {
  readonly #options: ModuleOrderOptions;
  readonly #starts: StartOrder;
  #engineRanSince: Date | undefined;
  /** Whether the agent waits for the end of a former one. */
  #agentWaits = false;

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
    const { config, now } = this.#options;
    // two agents do not run
    const former = name === config.agent?.name ? this.#formerAgent() : undefined;
    if (former === undefined) return this.#starts.admit(name);
    this.#agentWaits = true;
    const until = new Date(now().getTime() + formerCheckMs);
    return { waitsFor: former.name, event: 'be removed', until };
  }

  /** A module was added, changed or removed. */
  changed(): void {
    this.#starts.changed();
    if (!this.#agentWaits || this.#formerAgent() !== undefined) return;
    this.#agentWaits = false;
    const { config, modules } = this.#options;
    const agent = modules().find(({ name }) => name === config.agent?.name);
    agent?.supervisor.wake();
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

  /** An agent that modules.yaml no longer names, until it is removed. */
  #formerAgent(): ManagedModule | undefined {
    const { config, modules } = this.#options;
    const isFormer = ({ name, source }: ManagedModule) =>
      source.base !== undefined && name !== config.agent?.name;
    return modules().find(isFormer);
  }

  #running(): readonly RunningInstance[] {
    return this.#options.modules().flatMap((module) => module.runningInstance() ?? []);
  }
}
