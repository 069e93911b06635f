import { join } from 'node:path';
import type { CallContext } from '../dbus/server/call.ts';
import { moduleIdOf } from '../ids.ts';
import type { modulesService } from '../interfaces/modules.ts';
import { Cancellations } from '../service/operations/cancellations.ts';
import type { StartContext, StartedService } from '../service/service-program.ts';
import { SharedReads } from '../service/shared-reads.ts';
import { type ConnectionLimits, connectionLimits } from './api/http/connections.ts';
import { SharedConnections } from './api/http/shared-connections.ts';
import { type DeviceParts, deviceRoutes } from './api/management/device-routes.ts';
import { managementRoutes, managementServer } from './api/management/management.ts';
import { type AdmissionParts, modulesManagement } from './api/management/modules-backend.ts';
import { serveHostSockets } from './api/sockets/host-sockets.ts';
import { moduleSocketStore } from './api/sockets/module-socket-store.ts';
import { IssuingCas } from './api/workload/issuing-cas.ts';
import { workloadBackend } from './api/workload/workload-backend.ts';
import { WorkloadCa, workloadCaMethod } from './api/workload/workload-ca.ts';
import { ownCgroup } from './callers/process-cgroup.ts';
import { type Clients, clientsOn } from './clients.ts';
import type { ModulesConfig } from './config/config.ts';
import { cgroupVersion } from './docker/confinement/engine-defaults.ts';
import { createOptionsValidator } from './docker/confinement/policy-violation.ts';
import { DockerModules } from './docker/docker-modules.ts';
import { isElevated, refuseUnconfined } from './docker/elevation.ts';
import type { DockerEngine } from './docker/engine/docker-engine.ts';
import { fetchImage } from './docker/module-image.ts';
import { openEngine } from './docker/open-engine.ts';
import { type PrepareParts, prepare } from './docker/prepare.ts';
import { StartLimiter } from './docker/start-limiter.ts';
import { type SystemInfo, systemInfo } from './docker/system-info.ts';
import { resolveUpstream } from './docker/upstream-image.ts';
import { type ModulesHandlersOptions, modulesHandlers, modulesResolvers } from './handlers.ts';
import { Identities, onIdentityChange } from './identities.ts';
import { openLogDirectory } from './logs/log-directory.ts';
import { LogSockets } from './logs/log-sockets.ts';
import { ModuleHistories } from './registry/module-histories.ts';
import { Records } from './registry/records.ts';
import { configuredAgent } from './registry/restore.ts';
import { wantedImages } from './registry/wanted-images.ts';
import { StatsSampler } from './resources/container-stats.ts';
import { Disks } from './resources/disks.ts';
import { sharedResources } from './resources/resources.ts';
import { ModuleRuntime, type ModuleRuntimeOptions } from './service.ts';

type Context = StartContext<typeof modulesService, ModulesConfig>;
type Started = StartedService<typeof modulesService, ModulesConfig>;

/** The configuration in force. Parts read it through getters: an operation uses the one in force when it begins. */
interface Current {
  config: ModulesConfig;
  volumesSeen: PrepareParts['volumesSeen'];
}

/** The parts of the service that do not depend on its configuration. */
interface Parts {
  readonly clients: Clients;
  readonly identities: Identities;
  readonly engine: DockerEngine;
  readonly records: Records;
  readonly histories: ModuleHistories;
  readonly issuingCas: IssuingCas;
  readonly workloadCa: WorkloadCa;
  readonly socketsPath: string;
  readonly connections: ConnectionLimits;
  readonly resources: ReturnType<typeof sharedResources>;
}

/** Starts the Module Runtime: modules are reconciled as soon as the service has its name. */
export async function startModules(context: Context): Promise<Started> {
  const { bus, config, stateDir, cleanup, now, log, sockets } = context;
  const current: Current = { config, volumesSeen: new WeakSet() };
  const clients = clientsOn(bus);
  const identities = new Identities(clients.identity, now);
  const inForce = () => current.config;
  const onNetwork = (problem: string) => runtime.reportNetwork(problem);
  const { engine, imageCleanup } = await openEngine({
    stateDir,
    config: inForce,
    onNetwork,
    now,
    log,
  });
  const records = await Records.open(stateDir);
  cleanup.use(records.disk);
  const histories = cleanup.use(await ModuleHistories.open(stateDir, { log }));
  const issuingCas = await IssuingCas.open(join(stateDir, 'issuing-cas.json'), { now, log });
  const workloadCa = cleanup.use(
    new WorkloadCa({
      certificates: clients.certificates,
      method: workloadCaMethod(bus),
      deviceCa: () => current.config.deviceCa,
      now,
      log,
    }),
  );
  const connections = { ...connectionLimits, shared: new SharedConnections() };
  const socketsPath = join(stateDir, 'mnt');
  const resources = sharedResources({
    disks: new Disks(),
    sampler: new StatsSampler(engine.reports),
  });
  const places = { records, histories, issuingCas, workloadCa, socketsPath };
  const parts = { clients, identities, engine, connections, resources, ...places };
  const preparation = preparationParts(current, parts);
  const runtime = cleanup.use(
    new ModuleRuntime(runtimeOptions(context, { ...parts, current, preparation })),
  );
  const demand = () => ({ sources: runtime.sources(), agent: current.config.agent, records });
  const images = cleanup.use(imageCleanup(() => wantedImages(demand())));
  const logSockets = cleanup.use(new LogSockets(openLogDirectory(context), { log: context.log }));
  const options = handlersOptions(context, {
    engine,
    logSockets,
    preparation,
    resources: (signal) => resources(runtime.names(), signal),
  });
  cleanup.use(
    await onIdentityChange(bus, (concerns) => {
      identities.clear();
      runtime.retryIdentities((name) => concerns(moduleIdOf(name)));
    }),
  );
  await runtime.open();
  const servers = {
    management: managementServer(runtime.management, { log, requests: runtime.requests }),
    workload: runtime.hostWorkload(ownCgroup()),
  };
  cleanup.use(await serveHostSockets(config.listen, { sockets, connections, servers, log }));
  return {
    handlers: modulesHandlers(runtime, options),
    resolvers: modulesResolvers(runtime, options),
    ready: () => runtime.observe(),
    onNameAcquired: () => {
      runtime.start();
      images.start();
    },
    reload: (changed) => reload(changed, { current, engine, runtime }),
  };
}

