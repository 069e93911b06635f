import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { ownRequest, type Via } from '../dbus/client/via.ts';
import type { ObjectManager } from '../dbus/server/object-manager.ts';
import { describeError } from '../errors.ts';
import type { ModuleId } from '../ids.ts';
import type { identityService } from '../interfaces/identity.ts';
import { quoted } from '../quoted.ts';
import type { Log } from '../service/log/log.ts';
import { Operations } from '../service/operations/operations.ts';
import type {
  PendingOperation,
  PendingOperationFiles,
} from '../service/operations/pending-operation-files.ts';
import type { StateDisk } from '../service/state/state-disk.ts';
import { ClockSkew } from './cloud/clock-skew.ts';
import type { IdentityConfig } from './config/config.ts';
import { Hub } from './hub/hub.ts';
import { ModuleIdentities } from './hub/module-identities.ts';
import type { ModuleKeyring } from './hub/module-keys.ts';
import { resolveAudience, signedToken, unsignedToken } from './hub/sas-token.ts';
import {
  type IdentityOperations,
  identityOperations,
  resumeOperations,
} from './identity-operations.ts';
import { managerProperties, moduleProperties, sourceProperties } from './properties.ts';
import type { CloudAccess, CloudListeners } from './provisioners/cloud-access.ts';
import { Provisioning, type ProvisioningStatus } from './provisioning.ts';
import type { IdentityState } from './state.ts';

/** The parts of the service. */
export interface IdentityServiceOptions {
  readonly config: IdentityConfig;
  /** Creates the access to the cloud for a configuration. */
  readonly access: (config: IdentityConfig, listeners: CloudListeners) => CloudAccess;
  readonly state: IdentityState;
  readonly keyring: ModuleKeyring;
  readonly pendingOperations: PendingOperationFiles;
  readonly disk: Pick<StateDisk, 'problem'>;
  readonly objects: ObjectManager<typeof identityService>;
  readonly log: Log;
  readonly now: () => Date;
  readonly random: () => number;
  /** Aborted when the service stops. */
  readonly signal: AbortSignal;
}

/** The identities of the device and its modules: provisioning, the modules at the hub, and the operations on both. */
export class IdentityService implements AsyncDisposable {
  readonly operations: Operations;
  readonly kinds: IdentityOperations;
  readonly modules: ModuleIdentities;
  readonly #options: IdentityServiceOptions;
  readonly #skew = new ClockSkew();
  /** The current provisioning, and those that calls may still use. */
  readonly #provisionings = new Set<Provisioning>();
  #access: CloudAccess;
  #provisioning: Provisioning | undefined;
  #pendingOperations: readonly PendingOperation[] = [];
  #status: ProvisioningStatus | undefined;
  /** The verb of the operation on the device, `` when there is none. */
  #operation = '';

