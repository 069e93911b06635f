import type { ObjectManager } from '../../dbus/server/object-manager.ts';
import { describeError, ServiceError } from '../../errors.ts';
import type { ModuleName } from '../../ids.ts';
import type { modulesService } from '../../interfaces/modules.ts';
import { releaseMemory } from '../../native/release-memory.ts';
import type { Log } from '../../service/log/log.ts';
import type { Repeats } from '../../service/log/repeats.ts';
import type { ConnectionLimits } from '../api/http/connections.ts';
import type { ExchangeServer } from '../api/http/exchange.ts';
import type { Route } from '../api/http/route.ts';
import { serveSocket } from '../api/http/socket.ts';
import { managementServer } from '../api/management/management.ts';
import { ModuleSockets, type ModuleSocketsParts } from '../api/sockets/module-socket.ts';
import { HostWorkload } from '../api/workload/host-workload.ts';
import type { ModulesBackend } from '../api/workload/workload-backend.ts';
import { WorkloadServers } from '../api/workload/workload-servers.ts';
import { Callers } from '../callers/callers.ts';
import { ManagedModule, type ModuleParts, type OpenedModule } from '../managed-module.ts';
import type { ModuleSource } from '../module-source.ts';
import { isAbsence } from '../supervisor/desired-state.ts';
import type { Cgroup } from '../supervisor/module-type.ts';
import type { ModuleHistories } from './module-histories.ts';
import type { Records } from './records.ts';

/** Longer than a creation takes. */
const quietMs = 10_000;

/** Dependencies of the registry. */
export interface RegistryOptions {
  readonly module: Omit<ModuleParts, 'sockets' | 'remove' | 'onChange'>;
  readonly sockets: Omit<ModuleSocketsParts, 'serve'>;
  /** Counts refused and failed requests of modules. */
  readonly requests: Repeats;
  readonly connections: ConnectionLimits;
  /** Creates the backend of the modules' workload API, which lists the modules. */
  readonly backend: (modules: ModuleRegistry) => ModulesBackend;
  /** The management API of the agent. */
  readonly management: () => readonly Route[];
  readonly records: Pick<Records, 'delete'>;
  readonly histories: Pick<ModuleHistories, 'get' | 'note' | 'delete'>;
  readonly objects: Pick<ObjectManager<typeof modulesService>, 'put' | 'remove'>;
  /** A module was added, changed or removed. */
  readonly onChange: () => void;
  readonly log: Log;
}

/** All modules, from their opening until everything of them is removed. */
export class ModuleRegistry {
  /** The workload API, on whatever socket. */
  readonly workload: WorkloadServers;
  readonly #parts: RegistryOptions;
  readonly #modules = new Map<ModuleName, ManagedModule>();
  readonly #backend: ModulesBackend;
  readonly #sockets: ModuleSockets;
  #quiet: NodeJS.Timeout | undefined;

  constructor(parts: RegistryOptions) {
    const { connections, log, requests } = parts;
    this.#parts = parts;
    const backend = parts.backend(this);
    this.#backend = backend;
    this.workload = new WorkloadServers({ backend, log, requests });
    this.#sockets = new ModuleSockets({
      ...parts.sockets,
      serve: (api, module, place) => {
        const server =
          api === 'workload'
            ? this.workload.of(module)
            : managementServer(parts.management(), { module, log, requests });
        return serveSocket(place, server, connections);
      },
    });
  }

  /** The workload API for processes that call on a socket of the host; `own` is the group of this one. */
  hostWorkload(own: Cgroup): ExchangeServer {
    const callers = new Callers(() => this.all().map(({ caller }) => caller), own);
    return new HostWorkload({ callers, servers: this.workload, requests: this.#parts.requests });
  }

  /** Retries at once those that something has changed for, and those that lack what other services provide. */
  retry(isChanged: (name: ModuleName) => boolean): void {
    for (const { name, supervisor } of this.all()) {
      // one that crashes keeps its delay; and of a hundred, the creation of one must not make the others ask the engine
      if (isChanged(name) || !supervisor.isPrepared) supervisor.retry();
    }
  }

  all(): readonly ManagedModule[] {
    return [...this.#modules.values()];
  }

  find(name: string): ManagedModule | undefined {
    return this.all().find((module) => module.name === name);
  }

  /** The configurations of all modules but one, during updates several of each. */
  sourcesBeside(name: ModuleName): readonly ModuleSource[] {
    return this.all().flatMap((module) => (module.name === name ? [] : module.sources));
  }

  /** The module of that name, or NotFound. */
  require(name: string): ManagedModule {
    const module = this.find(name);
    if (module === undefined) {
      throw new ServiceError('NotFound', `no module ${JSON.stringify(name)}`);
    }
    return module;
  }

  /** Opens a module; it is not published yet, and its container is left alone until the module is run. */
  async open(opened: Omit<OpenedModule, 'history'>): Promise<ManagedModule> {
    const { saved, source } = opened;
    const parts: ModuleParts = {
      ...this.#parts.module,
      sockets: this.#sockets,
      remove: (module) => this.remove(module),
      onChange: (module) => this.show(module),
    };
    // that of a new module is another one's
    const isKnown = !isAbsence(saved.goal);
    const history = isKnown ? this.#parts.histories.get(source.name) : undefined;
    const module = await ManagedModule.open(parts, { ...opened, history });
    this.#modules.set(source.name, module);
    this.#releaseMemory();
    return module;
  }

  /** Binds the sockets of all modules as the configuration in force names them. */
  rebindSockets(): Promise<void> {
    return this.#sockets.rebind();
  }

  /** Removes the persisted state of a module, and only then the module. Never rejects. */
  async remove(module: ManagedModule): Promise<void> {
    const { histories, log, objects, records } = this.#parts;
    try {
      await module.removeDirectory();
      await records.delete(module.name);
    } catch (error) {
      log.error('module not removed', { module: module.name, error: describeError(error) });
    }
    // not earlier: a new module of the same name would share its record and its directory
    this.#modules.delete(module.name);
    this.workload.delete(module.name);
    objects.remove(module.name);
    this.#notifyChange();
    // not earlier: its last status would be noted again
    await histories.delete(module.name);
  }

  /** Publishes the current properties of a module. */
  show(module: ManagedModule): void {
    if (this.#modules.get(module.name) !== module) return;
    this.#parts.histories.note(module.name, module.history);
    this.#parts.objects.put(module.name, module.properties());
    this.#notifyChange();
  }

  /** Once no more are opened: V8 would keep what a hundred creations needed for as long as little happens. */
  #releaseMemory(): void {
    clearTimeout(this.#quiet);
    this.#quiet = setTimeout(() => void releaseMemory(), quietMs).unref();
  }

  #notifyChange(): void {
    this.#backend.evictModules();
    this.#parts.onChange();
  }
}
