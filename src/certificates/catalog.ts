import type { Via } from '../dbus/client/via.ts';
import type { ObjectManager } from '../dbus/server/object-manager.ts';
import { ServiceError } from '../errors.ts';
import type { CertificateId } from '../ids.ts';
import type { certificatesService } from '../interfaces/certificates.ts';
import type { KeyedMutex } from '../service/mutex.ts';
import type { StateDisk } from '../service/state/state-disk.ts';
import type { Certificate } from '../x509/certificate.ts';
import { type CertificateEntry, isSameList } from './certificate-entry.ts';
import type { CertificatesConfig } from './config/config.ts';
import { keyIdOf } from './config/issuer-settings.ts';
import type { EstIssuers } from './est/est-issuers.ts';
import type { CommandIssuers } from './issuers/command/command-issuers.ts';
import { ruleFor } from './issuers/policy.ts';
import { type KeyedCertificate, KeyFinder } from './keys/key-finder.ts';
import type { SigningKeys } from './keys/keys-client.ts';
import { Preloaded } from './preloaded.ts';
import {
  certificateProperties,
  managerProperties,
  renewalOfEntry,
  stuckReasonOf,
} from './properties.ts';
import type { Storage } from './storage.ts';

const republishMs = 1000;

/** The parts of the service. */
export interface CertificateServiceOptions {
  readonly config: CertificatesConfig;
  readonly storage: Storage;
  readonly keys: SigningKeys;
  readonly est: EstIssuers;
  readonly commands: CommandIssuers;
  readonly objects: ObjectManager<typeof certificatesService>;
  readonly disk: Pick<StateDisk, 'problem'>;
  readonly now: () => Date;
  /** Serializes the changes of each certificate; by default those of this service and of those that follow it. */
  readonly changes?: KeyedMutex<CertificateId>;
  /** The operation in progress for a certificate, `` when there is none. */
  readonly operation?: (id: CertificateId) => string;
  /** Why nothing is renewed although it may be due, `` when there is no reason. */
  readonly waitReason?: (entry: CertificateEntry, at: Date) => string;
  /** Called when a certificate, its key or its state may have changed, or it was removed. */
  readonly onChange?: (id: CertificateId, chain: readonly Certificate[]) => void;
}

/** All certificates by id, preloaded and stored, each with its key; publishes them on the bus. */
export class CertificateCatalog {
  readonly #options: CertificateServiceOptions;
  readonly #preloaded: Preloaded;
  readonly #finder: KeyFinder;
  readonly #damaged = new Map<CertificateId, string>();
  /** Certificates that are not renewed, with the reason. */
  readonly #waiting = new Map<CertificateId, string>();
  /** By what they are about. */
  readonly #problems = new Map<string, readonly string[]>();
  /** The last published state of each preloaded certificate, and when it was published. */
  readonly #shown = new Map<
    CertificateId,
    { readonly entry: CertificateEntry; readonly at: number }
  >();