  private constructor(options: IdentityServiceOptions) {
    const { config, pendingOperations, keyring, log, state } = options;
    this.#options = options;
    this.#access = this.#accessOf(config);
    this.operations = new Operations({
      nameOf: (id) => (id === '' ? 'the device' : `module ${quoted(id)}`),
      onChange: () => {
        this.#operation = this.operations.verb('');
        this.publish();
      },
      log,
    });
    this.modules = new ModuleIdentities({
      state,
      keyring,
      device: () => this.provisioning.saved,
      deviceOrNone: () => this.provisioning.savedOrNone,
      hub: (saved) => new Hub(this.#access.cloud, { ...saved, gatewayHostname: this.#gateway }),
      changed: () => this.publish(),
      log,
    });
    const { modules } = this;
    this.kinds = identityOperations({
      pendingOperations,
      provisioning: () => this.provisioning,
      modules,
    });
  }

  /** Loads the saved state; nothing else happens before `start`. */
  static async open(options: IdentityServiceOptions): Promise<IdentityService> {
    const service = new IdentityService(options);
    await service.#open();
    return service;
  }

  /** The configuration in force. */
  get config(): IdentityConfig {
    return this.#access.config;
  }

  /** The provisioning in force. */
  get provisioning(): Provisioning {
    if (this.#provisioning === undefined) throw new TypeError('the device is not loaded');
    return this.#provisioning;
  }

  /** Resumes the pending operations of the previous run, and provisions the device when that is due. */
  start(): void {
    const { log, signal } = this.#options;
    resumeOperations(this.operations, this.kinds, { saved: this.#pendingOperations, log });
    if (this.operations.current('') === undefined) this.provisioning.start();
    void this.provisioning.check(ownRequest(signal));
  }

  /** Applies a configuration; returns a function to call when no call uses the previous one any more. */
  async reconfigure(config: IdentityConfig): Promise<() => void> {
    const before = this.provisioning;
    const next = this.#accessOf(config);
    const isOther = !isDeepStrictEqual(config.dps, this.config.dps);
    const provisioning = isOther ? await this.#loadProvisioning(next) : before;
    this.#access = next;
    if (isOther) this.#replaceProvisioning(before, provisioning);
    else before.retry();
    return () => {
      if (isOther) this.#provisionings.delete(before);
    };
  }

  /** A token of a module for its resource at the hub or one below. */
  async createSasToken(
    id: ModuleId,
    { audience, lifetimeS }: { readonly audience: string; readonly lifetimeS: number },
    via: Via,
  ): Promise<string> {
    const { keyring, now } = this.#options;
    const module = this.modules.get(id);
    const own = `${module.hubHostname}/devices/${module.deviceId}/modules/${id}`;
    const unsigned = unsignedToken(resolveAudience(own, audience), lifetimeS, now());
    return signedToken(unsigned, await keyring.sign(module, Buffer.from(unsigned.text), via));
  }

  /** Publishes the current state. */
  publish(): void {
    const status = this.#status;
    if (status === undefined) return;
    const { modules } = this;
    const { disk, pendingOperations, objects } = this.#options;
    const problems = { disk: disk.problem, pendingOperations: pendingOperations.problems };
    const [operation, skew] = [this.#operation, this.#skew];
    const gateway = this.#gateway;
    const view = { status, gateway, modules, operation, skew, ...problems };
    objects.setProperties(managerProperties(view));
    const saved = modules.list();
    const ids = new Set<string>(saved.map(({ moduleId }) => moduleId));
    for (const id of objects.ids()) if (!ids.has(id)) objects.remove(id);
    for (const module of saved) objects.put(module.moduleId, moduleProperties(module, gateway));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const each of this.#provisionings) each.stop();
    await this.operations.stop();
  }

  get #gateway(): string | undefined {
    return this.config.dps?.gatewayHostname;
  }

  async #open(): Promise<void> {
    const { pendingOperations, log, objects } = this.#options;
    const provisioning = await this.#loadProvisioning(this.#access);
    this.#provisioning = provisioning;
    this.#provisionings.add(provisioning);
    this.#pendingOperations = await pendingOperations.readAll(log);
    this.#status = provisioning.status;
    objects.setProperties(sourceProperties(this.#access.provisioner));
    this.publish();
  }

  #accessOf(config: IdentityConfig): CloudAccess {
    const { access, now } = this.#options;
    return access(config, {
      onDate: (date) => {
        if (this.#skew.observe(date, now())) this.publish();
      },
      // a certificate that is renewed may name another device
      onCommonName: (name) => {
        const isInForce = config === this.config;
        if (isInForce && config.dps?.registrationId === undefined) this.provisioning.register(name);
      },
    });
  }

  #loadProvisioning(access: CloudAccess): Promise<Provisioning> {
    const { log, now, random, state } = this.#options;
    const { config, provisioner } = access;
    return Provisioning.load({
      dps: config.dps,
      registrationId: (via) => access.registrationId(via),
      // each attempt uses the settings in force when it begins
      provisioner: provisioner && {
        source: provisioner.source,
        attestation: provisioner.attestation,
        provision: (via) => (this.#access.provisioner ?? provisioner).provision(via),
      },
      state,
      begin: ({ again }) => this.#beginProvisioning(again),
      publish: (status) => {
        this.#status = status;
        this.publish();
      },
      log,
      now,
      random,
    });
  }

  #replaceProvisioning(before: Provisioning, other: Provisioning): void {
    const { objects, signal } = this.#options;
    before.retire();
    this.#provisioning = other;
    this.#provisionings.add(other);
    this.#status = other.status;
    objects.setProperties(sourceProperties(this.#access.provisioner));
    this.publish();
    // a pending operation is about the previous settings
    void this.operations.clear('').then(() => other.start());
    void other.check(ownRequest(signal));
  }

  #beginProvisioning(again: boolean): void {
    const request = { id: '', args: {}, wait: false, requestId: randomUUID(), isOwn: true };
    const kind = again ? this.kinds.reprovision : this.kinds.provision;
    this.operations.begin(kind, request).catch((error: unknown) => {
      this.#options.log.info('provisioning not started', { reason: describeError(error) });
    });
  }
}
