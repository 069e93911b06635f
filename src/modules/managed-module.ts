import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { posix } from 'node:path';
import type { Properties } from '../dbus/definition.ts';
import type { Via } from '../dbus/via.ts';
import { describeError, isServiceError } from '../errors.ts';
import type { ModuleName } from '../ids.ts';
import type { moduleInterface } from '../interfaces/modules.ts';
import type { Log } from '../service/log.ts';
import type { Repeats } from '../service/repeats.ts';
import { listener, type RequestRecord } from './api/http.ts';
import type { ModuleSummary } from './api/module-list.ts';
import { makeSocketDirectory, serveSocket } from './api/socket.ts';
import { type WorkloadBackend, workloadRoutes } from './api/workload.ts';
import type { ModulesConfig } from './config.ts';
import { memberObject, restartPolicyOf } from './create-options.ts';
import type { ContainerEngine } from './engine.ts';
import type { EngineStatus } from './engine-monitor.ts';
import type { Goal, Prepared, Refused, Report } from './goal.ts';
import { moduleProperties, moduleStatus } from './module-properties.ts';
import type { ModuleSource } from './module-source.ts';
import { Supervisor } from './supervisor.ts';

/** A reason may quote what the module sent. */
const longestReason = 1024;

/** What a module is kept with. */
export interface ModuleParts {
  readonly config: ModulesConfig;
  readonly engine: ContainerEngine;
  readonly engineStatus: () => EngineStatus;
  readonly backend: WorkloadBackend;
  readonly socketsPath: string;
  /** What everybody may see of a configuration's digest. */
  readonly shownDigest: (digest: string) => string;
  readonly prepare: (source: ModuleSource, via: Via) => Promise<Prepared | Refused>;
  readonly saveGoal: (source: ModuleSource, goal: Goal) => Promise<void>;
  readonly forget: (module: ManagedModule) => Promise<void>;
  readonly onChange: (module: ManagedModule) => void;
  readonly now: () => Date;
  readonly log: Log;
  /** Where refused and failed requests of modules are counted. */
  readonly requests: Repeats;
}

/** A module: its configuration, its supervisor and its socket. */
export class ManagedModule implements AsyncDisposable {
  readonly source: ModuleSource;
  readonly supervisor: Supervisor;
  readonly #stop = new AbortController();
  #digest = '';
  #sockets: AsyncDisposable | undefined;
  #directory = '';

  private constructor(parts: ModuleParts, source: ModuleSource, goal: Goal) {
    const { engine, engineStatus, now, log } = parts;
    this.source = source;
    this.supervisor = new Supervisor({
      name: source.name,
      goal,
      engine,
      engineStatus,
      restartPolicy: restartPolicyOf(source.settings),
      prepare: async (via) => {
        const prepared = await parts.prepare(source, via);
        if (prepared.refusal === undefined) this.#digest = parts.shownDigest(prepared.digest);
        return prepared;
      },
      saveGoal: (changed) => parts.saveGoal(source, changed),
      forget: () => parts.forget(this),
      onReport: () => parts.onChange(this),
      now,
      log,
    });
  }

  /** Makes the module's socket; nothing is done with its container before `run`. */
  static async open(parts: ModuleParts, source: ModuleSource, goal: Goal): Promise<ManagedModule> {
    const module = new ManagedModule(parts, source, goal);
    await module.#serve(parts);
    return module;
  }

  get name(): ModuleName {
    return this.source.name;
  }

  get report(): Report {
    return this.supervisor.report;
  }

  /** Looks after the container until disposed of, or until it is absent as wanted. */
  run(): Promise<unknown> {
    return this.supervisor.run(this.#stop.signal);
  }

  properties(): Properties<typeof moduleInterface> {
    const { name, settings } = this.source;
    return moduleProperties({ name, settings, digest: this.#digest, report: this.report });
  }

  summary(): ModuleSummary {
    const { name, settings } = this.source;
    const labels = Object.entries(memberObject(settings.createOptions, 'Labels'));
    return {
      name,
      type: 'docker',
      image: settings.image,
      labels: Object.fromEntries(labels.map(([key, value]) => [key, String(value)])),
      status: moduleStatus(this.report),
    };
  }

  /** Removes the directory of its socket: the module is gone. */
  async removeDirectory(): Promise<void> {
    await this[Symbol.asyncDispose]();
    await rm(this.#directory, { recursive: true, force: true });
  }

  /** Stops looking after it; its container stays as it is. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    const sockets = this.#sockets;
    this.#sockets = undefined;
    await sockets?.[Symbol.asyncDispose]();
  }

  async #serve(parts: ModuleParts): Promise<void> {
    const { backend, config, socketsPath } = parts;
    this.#directory = await makeSocketDirectory(socketsPath, this.name);
    const answer = listener(workloadRoutes(this.name, backend), {
      signal: this.#stop.signal,
      requestId: randomUUID,
      onRequest: (record) => logRequest(parts, this.name, record),
    });
    const name = posix.basename(config.connect.workload);
    this.#sockets = await serveSocket({ directory: this.#directory, name, mode: 0o666 }, answer);
  }
}

/** Failures of ours are the journal's business, a module's mistakes are told when somebody asks. */
function logRequest(
  { log, requests }: Pick<ModuleParts, 'log' | 'requests'>,
  module: string,
  record: RequestRecord,
): void {
  const { method, route, status, requestId, durationMs, error } = record;
  const fields = () => ({
    module,
    method,
    route,
    status,
    requestId,
    durationMs: Math.round(durationMs),
    ...(error !== undefined && { error: describeError(error).slice(0, longestReason) }),
  });
  if (status < 400) {
    log.debug('workload request answered', fields());
    return;
  }
  const code = isServiceError(error) ? error.code : '';
  requests.note(`${module} ${method} ${route} ${status} ${code}`, {
    level: status === 500 ? 'error' : 'info',
    message: status === 500 ? 'workload request failed' : 'workload request refused',
    cause: ['module', module],
    fields,
  });
}
