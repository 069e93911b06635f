import type { Via } from '../dbus/client/via.ts';
import type { ObjectManager } from '../dbus/server/object-manager.ts';
import { ServiceError } from '../errors.ts';
import type { CertificateId } from '../ids.ts';
import type { certificatesService } from '../interfaces/certificates.ts';
import type { StateDisk } from '../service/state/state-disk.ts';
import type { Certificate } from '../x509/certificate.ts';
import { type CertificateEntry, isSameList } from './certificate-entry.ts';
import type { CertificatesConfig } from './config/config.ts';
import { ruleFor } from './issuers/policy.ts';
import { KeyFinder } from './keys/key-finder.ts';
import type { SigningKeys } from './keys/keys-client.ts';
import { Preloaded } from './preloaded.ts';
import { certificateProperties, managerProperties } from './properties.ts';
import type { Storage } from './storage.ts';

const republishMs = 1000;

/** What the service is made of. */
export interface CertificateServiceOptions {
  readonly config: CertificatesConfig;
  readonly storage: Storage;
  readonly keys: SigningKeys;
  readonly objects: ObjectManager<typeof certificatesService>;
  readonly disk: Pick<StateDisk, 'problem'>;
  readonly now: () => Date;
}

/** The certificates under one set of ids, preloaded and stored, each with its key; what is seen of one is published. */
export class CertificateCatalog {
  readonly #options: CertificateServiceOptions;
  readonly #preloaded: Preloaded;
  readonly #finder: KeyFinder;
  readonly #damaged = new Map<CertificateId, string>();
  #problems: readonly string[] = [];
  /** What was read last of preloaded certificates, and when it was published. */
  readonly #shown = new Map<
    CertificateId,
    { readonly held: CertificateEntry; readonly at: number }
  >();

  /** With the finder of those before under another configuration, so that no key is unknown meanwhile. */
  constructor(options: CertificateServiceOptions, before?: CertificateCatalog) {
    this.#options = options;
    this.#finder = before === undefined ? new KeyFinder(options.keys, options.now) : before.#finder;
    this.#preloaded = new Preloaded(options.config, (id) => options.storage.get(id)?.chain);
  }

  isPreloaded(id: CertificateId): boolean {
    return this.#preloaded.has(id);
  }

