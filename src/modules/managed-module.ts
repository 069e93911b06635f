import type { Via } from '../dbus/client/via.ts';
import type { Properties } from '../dbus/definition.ts';
import type { ModuleName } from '../ids.ts';
import type { moduleInterface } from '../interfaces/modules.ts';
import type { Log } from '../service/log/log.ts';
import { removeSocketDirectory } from './api/http/socket.ts';
import { exitOf, type ModuleSummary, runtimeStatusOf } from './api/module-list.ts';
import type { ModuleSocket, ModuleSockets } from './api/sockets/module-socket.ts';
import type { CallingModule } from './callers/callers.ts';
import { memberObject, restartPolicyOf } from './docker/create-options/create-options.ts';
import { imageLabel, owner, ownerLabel } from './docker/labels.ts';
import type { ModuleSource } from './module-source.ts';
import { moduleProperties } from './properties.ts';
import type { EndedInstance, ModuleHistory } from './registry/module-histories.ts';
import { isAbsence, isToRun, type SavedState } from './supervisor/desired-state.ts';
import type { EngineStatus } from './supervisor/engine-monitor.ts';
import type { InstanceSpec, ModuleType, Refused } from './supervisor/module-type.ts';
import type { Admission, OrderedModule } from './supervisor/order/start-order.ts';
import type { RunningInstance } from './supervisor/order/stop-order.ts';
import { isLive } from './supervisor/plan.ts';
import type { ModuleStatus } from './supervisor/status.ts';
import { Supervisor } from './supervisor/supervisor.ts';

/** Dependencies of a module. */
export interface ModuleParts {
  readonly type: ModuleType;
  readonly engineStatus: () => EngineStatus;
  readonly sockets: Pick<ModuleSockets, 'open'>;
  /** The published form of a configuration's digest. */
  readonly shownDigest: (digest: string) => string;
  readonly prepare: (source: ModuleSource, via: Via) => Promise<InstanceSpec | Refused>;
  /** As `prepare`, and registers nothing: NotFound for a module without an identity. */
  readonly foresee: (source: ModuleSource, via: Via) => Promise<InstanceSpec | Refused>;
  readonly save: (state: SavedState, source: ModuleSource) => Promise<void>;
  /** Deletes a module's identity at the hub. */
  readonly eraseIdentity: (name: ModuleName, via: Via) => Promise<void>;
  /** The operation in progress for a module, `` when there is none. */
  readonly operation: (name: ModuleName) => string;
  readonly engineRanSince: () => Date | undefined;
  /** Something is still kept for a module that was removed. */
  readonly onKept: () => void;
  /** Asked before each start of a module. */
  readonly admit: (name: ModuleName) => Admission;
  readonly remove: (module: ManagedModule) => Promise<void>;
  readonly onChange: (module: ManagedModule) => void;
  readonly now: () => Date;
  readonly log: Log;
}

/** A module to be opened. */
export interface OpenedModule {
  readonly source: ModuleSource;
  readonly saved: SavedState;
  /** Whether its instance may be one that was not made for it: that of an agent does not get the management API then. */
  readonly isUnproven?: boolean | undefined;
  /** What previous processes knew of its runs. */
  readonly history?: ModuleHistory | undefined;
}

/** A module: its configuration, its supervisor and its socket. */
export class ManagedModule implements AsyncDisposable {
  readonly supervisor: Supervisor;
  readonly #name: ModuleName;
  readonly #parts: ModuleParts;
  readonly #stop = new AbortController();
  readonly #operation: () => string;
  readonly #socket: ModuleSocket;
  #digest = '';
  /** The last end of an instance, which the engine forgets when it starts again. */
  #ended: EndedInstance | undefined;

  private constructor(
    parts: ModuleParts,
    { source, saved, history }: OpenedModule,
    socket: ModuleSocket,
  ) {
    const { type, engineStatus, now, log } = parts;
    this.#parts = parts;
    this.#socket = socket;
    this.#name = source.name;
    this.#ended = history?.ended;
    let sourceOf = (): ModuleSource => source;
    this.#operation = () => parts.operation(source.name);
    this.supervisor = new Supervisor({
      name: source.name,
      source,
      saved,
      restarted: history && { ...history, pullWarning: warningFor(source, history) },
      type,
      engineStatus,
      get restartPolicy() {
        return restartPolicyOf(sourceOf().settings);
      },
      prepare: async (wanted, via) => {
        const spec = await parts.prepare(wanted, via);
        if (spec.refusal !== undefined || wanted !== this.source) return spec;
        this.#digest = parts.shownDigest(spec.digest);
        await this.#admitManagement(spec.digest);
        return spec;
      },
      save: parts.save,
      eraseIdentity: (via) => parts.eraseIdentity(source.name, via),
      remove: () => parts.remove(this),
      onKept: parts.onKept,
      engineRanSince: parts.engineRanSince,
      admit: () => parts.admit(source.name),
      beforeStart: async () => {
        for (const restored of await socket.restore()) {
          log.warn('socket was removed or replaced', { module: source.name, socket: restored });
        }
      },
      onStatus: (status) => {
        this.#noteExit(status);
        parts.onChange(this);
      },
      now,
      log,
    });
    sourceOf = () => this.source;
  }

