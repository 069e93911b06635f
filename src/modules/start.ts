import { join } from 'node:path';
import type { CallContext } from '../dbus/server/call.ts';
import { moduleIdOf } from '../ids.ts';
import type { modulesService } from '../interfaces/modules.ts';
import { Cancellations } from '../service/operations/cancellations.ts';
import type { StartContext, StartedService } from '../service/service-program.ts';
import { SharedReads } from '../service/shared-reads.ts';
import { workloadBackend } from './api/workload-backend.ts';
import { clientsOn } from './clients.ts';
import type { ModulesConfig } from './config/config.ts';
import { cgroupVersion } from './docker/confinement/engine-defaults.ts';
import { createOptionsValidator } from './docker/confinement/misfit.ts';
import type { ModuleSettings } from './docker/create-options/create-options.ts';
import { DockerEngine } from './docker/engine/docker-engine.ts';
import { isElevated, prepare, refuseUnconfined } from './docker/prepare.ts';
import { type SystemInfo, systemInfo } from './docker/system-info.ts';
import { modulesHandlers, modulesResolvers } from './handlers.ts';
import { Identities, onIdentityChange } from './identities.ts';
import type { ModuleSource } from './module-source.ts';
import { Records } from './registry/records.ts';
import { ModuleRuntime } from './service.ts';

/** Starts the Module Runtime: modules are looked after as soon as the service has its name. */
export async function startModules(
  context: StartContext<typeof modulesService, ModulesConfig>,
): Promise<StartedService<typeof modulesService, ModulesConfig>> {
  const { bus, objects, stateDir, cleanup, now, log, version } = context;
  // what is done is done with the settings in force when it begins
  let config = context.config;
  const clients = clientsOn(bus);
  const identities = new Identities(clients.identity, now);
  const engine = new DockerEngine(config.engineSocket);
  const socketsPath = join(stateDir, 'mnt');
  const validate = createOptionsValidator();
  let volumesSeen = new WeakSet<ModuleSource>();
  const parts = {
    get config() {
      return config;
    },
    engine,
    identities,
    validate,
    cgroupVersion: cgroupVersion(),
    socketsPath,
    get volumesSeen() {
      return volumesSeen;
    },
  };
  const registered: Pick<Identities, 'ensure'> = {
    ensure: (moduleId, via) => identities.get(moduleId, via),
  };
  const records = await Records.open(stateDir);
  cleanup.use(records.disk);
  const runtime = cleanup.use(
    new ModuleRuntime({
      get config() {
        return config;
      },
      engine,
      records,
      socketsPath,
      prepare: (source, via) => prepare(parts, source, via),
      foresee: (source, via) => prepare({ ...parts, identities: registered }, source, via),
      eraseIdentity: (name, via) => identities.erase(moduleIdOf(name), via),
      backend: (modules) =>
        workloadBackend({
          get config() {
            return config;
          },
          clients,
          identities,
          modules: () => modules.all().map((module) => module.summary()),
          containerId: (name) => modules.find(name)?.status.container?.id,
          sources: () => modules.all().map((module) => module.source),
          now,
          log,
        }),
      objects,
      now,
      log,
    }),
  );
  const system = new SharedReads<SystemInfo>();
  const options = {
    isElevated: (settings: ModuleSettings) => isElevated(parts, settings),
    refuseUnconfined: (source: ModuleSource) => refuseUnconfined(parts, source),
    elevatedCalls: new WeakSet<CallContext>(),
    cancellations: new Cancellations(),
    systemInfo: (signal: AbortSignal) =>
      system.get('', (read) => systemInfo(engine, version, read), signal),
    objects,
  };
  cleanup.use(
    await onIdentityChange(bus, () => {
      identities.clear();
      runtime.retryAll();
    }),
  );
  await runtime.open();
  return {
    handlers: modulesHandlers(runtime, options),
    resolvers: modulesResolvers(runtime, options),
    ready: () => runtime.observe(),
    onNameAcquired: () => runtime.start(),
    async reload(changed) {
      const before = config;
      const change = async (to: ModulesConfig, from: ModulesConfig): Promise<void> => {
        config = to;
        volumesSeen = new WeakSet(); // others may be allowed
        engine.use(to.engineSocket);
        await runtime.reconfigure(from);
      };
      try {
        await change(changed, before);
      } catch (error) {
        await change(before, changed);
        throw error;
      }
      return {};
    },
  };
}