function preparationParts(
  current: Current,
  { engine, identities, socketsPath }: Parts,
): PrepareParts {
  return {
    get config() {
      return current.config;
    },
    get volumesSeen() {
      return current.volumesSeen;
    },
    engine,
    identities,
    socketsPath,
    validate: createOptionsValidator(),
    cgroupVersion: cgroupVersion(),
    limiter: new StartLimiter(),
  };
}

function runtimeOptions(
  context: Context,
  parts: Parts & { readonly current: Current; readonly preparation: PrepareParts },
): ModuleRuntimeOptions {
  const { objects, now, log, sockets } = context;
  const { clients, connections, current, engine, identities, preparation } = parts;
  const { histories, issuingCas, records, socketsPath, workloadCa } = parts;
  const registered: Pick<Identities, 'ensure'> = {
    ensure: (moduleId, via) => identities.get(moduleId, via),
  };
  return {
    get config() {
      return current.config;
    },
    type: new DockerModules(engine, log),
    records,
    histories,
    socketsPath,
    socketStore: moduleSocketStore(sockets),
    connections,
    prepare: (source, via) => prepare(preparation, source, via),
    foresee: (source, via) => prepare({ ...preparation, identities: registered }, source, via),
    fetch: async ({ settings }, via) => {
      const hosts = async () => (await clients.identity.GetDeviceIdentity({}, via)).identity;
      await fetchImage(engine, await resolveUpstream(settings, hosts), via.signal);
    },
    eraseIdentity: (name, via) => identities.erase(moduleIdOf(name), via),
    reclaimIdentity: (name) => identities.reclaim(moduleIdOf(name)),
    // a device without an engine has no use for it
    onEngine: () => workloadCa.start(),
    backend: (modules) =>
      workloadBackend({
        get config() {
          return current.config;
        },
        clients,
        identities,
        modules: () => modules.all().map((module) => module.summary()),
        containerId: (name) => modules.find(name)?.status.instance?.id,
        issuingCas,
        workloadCa,
        sources: () => modules.all().map((module) => module.source),
        now,
        log,
      }),
    management: (runtime) => [
      ...managementRoutes({ modules: modulesManagement(runtime, admissionParts(preparation)) }),
      ...deviceRoutes(deviceParts(context, { ...parts, runtime })),
    ],
    objects,
    now,
    log,
  };
}

function deviceParts(
  { now, log, version }: Context,
  parts: Parts & { readonly current: Current; readonly runtime: ModuleRuntime },
): DeviceParts {
  const { clients, current, engine, identities, resources, runtime } = parts;
  return {
    services: clients,
    identities,
    engine,
    config: () => current.config,
    modules: () => runtime.names(),
    resources: (signal) => resources(runtime.names(), signal),
    readLog: (module, request, signal) => runtime.log(module, request, signal),
    version,
    now,
    log,
  };
}

/** What decides whether a module may be created. */
function admissionParts(preparation: PrepareParts): AdmissionParts {
  return {
    isElevated: (settings) => isElevated(preparation, settings),
    refuseUnconfined: (source) => refuseUnconfined(preparation, source),
    configuredAgent: (name) => {
      const { agent } = preparation.config;
      return name === agent?.name ? configuredAgent(agent) : undefined;
    },
  };
}

function handlersOptions(
  { objects, version }: Context,
  parts: {
    readonly engine: DockerEngine;
    readonly logSockets: LogSockets;
    readonly preparation: PrepareParts;
    readonly resources: ModulesHandlersOptions['resources'];
  },
): ModulesHandlersOptions {
  const { engine, logSockets, preparation, resources } = parts;
  const system = new SharedReads<SystemInfo>();
  return {
    ...admissionParts(preparation),
    elevatedCalls: new WeakSet<CallContext>(),
    cancellations: new Cancellations(),
    systemInfo: (signal) => system.get('', (read) => systemInfo(engine, version, read), signal),
    logSockets,
    resources,
    objects,
  };
}

/** Applies a changed configuration, or none of it. */
async function reload(
  changed: ModulesConfig,
  parts: {
    readonly current: Current;
    readonly engine: DockerEngine;
    readonly runtime: ModuleRuntime;
  },
): Promise<object> {
  const { current, engine, runtime } = parts;
  const before = current.config;
  const change = async (to: ModulesConfig, from: ModulesConfig): Promise<void> => {
    current.config = to;
    current.volumesSeen = new WeakSet(); // others may be allowed
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
}