  /** Creates the module's socket; its instance is left alone until `run`. */
  static async open(parts: ModuleParts, opened: OpenedModule): Promise<ManagedModule> {
    const { source, isUnproven = false } = opened;
    const socket = await parts.sockets.open(source.name, isUnproven);
    return new ManagedModule(parts, opened, socket);
  }

  /** The configuration in force. */
  get source(): ModuleSource {
    return this.supervisor.desired.source;
  }

  get name(): ModuleName {
    return this.#name;
  }

  /** The configuration in force, and during an update the others. */
  get sources(): readonly ModuleSource[] {
    const { source, update } = this.supervisor.desired;
    const { other, proven } = { ...update };
    return [source, other, proven].filter((one) => one !== undefined);
  }

  /** Aborted when the module is removed, or left alone by this process. */
  get ended(): AbortSignal {
    return this.#stop.signal;
  }

  get status(): ModuleStatus {
    return this.supervisor.status;
  }

  /** What is known of its runs, for the next process. */
  get history(): ModuleHistory {
    const { pullWarning: text, restartCount, restartReason } = this.status;
    const { image } = this.source.settings;
    const pullWarning = text === '' ? undefined : { image, text };
    return { ended: this.#ended, restartCount, restartReason, pullWarning };
  }

  /** Observes the module before `run`, for its properties. Never rejects. */
  async observe(via: Via): Promise<void> {
    const { foresee, onChange, shownDigest } = this.#parts;
    await this.supervisor.observe(via.signal);
    // a failure repeats, and is reported, when the module is reconciled
    const foreseen = await foresee(this.source, via).catch(() => undefined);
    if (foreseen === undefined || foreseen.refusal !== undefined || this.#digest !== '') return;
    this.#digest = shownDigest(foreseen.digest);
    onChange(this);
  }

  /** How its processes are recognized. */
  get caller(): CallingModule {
    const { instance, step } = this.status;
    return { name: this.name, cgroups: instance?.cgroups, isStarting: step === 'start' };
  }

  /** Whether it is being removed without a pending operation. */
  get isVanishing(): boolean {
    const { goal, operation } = this.supervisor.desired;
    return isAbsence(goal) && operation === undefined;
  }

  /** Reconciles the module until it is disposed of, or absent as desired. */
  run(): Promise<unknown> {
    return this.supervisor.run(this.#stop.signal);
  }

  properties(): Properties<typeof moduleInterface> {
    const { name, settings } = this.source;
    const operation = this.#operation();
    return moduleProperties({
      name,
      settings,
      digest: this.#digest,
      status: this.status,
      operation,
    });
  }

  summary(): ModuleSummary {
    const { name, settings } = this.source;
    const labels = Object.entries(memberObject(settings.createOptions, 'Labels'));
    const { instance } = this.status;
    const exit = this.#ended?.instance === instance?.id ? this.#ended?.exit : undefined;
    const own = { [ownerLabel]: owner, [imageLabel]: settings.image };
    return {
      name,
      type: this.#parts.type.name,
      image: settings.image,
      imageId: instance?.imageId,
      labels: { ...Object.fromEntries(labels.map(([key, value]) => [key, String(value)])), ...own },
      status: runtimeStatusOf(this.status, exit),
    };
  }

  /** Serves the management API once no instance runs that was made from another configuration. */
  async #admitManagement(digest: string): Promise<void> {
    const { instance } = this.status;
    if (instance !== undefined && isLive(instance) && instance.digest !== digest) return;
    await this.#socket.serveManagement();
  }

  #noteExit({ instance }: ModuleStatus): void {
    const exit = instance && exitOf(instance.state);
    if (exit !== undefined) this.#ended = { instance: instance?.id ?? '', exit };
  }

  /** Stops supervising it; everything of it stays as it is. */
  halt(): void {
    this.#stop.abort();
  }

  /** Its instance, if that runs. */
  runningInstance(): RunningInstance | undefined {
    const { instance } = this.status;
    const state = instance?.state;
    if (instance?.ours !== true || (state?.kind !== 'running' && state?.kind !== 'paused')) {
      return undefined;
    }
    const { StopTimeout: timeout } = { ...this.source.settings.createOptions };
    const stopTimeoutS = typeof timeout === 'number' ? timeout : undefined;
    return { name: this.name, id: instance.id, startedAt: state.startedAt, stopTimeoutS };
  }

  /** The module as the order of starts needs it. */
  ordered(): OrderedModule {
    const { settings } = this.source;
    return {
      name: this.name,
      startAfter: settings.startAfter ?? [],
      state: this.status.state,
      isToRun: isToRun(this.status.goal),
      wake: () => this.supervisor.wake(),
    };
  }

  /** Removes the directory of its socket: the module was removed. */
  async removeDirectory(): Promise<void> {
    await this.abandon();
    await removeSocketDirectory(this.#socket.directory);
  }

  /** Stops supervising it and removes its socket, for good; its instance stays as it is. */
  async abandon(): Promise<void> {
    this.#stop.abort();
    await this.#socket.remove();
  }

  /** Stops supervising it; its instance stays as it is, and its socket for the next process. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#socket[Symbol.asyncDispose]();
  }
}

/** The warning of a pull by a previous process, which is about that image. */
function warningFor({ settings }: ModuleSource, { pullWarning }: ModuleHistory): string {
  return pullWarning?.image === settings.image ? pullWarning.text : '';
}
