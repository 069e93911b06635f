import type { Properties } from '../dbus/definition.ts';
import type { ObjectManager } from '../dbus/server/object-manager.ts';
import type { ModuleId } from '../ids.ts';
import type { identityInterface, identityService } from '../interfaces/identity.ts';
import type { IntentFiles } from '../service/operations/intent-files.ts';
import type { ModuleIdentities } from './hub/module-identities.ts';
import { moduleProperties } from './identity-record.ts';
import type { ProvisioningStatus } from './provisioning.ts';

type ManagerProperties = Omit<
  Properties<typeof identityInterface>,
  'Version' | 'Source' | 'Attestation'
>;

const maxErrorLength = 1024;
const tolerableSkewS = 5 * 60;
/** A Date header has whole seconds and was on its way: a smaller difference is none. */
const leastSkewS = 5;

/** The properties and objects of the device and its modules. */
export class Publication {
  readonly #now: () => Date;
  readonly #objects: ObjectManager<typeof identityService>;
  #status: ProvisioningStatus | undefined;
  #modules: ModuleIdentities | undefined;
  #shown: readonly ModuleId[] = [];
  #operation = '';
  #disk = '';
  #intents: Pick<IntentFiles, 'problems'> | undefined;
  /** As published. */
  #skewS = 0;

  constructor(objects: ObjectManager<typeof identityService>, now: () => Date) {
    this.#objects = objects;
    this.#now = now;
  }

  /** The properties of the manager as they are now. */
  get properties(): ManagerProperties {
    const device = this.#status?.device;
    const next = this.#status?.nextAttempt;
    const lastError = this.#problems().join('; ').slice(0, maxErrorLength);
    return {
      State: this.#status?.state ?? 'unprovisioned',
      Operation: this.#operation,
      Health: lastError === '' ? 'ok' : 'degraded',
      LastError: lastError,
      HubHostname: device?.hubHostname ?? '',
      DeviceId: device?.deviceId ?? '',
      GatewayHostname: device?.hubHostname ?? '',
      LastProvisioned: device === undefined ? 0n : microseconds(new Date(device.provisionedAt)),
      NextAttempt: next === undefined ? 0n : microseconds(next),
      ClockSkew: BigInt(this.#skewS) * 1_000_000n,
    };
  }

  /** The device has another status, and perhaps another identity, which its modules follow. */
  setStatus(status: ProvisioningStatus): void {
    this.#status = status;
    this.#publish();
  }

  /** The settings of provisioning have changed, and the status with them. */
  setSource(
    source: Pick<Properties<typeof identityInterface>, 'Source' | 'Attestation'>,
    status: ProvisioningStatus,
  ): void {
    this.#objects.setProperties(source);
    this.setStatus(status);
  }

  /** The modules have changed. */
  setModules(modules: ModuleIdentities): void {
    this.#modules = modules;
    this.#publish();
  }

  /** An operation on the device begins or, with the verb ``, has ended. */
  setOperation(verb: string): void {
    this.#operation = verb;
    this.#publish();
  }

  /** The intents of operations, which may not all be readable. */
  setIntents(intents: Pick<IntentFiles, 'problems'>): void {
    this.#intents = intents;
    this.#publish();
  }

  /** What is wrong with the disk, '' when nothing is. */
  setDisk(problem: string): void {
    this.#disk = problem;
    this.#publish();
  }

  /** The cloud's time, from a Date header. */
  setClock(theirs: Date): void {
    const seconds = Math.round((theirs.getTime() - this.#now().getTime()) / 1000);
    if (Math.abs(seconds - this.#skewS) < leastSkewS) return;
    this.#skewS = seconds;
    this.#publish();
  }

  #publish(): void {
    this.#objects.setProperties(this.properties);
    this.#showModules();
  }

  #showModules(): void {
    const modules = this.#modules?.list() ?? [];
    const ids = modules.map(({ moduleId }) => moduleId);
    for (const id of this.#shown) if (!ids.includes(id)) this.#objects.remove(id);
    for (const module of modules) this.#objects.put(module.moduleId, moduleProperties(module));
    this.#shown = ids;
  }

  #problems(): readonly string[] {
    const { damaged = [], refused = [], unlisted = '' } = this.#modules ?? {};
    const ofModules = [...damaged, ...refused].map(([id, why]) => `module "${id}": ${why}`);
    const lastError = this.#status?.lastError ?? '';
    const { problems: ofIntents = [] } = this.#intents ?? {};
    const all = [lastError, this.#disk, unlisted, ...ofIntents, ...ofModules, this.#clockProblem()];
    return all.filter((text) => text !== '');
  }

  /** Tokens carry this clock's idea of their expiry, and the hub judges it by its own. */
  #clockProblem(): string {
    const seconds = Math.abs(this.#skewS);
    if (seconds <= tolerableSkewS) return '';
    const where = this.#skewS > 0 ? 'behind' : 'ahead of';
    return `this clock is ${seconds} s ${where} the cloud's: set it, or tokens are refused`;
  }
}

function microseconds(date: Date): bigint {
  return BigInt(date.getTime()) * 1000n;
}
