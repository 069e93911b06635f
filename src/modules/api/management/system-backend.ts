import { type Via, within } from '../../../dbus/client/via.ts';
import type { ModuleName } from '../../../ids.ts';
import { SharedReads } from '../../../service/shared-reads.ts';
import type { ModulesConfig } from '../../config/config.ts';
import { configDocument } from '../../config/config-document.ts';
import type { DockerEngine } from '../../docker/engine/docker-engine.ts';
import { type Resources, resourcesJson } from '../../resources/resources.ts';
import type { LogRequest, ModuleLog } from '../../supervisor/module-type.ts';
import { checks } from '../../support-bundle/checks.ts';
import { journal } from '../../support-bundle/journal.ts';
import { moduleLog } from '../../support-bundle/module-log.ts';
import { SupportBundles } from '../../support-bundle/support-bundles.ts';
import { checkedSystem, machineJson } from './machine-json.ts';
import type { SystemBackend } from './system-routes.ts';

/** A service that describes itself. */
export interface DescribedService {
  Describe(args: object, via: Via & { readonly timeoutMs: number }): Promise<{ json: string }>;
}

/** Sources of the responses about this machine. */
export interface SystemParts {
  readonly engine: Pick<DockerEngine, 'system' | 'reports'>;
  readonly config: () => ModulesConfig;
  readonly modules: () => readonly ModuleName[];
  readonly resources: (signal: AbortSignal) => Promise<Resources>;
  readonly readLog: (
    module: ModuleName,
    request: LogRequest,
    signal: AbortSignal,
  ) => Promise<ModuleLog>;
  /** By their names; the last one is this service. */
  readonly services: Readonly<
    Record<'keys' | 'certificates' | 'identity' | 'modules', DescribedService>
  >;
  readonly version: string;
  readonly now: () => Date;
}

const describeMs = 10_000;

/** The backend of the routes about this machine. */
export function systemBackend(parts: SystemParts): SystemBackend {
  const { config, engine, modules, readLog, now, resources, services, version } = parts;
  const machine = new SharedReads<object>();
  const { reports } = engine;
  const describe = (service: DescribedService) => async (via: Via) =>
    (await service.Describe({}, within(describeMs, via))).json;
  const descriptions = {
    keys: describe(services.keys),
    certificates: describe(services.certificates),
    identity: describe(services.identity),
    modules: describe(services.modules),
  };
  const bundles = new SupportBundles(
    {
      modules,
      runtimeModules: () => [config().agent?.name ?? 'edgeAgent', 'edgeHub'],
      configuration: () => configDocument(config()),
      descriptions,
      checks: (via) =>
        checks(
          { descriptions, now, machine: (signal) => checkedSystem(engine, version, signal) },
          via,
        ),
      log: (module, range, signal) =>
        moduleLog((request, ending) => readLog(module, request, ending), range, signal),
      inspect: (name, signal) => reports.container(name, signal),
      networks: (signal) => reports.networks(signal),
      journal: (unit, range, signal) => journal(unit, range, { signal }),
    },
    now,
  );
  return {
    machine: (signal) => machine.get('', (read) => machineJson(engine, version, read), signal),
    resources: async (signal) => resourcesJson(await resources(signal)),
    supportBundle: (request, via) => bundles.create(request, via),
    now,
  };
}