  ids(): readonly CertificateId[] {
    return [...new Set([...this.#preloaded.ids(), ...this.#options.storage.ids()])];
  }

  /** A certificate as it is now, damaged or not. */
  async read(id: CertificateId): Promise<CertificateEntry | undefined> {
    if (!this.#preloaded.has(id)) return this.#options.storage.get(id);
    const held = await this.#preloaded.read(id);
    this.#show(held);
    return held;
  }

  /** A certificate that can be used; NotFound, or Unavailable when it is damaged. */
  async require(id: CertificateId): Promise<CertificateEntry> {
    const held = await this.read(id);
    if (held === undefined) throw notFound(id);
    if (held.damage !== undefined) {
      const name = JSON.stringify(id);
      throw new ServiceError(
        'Unavailable',
        `the certificate ${name} cannot be used: ${held.damage}`,
      );
    }
    return held;
  }

  /** Publishes every certificate as it is now. */
  async publishAll(): Promise<void> {
    await this.#options.storage.retry();
    this.publishHealth();
    for (const id of this.ids()) {
      const held = await this.read(id);
      if (held?.preloaded === false) this.publish(held);
    }
  }

  /** Whether keys were out of reach when they were looked up last. */
  get keysAreOutdated(): boolean {
    return this.#finder.isOutdated;
  }

  /** Looks up again which keys belong to the certificates, but for those whose key is configured, and publishes it. */
  async refreshKeys(via: Via): Promise<void> {
    const all: { readonly held: CertificateEntry; readonly certificate: Certificate }[] = [];
    for (const id of this.ids()) {
      const held = await this.read(id);
      const [certificate] = held?.chain ?? [];
      if (held === undefined || certificate === undefined) continue;
      const isConfigured = held.keyId === '' && this.#configuredKeyId(id) !== undefined;
      if (!isConfigured) all.push({ held, certificate });
    }
    const before = all.map(({ held }) => this.#knownKeyId(held));
    const keyed = all.map(({ held: { id, keyId }, certificate }) => ({
      id,
      certificate,
      storedKeyId: keyId,
    }));
    await this.#finder.refresh(keyed, via);
    for (const [at, { held }] of all.entries()) {
      if (this.#knownKeyId(held) !== before[at]) await this.#republish(held.id);
    }
  }

  /** Publishes every certificate as it is now, and removes what is no more, or came about otherwise before. */
  async publishInPlaceOf(before: CertificateCatalog): Promise<void> {
    const ids = new Set(this.ids());
    const isSame = (id: CertificateId): boolean => before.isPreloaded(id) === this.isPreloaded(id);
    const gone = before.ids().filter((id) => !ids.has(id) || !isSame(id));
    for (const id of gone) this.#options.objects.remove(id);
    await this.publishAll();
    this.publishHealth();
  }

  /** The key stored or configured for a certificate, else the one whose public half it certifies, else ``. */
  async keyIdOf(held: CertificateEntry, via: Via): Promise<string> {
    return this.#findKey(held, (certificate) => this.#finder.find(certificate, held.id, via));
  }

  /** As `keyIdOf`, but asks the Keys service rarely: anybody may call GetCertificate. */
  async keyIdOrNone(held: CertificateEntry, { requestId }: Via): Promise<string> {
    return this.#findKey(held, (certificate) =>
      this.#finder.findSparingly(certificate, held.id, requestId),
    );
  }

  /** Forgets the key of a certificate that turned out to be replaced. */
  forgetKey(certificate: Certificate): void {
    this.#finder.forget(certificate);
  }

  /** Shows a certificate, and whether all are well. */
  publish(held: CertificateEntry): void {
    const { now, objects } = this.#options;
    const keyId = this.#knownKeyId(held);
    objects.put(held.id, certificateProperties(held, { now: now(), keyId }));
    if (held.damage === undefined) this.#damaged.delete(held.id);
    else this.#damaged.set(held.id, held.damage);
    this.publishHealth();
  }

  /** Shows what else is wrong, in place of what was. */
  showProblems(problems: readonly string[]): void {
    if (isSameList(this.#problems, problems)) return;
    this.#problems = problems;
    this.publishHealth();
  }

  /** Shows all that is wrong now, of the disk too. */
  publishHealth(): void {
    const { disk, objects, storage } = this.#options;
    const damaged = [...this.#damaged].map(([id, damage]) => `${JSON.stringify(id)}: ${damage}`);
    const problems = [disk.problem, storage.failure ?? '', ...damaged, ...this.#problems];
    objects.setProperties(managerProperties(problems));
  }

  /** Shows that a certificate is gone. */
  remove(id: CertificateId): void {
    this.#damaged.delete(id);
    this.#options.objects.remove(id);
    this.publishHealth();
  }

  /** Publishes what was read when it changed, and else once a second, because its state changes with time. */
  #show(held: CertificateEntry): void {
    const shown = this.#shown.get(held.id);
    const at = this.#options.now().getTime();
    if (shown !== undefined && isSame(shown.held, held)) {
      if (at >= shown.at && at - shown.at < republishMs) return;
    }
    this.#shown.set(held.id, { held, at });
    this.publish(held);
  }

  async #findKey(
    held: CertificateEntry,
    find: (certificate: Certificate) => Promise<string>,
  ): Promise<string> {
    const known = this.#knownKeyId(held);
    const [certificate] = held.chain;
    if (known !== '' || held.keyId !== '' || certificate === undefined) return known;
    const found = await find(certificate);
    if (found !== '') await this.#republish(held.id);
    return found;
  }

  /** Publishes a certificate as it is now: it may have been replaced or deleted while its key was looked up. */
  async #republish(id: CertificateId): Promise<void> {
    const held = await this.read(id);
    if (held !== undefined) this.publish(held);
  }

  #knownKeyId({ id, keyId, chain: [certificate] }: CertificateEntry): string {
    if (keyId !== '') return this.#finder.replacementOf(id, certificate) ?? keyId;
    return this.#configuredKeyId(id) ?? this.#finder.known(certificate);
  }

  #configuredKeyId(id: CertificateId): string | undefined {
    const issuers = new Map(Object.entries(this.#options.config.issuers));
    return issuers.get(id)?.key_id ?? ruleFor(this.#options.config, id).key_id;
  }
}

function isSame(before: CertificateEntry, now: CertificateEntry): boolean {
  return before === now || (now.damage !== undefined && now.damage === before.damage);
}

/** There is no certificate of this id. */
export function notFound(id: CertificateId): ServiceError {
  return new ServiceError('NotFound', `no certificate ${JSON.stringify(id)}`);
}