  /** Shares the key finder of the previous configuration, so that keys stay known across a reload. */
  constructor(options: CertificateServiceOptions, before?: CertificateCatalog) {
    this.#options = options;
    this.#finder = before === undefined ? new KeyFinder(options.keys, options.now) : before.#finder;
    this.#preloaded = new Preloaded(options.config, (id) => {
      const chain = options.storage.get(id)?.chain ?? [];
      return chain.length === 0 ? undefined : chain;
    });
  }

  isPreloaded(id: CertificateId): boolean {
    return this.#preloaded.has(id);
  }

  ids(): readonly CertificateId[] {
    return [...new Set([...this.#preloaded.ids(), ...this.#options.storage.ids()])];
  }

  /** The current certificate, damaged or not. */
  async read(id: CertificateId): Promise<CertificateEntry | undefined> {
    if (!this.#preloaded.has(id)) return this.#options.storage.get(id);
    const entry = await this.#preloaded.read(id);
    this.#show(entry);
    return entry;
  }

  /** The current certificate; NotFound, or Unavailable when it is damaged. */
  async require(id: CertificateId): Promise<CertificateEntry> {
    const entry = await this.read(id);
    if (entry === undefined) throw notFound(id);
    if (entry.damage !== undefined) {
      throw new ServiceError(
        'Unavailable',
        `the certificate "${id}" cannot be used: ${entry.damage}`,
      );
    }
    if (entry.chain.length === 0) {
      const waitReason = this.#options.waitReason?.(entry, this.#options.now()) ?? '';
      const reason = waitReason || (entry.enrolment?.order?.reason ?? '');
      const why = reason === '' ? '' : `: ${reason}`;
      throw new ServiceError('Unavailable', `the certificate "${id}" is not issued yet${why}`);
    }
    return entry;
  }

  /** Publishes the current state of every certificate. */
  async publishAll(): Promise<void> {
    await this.#options.storage.retry();
    // one time for all, which reasons contain: Health shows each reason once
    const at = this.#options.now();
    for (const id of this.ids()) {
      const entry = this.#stored(id) ?? (await this.read(id));
      if (entry?.preloaded === false) this.#put(entry, at);
    }
    this.publishHealth();
  }

  /** As `read`, at once, for a certificate that is not preloaded; undefined for any other. */
  #stored(id: CertificateId): CertificateEntry | undefined {
    return this.#preloaded.has(id) ? undefined : this.#options.storage.get(id);
  }

  /** Whether the last key lookup could not reach every key. */
  get keysAreOutdated(): boolean {
    return this.#finder.isOutdated;
  }

  /** Looks up the keys of the certificates again, except those whose key is configured, and publishes the result. */
  async refreshKeys(via: Via): Promise<void> {
    const all: (KeyedCertificate & { readonly id: CertificateId; readonly before: string })[] = [];
    for (const id of this.ids()) {
      const entry = this.#stored(id) ?? (await this.read(id));
      const certificate = entry?.chain[0];
      if (entry === undefined || certificate === undefined) continue;
      if (entry.keyId === '' && this.#configuredKeyId(id) !== undefined) continue;
      const keyed = { id, certificate, storedKeyId: entry.keyId };
      all.push({ ...keyed, before: this.#finder.keyIdOf(keyed) });
    }
    await this.#finder.refresh(all, via);
    for (const one of all) {
      if (this.#finder.keyIdOf(one) !== one.before) await this.#republish(one.id);
    }
  }

  /** Publishes every certificate in place of those of the previous configuration, whose leftovers are removed. */
  async publishInPlaceOf(before: CertificateCatalog): Promise<void> {
    const ids = new Set(this.ids());
    const isSame = (id: CertificateId): boolean => before.isPreloaded(id) === this.isPreloaded(id);
    const gone = before.ids().filter((id) => !ids.has(id) || !isSame(id));
    for (const id of gone) this.#options.objects.remove(id);
    await this.publishAll();
    this.publishHealth();
  }

  /** The key that is stored or configured for a certificate, else the one whose public half it certifies, else ``. */
  async keyIdOf(entry: CertificateEntry, via: Via): Promise<string> {
    return this.#findKey(entry, (certificate) => this.#finder.find(certificate, entry.id, via));
  }

  /** As `keyIdOf`, but with few calls of the Keys service: any process may call GetCertificate. */
  async keyIdOrNone(entry: CertificateEntry, { requestId }: Via): Promise<string> {
    return this.#findKey(entry, (certificate) =>
      this.#finder.findSparingly(certificate, entry.id, requestId),
    );
  }

  /** Evicts the key of a certificate after it turned out to be replaced. */
  evictKey(certificate: Certificate): void {
    this.#finder.evict(certificate);
  }

  /** Publishes a certificate, and Health. */
  publish(entry: CertificateEntry): void {
    this.#put(entry, this.#options.now());
    this.publishHealth();
  }

  #put(entry: CertificateEntry, at: Date): void {
    const { config, objects, operation } = this.#options;
    const { id } = entry;
    const waitReason = this.#options.waitReason?.(entry, at) ?? '';
    const view = {
      now: at,
      keyId: this.#knownKeyId(entry),
      renewAt: renewalOfEntry(config, entry, at),
      operation: operation?.(id) ?? '',
      waitReason,
    };
    objects.putDeferred(id, certificateProperties(entry, view));
    const problem = entry.damage ?? stuckReasonOf(entry);
    if (problem === undefined) this.#damaged.delete(id);
    else this.#damaged.set(id, problem);
    if (waitReason === '') this.#waiting.delete(id);
    else this.#waiting.set(id, waitReason);
    this.#options.onChange?.(id, entry.chain);
  }

  /** Replaces the problems of one kind that Health shows besides damaged certificates. */
  showProblems(about: 'trust bundle' | 'publishing', problems: readonly string[]): void {
    if (isSameList(this.#problems.get(about) ?? [], problems)) return;
    this.#problems.set(about, problems);
    this.publishHealth();
  }

  /** Publishes Health and LastError, with the problems of the disk. */
  publishHealth(): void {
    const { disk, objects, storage } = this.#options;
    const damaged = [...this.#damaged].map(([id, damage]) => `"${id}": ${damage}`);
    const others = [...this.#problems.values()].flat();
    const waiting = [...new Set(this.#waiting.values())].map((reason) => {
      const ids = [...this.#waiting.keys()].filter((id) => this.#waiting.get(id) === reason);
      return `${namesOf(ids)}: ${reason}`;
    });
    const problems = [disk.problem, storage.failure ?? '', ...damaged, ...waiting, ...others];
    objects.setProperties(managerProperties(problems));
  }

  /** Removes the object of a certificate. */
  remove(id: CertificateId): void {
    this.#damaged.delete(id);
    this.#waiting.delete(id);
    this.#options.objects.remove(id);
    this.publishHealth();
    this.#options.onChange?.(id, []);
  }

  /** Publishes a preloaded certificate when it changed, or after a second, because its state changes with time. */
  #show(entry: CertificateEntry): void {
    const shown = this.#shown.get(entry.id);
    const at = this.#options.now().getTime();
    if (shown !== undefined && isSame(shown.entry, entry)) {
      if (at >= shown.at && at - shown.at < republishMs) return;
    }
    this.#shown.set(entry.id, { entry, at });
    this.publish(entry);
  }

  async #findKey(
    entry: CertificateEntry,
    find: (certificate: Certificate) => Promise<string>,
  ): Promise<string> {
    const known = this.#knownKeyId(entry);
    const [certificate] = entry.chain;
    if (known !== '' || entry.keyId !== '' || certificate === undefined) return known;
    const found = await find(certificate);
    if (found !== '') await this.#republish(entry.id);
    return found;
  }

  /** Publishes the current certificate: it may have been replaced or deleted while its key was looked up. */
  async #republish(id: CertificateId): Promise<void> {
    const entry = await this.read(id);
    if (entry !== undefined) this.publish(entry);
  }

  #knownKeyId({ id, keyId, chain: [certificate] }: CertificateEntry): string {
    const configured = keyId === '' ? this.#configuredKeyId(id) : undefined;
    return configured ?? this.#finder.keyIdOf({ id, certificate, storedKeyId: keyId });
  }

  #configuredKeyId(id: CertificateId): string | undefined {
    const { config } = this.#options;
    const issuer = Object.hasOwn(config.issuers, id) ? config.issuers[id] : undefined;
    return keyIdOf(issuer) ?? ruleFor(config, id).key_id;
  }
}

function isSame(before: CertificateEntry, now: CertificateEntry): boolean {
  return before === now || (now.damage !== undefined && now.damage === before.damage);
}

/** The first of some ids, and how many more there are. */
function namesOf([first = '', ...others]: readonly string[]): string {
  return others.length === 0 ? `"${first}"` : `"${first}" and ${others.length} more`;
}

/** NotFound for a certificate id. */
export function notFound(id: CertificateId): ServiceError {
  return new ServiceError('NotFound', `no certificate "${id}"`);
}
