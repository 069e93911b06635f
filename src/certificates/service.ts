import type { Via } from '../dbus/client/via.ts';
import { microseconds } from '../dbus/time.ts';
import { oneOf, ServiceError } from '../errors.ts';
import { type CertificateId, parseCertificateId } from '../ids.ts';
import { KeyedMutex } from '../service/mutex.ts';
import { signatureAlgorithmFor } from '../x509/algorithm.ts';
import { type Certificate, encodeCertificatesPem } from '../x509/certificate.ts';
import { parseCsr } from '../x509/csr.ts';
import { CertificateCatalog, type CertificateServiceOptions, notFound } from './catalog.ts';
import type { CertificateEntry } from './certificate-entry.ts';
import type { CertificatesConfig } from './config/config.ts';
import type { IdentityCertificate } from './est/identities.ts';
import { readFormat, writeFormat } from './formats.ts';
import type { Issuer } from './issuers/issuer.ts';
import { type LocalCa, LocalCaIssuer, mayIssueWith } from './issuers/local-ca.ts';
import {
  explainMissingRule,
  grant,
  type Policy,
  policies,
  resolveIssuer,
  resolveProfile,
  ruleFor,
} from './issuers/policy.ts';
import { refusalOf } from './issuers/refusal.ts';
import { SelfSignedIssuer } from './issuers/self-signed.ts';
import { renewalOfEntry, validityOf } from './properties.ts';
import type { Issuing } from './renewal/attempts.ts';
import { importedOver, withoutCertificate } from './renewal/changes.ts';
import type { EnrolArgs } from './renewal/enrolments.ts';
import { assertIssued, keptBy, type OrderRule, orderRuleFor } from './renewal/order-rule.ts';
import { remainderOf } from './renewal/records.ts';
import { TrustBundle } from './trust-bundle.ts';

/** Options of Issue. */
export interface IssueOptions {
  readonly issuer?: string | undefined;
  readonly profile?: string | undefined;
  readonly lifetime_s?: number | undefined;
}

/** Options of ImportCertificate. */
export interface ImportOptions {
  readonly keyId?: string | undefined;
  readonly ifExists?: string | undefined;
  readonly via: Via;
}

/** The result of GetCertificate. */
export interface CertificateRecord {
  readonly chain_pem: string;
  readonly key_id: string;
  readonly not_before: bigint;
  readonly not_after: bigint;
  readonly renew_at: bigint;
}

/** All operations on certificates; failures are ServiceErrors. */
export class CertificateService implements Issuing {
  readonly #options: CertificateServiceOptions;
  readonly #catalog: CertificateCatalog;
  readonly #trustBundle: TrustBundle;
  /** Cached by chain, which is the same list until it changes: any process may read at any rate. */
  readonly #pem = new WeakMap<CertificateEntry['chain'], string>();
  /** Serializes the changes of each certificate, also across a reload. */
  readonly #changes: KeyedMutex<CertificateId>;
  readonly #policyFor: (id: CertificateId) => Policy;

  constructor(options: CertificateServiceOptions, before?: CertificateService) {
    this.#options = options;
    this.#policyFor = policies(options.config);
    this.#catalog = new CertificateCatalog(
      options,
      before === undefined ? undefined : before.#catalog,
    );
    this.#trustBundle = new TrustBundle(options.config, this.#catalog, options.objects);
    this.#changes = before === undefined ? (options.changes ?? new KeyedMutex()) : before.#changes;
  }

  /** Publishes every certificate and the digest of the trust bundle. */
  async publishAll(): Promise<void> {
    await this.#catalog.publishAll();
    await this.#trustBundle.publish();
  }

  /** Publishes Health and LastError, with the problems of the disk. */
  publishHealth(): void {
    this.#catalog.publishHealth();
  }

  /** Applies another configuration to the same certificates and publishes them; the order of changes is preserved. */
  async reconfigured(config: CertificatesConfig): Promise<CertificateService> {
    const next = new CertificateService({ ...this.#options, config }, this);
    await next.publishInPlaceOf(this);
    return next;
  }

  /** Publishes everything in place of the previous service, whose leftovers are removed. */
  async publishInPlaceOf(before: CertificateService): Promise<void> {
    await this.#catalog.publishInPlaceOf(before.#catalog);
    await this.#trustBundle.publish();
  }

  /** Replaces the problems of publishing that Health shows. */
  showPublishing(problems: readonly string[]): void {
    this.#catalog.showProblems('publishing', problems);
  }

  /** The ids that the configuration publishes, of the certificates that exist. */
  published(): readonly CertificateId[] {
    const { config } = this.#options;
    return this.#catalog.ids().filter((id) => ruleFor(config, id).publish === true);
  }

  /** Whether the last key lookup could not reach every key. */
  get keysAreOutdated(): boolean {
    return this.#catalog.keysAreOutdated;
  }

  /** Looks up the keys of the certificates again and publishes them. */
  refreshKeys(via: Via): Promise<void> {
    return this.#catalog.refreshKeys(via);
  }

  /** Reads a certificate consistently; NotFound, or Unavailable when it is damaged. */
  async get(id: CertificateId, via: Via): Promise<CertificateRecord> {
    const entry = await this.#catalog.require(id);
    const { notBefore, notAfter } = validityOf(entry.chain[0]);
    return {
      chain_pem: this.#pemOf(entry),
      key_id: await this.#catalog.keyIdOrNone(entry, via),
      not_before: notBefore,
      not_after: notAfter,
      renew_at: microseconds(renewalOfEntry(this.#options.config, entry, this.#options.now())),
    };
  }

  /** Stores certificates; InvalidArgs when the key that is named with them does not match. */
  async import(
    id: CertificateId,
    { data, format }: { readonly data: Buffer; readonly format: string },
    { keyId = '', ifExists = 'fail', via }: ImportOptions,
  ): Promise<void> {
    const replaces = oneOf(ifExists, 'a value of if_exists', ['fail', 'replace']) === 'replace';
    const chain = readFormat(data, format);
    return this.#changes.run(id, async () => {
      await this.#checkKey(keyId, chain[0], via);
      this.#refusePreloaded(id, 'replaced');
      this.#options.storage.assertListed();
      const before = this.#options.storage.record(id);
      if (!replaces && this.#options.storage.get(id) !== undefined) {
        throw new ServiceError('AlreadyExists', `the certificate "${id}" exists`);
      }
      const entry = importedOver(before, { id, chain, keyId }, this.#options.now());
      this.#catalog.publish(await this.#options.storage.put(entry, { replaces }));
      await this.#trustBundle.publish();
    });
  }

  /** Encodes a certificate with its chain. */
  async export(id: CertificateId, format: string): Promise<Buffer> {
    return writeFormat((await this.#catalog.require(id)).chain, format);
  }

  /** Deletes a certificate that is not preloaded; keys that were made for it are left to be deleted. */
  delete(id: CertificateId): Promise<void> {
    return this.#changes.run(id, async () => {
      this.#refusePreloaded(id, 'deleted');
      this.#options.storage.assertListed();
      const entry = this.#options.storage.get(id);
      if (entry === undefined) throw notFound(id);
      const left = entry.enrolment && remainderOf(withoutCertificate(entry, entry.enrolment));
      if (left === undefined) await this.#options.storage.delete(id);
      else await this.#options.storage.put(left, { replaces: false });
      this.#catalog.remove(id);
      await this.#trustBundle.publish();
    });
  }

  /** The certificates of the requested id, else of the configured ids, else of `trusted-ca`, as PEM. */
  async trustBundle(id: CertificateId | undefined): Promise<string> {
    if (id === undefined) return this.#trustBundle.pem();
    return this.#pemOf(await this.#catalog.require(id));
  }

  /** The rule for an order; InvalidArgs, or NotSupported for one whose certificates are not issued here. */
  orderRule(id: CertificateId, { issuer }: { readonly issuer: string }): OrderRule {
    this.#refusePreloaded(id, 'replaced');
    const kept = this.#options.storage.get(id)?.enrolment;
    const asked = issuer === '' ? {} : { issuer };
    const rule =
      this.#ruleOf(id, kept === undefined ? asked : { ...keptBy(kept), ...asked }) ??
      orderRuleFor(this.#options.config, id, asked);
    assertIssued(id, rule);
    return rule;
  }

  /** The issuer and the profile of an order, for authorization; those of the order in progress, if any. */
  resolveOrder(
    id: CertificateId,
    { issuer }: { readonly issuer: string },
  ): { readonly issuer: string; readonly profile: string } {
    const order = this.#options.storage.get(id)?.enrolment?.order;
    if (order !== undefined && issuer === '') return order;
    return orderRuleFor(this.#options.config, id, issuer === '' ? {} : { issuer });
  }

  /** Whether Enroll has nothing to do: a certificate was issued that is valid or will be, or is being renewed. */
  isEnrolled(id: CertificateId, { issuer, rotateKey }: EnrolArgs): boolean {
    const entry = this.#options.storage.get(id);
    const { successor, order } = entry?.enrolment ?? {};
    const isWaiting = successor?.wasCurrent === false;
    const issued = isWaiting ? successor : entry?.enrolment;
    const end = (isWaiting ? successor : entry)?.chain[0]?.notAfter;
    if (rotateKey === true || issued === undefined || end === undefined) return false;
    if (issued.method === 'none' || order?.isStuck === true) return false;
    return end >= this.#options.now() && (issuer === '' || issuer === issued.issuer);
  }

  /** Throws NotFound, NotSupported or Unavailable for a certificate that cannot be renewed here. */
  assertRenewable(id: CertificateId): void {
    const { storage } = this.#options;
    this.#refusePreloaded(id, 'renewed');
    storage.assertListed();
    const entry = storage.get(id);
    if (entry === undefined) throw notFound(id);
    if (entry.damage !== undefined) throw new ServiceError('Unavailable', entry.damage);
    this.orderRule(id, { issuer: '' });
    if ((entry.enrolment?.method ?? 'none') !== 'none' || entry.chain.length === 0) return;
    const text = `the certificate "${id}" was imported: Enroll replaces it by one that is issued here`;
    throw new ServiceError('NotSupported', text);
  }

  ruleOf({ id, enrolment }: CertificateEntry): OrderRule | undefined {
    const kept = enrolment?.order ?? enrolment;
    return (kept && this.#ruleOf(id, keptBy(kept))) ?? this.#ruleOf(id, {});
  }

  issuerOf({
    method,
    issuer,
    ...rule
  }: Pick<OrderRule, 'method' | 'issuer' | 'label' | 'bootstrap'>): Issuer {
    if (method === 'self_signed') return new SelfSignedIssuer();
    if (method === 'est') return this.#est(issuer, rule);
    return method === 'command' ? this.#command(issuer) : this.#localCa(parseCertificateId(issuer));
  }

  /** Publishes a changed certificate; undefined when there is none any more. */
  async changed(id: CertificateId, entry: CertificateEntry | undefined): Promise<void> {
    if (entry === undefined) this.#catalog.remove(id);
    else this.#catalog.publish(entry);
    await this.#trustBundle.publish();
  }

  /** Publishes a certificate again, whose operation has begun or ended. */
  publish(id: CertificateId): void {
    const entry = this.#options.storage.get(id);
    if (entry !== undefined && !this.#catalog.isPreloaded(id)) this.#catalog.publish(entry);
  }

  /** A rule, as far as it allows what is asked for. */
  #ruleOf(id: CertificateId, asked: Parameters<typeof orderRuleFor>[2]): OrderRule | undefined {
    try {
      return orderRuleFor(this.#options.config, id, asked);
    } catch (error) {
      if (error instanceof ServiceError) return undefined;
      throw error;
    }
  }

  /** The issuer and the profile of a certificate to be issued, for authorization. */
  resolve(
    id: CertificateId,
    options: IssueOptions,
  ): { readonly issuer: CertificateId; readonly profile: string } {
    const policy = this.#policyFor(id);
    return {
      issuer: resolveIssuer(policy, options.issuer),
      profile: resolveProfile(policy, options.profile),
    };
  }

  /** Has a request signed by a CA of this device or an EST server; returns the chain, leaf first. */
  async issue(
    id: CertificateId,
    csr: Buffer,
    options: IssueOptions & { readonly via: Via },
  ): Promise<string> {
    const policy = this.#policyFor(id);
    if (policy.method !== 'local_ca' && policy.method !== 'est') {
      throw new ServiceError(
        'NotSupported',
        `the method of the certificate "${id}" is ${policy.method}, by its rule in certificates.yaml`,
      );
    }
    const issuerId = resolveIssuer(policy, options.issuer);
    const profile = resolveProfile(policy, options.profile);
    const { label, bootstrap } = ruleFor(this.#options.config, id);
    const { method } = policy;
    const request = parseCsr(csr);
    const { spki, keyAlgorithm: algorithm } = request;
    const granted = grant(policy, request, { profile, lifetimeS: options.lifetime_s });
    const answer = await this.issuerOf({ method, issuer: issuerId, label, bootstrap }).submit(
      {
        id,
        profile,
        ...granted,
        key: { keyId: '', spki, algorithm, signer: undefined },
        request: request.der,
        cookie: undefined,
        renewed: undefined,
        now: this.#options.now(),
      },
      options.via,
    );
    if (answer.kind !== 'issued') throw refusalOf(id, answer);
    return encodeCertificatesPem(answer.chain);
  }

  #est(name: string, { label, bootstrap }: Pick<OrderRule, 'label' | 'bootstrap'>): Issuer {
    const { config, est } = this.#options;
    const settings = new Map(Object.entries(config.issuers)).get(name);
    if (settings?.method !== 'est') {
      throw new ServiceError('NotSupported', `the issuer "${name}" is no EST server`);
    }
    const merged = {
      ...settings,
      label: label ?? settings.label,
      bootstrap: bootstrap ?? settings.bootstrap,
    };
    return est.issuer(name, merged, (id, via) => this.#identity(parseCertificateId(id), via));
  }

  #command(name: string): Issuer {
    const { config, commands } = this.#options;
    const settings = new Map(Object.entries(config.issuers)).get(name);
    if (settings?.method === 'command') return commands.issuer(name, settings);
    throw new ServiceError('NotSupported', `the issuer "${name}" is no command`);
  }

  /** A certificate with its key, to authenticate with. */
  async #identity(id: CertificateId, via: Via): Promise<IdentityCertificate | undefined> {
    const entry = await this.#catalog.read(id);
    if (entry === undefined || entry.damage !== undefined || entry.chain.length === 0) return;
    const keyId = await this.#catalog.keyIdOf(entry, via);
    return keyId === '' ? undefined : { chain: entry.chain, keyId };
  }

  #localCa(id: CertificateId): Issuer {
    return new LocalCaIssuer({
      authority: (via, certificateId) => this.#authority(id, certificateId, via),
      onKeyReplaced: (ca) => this.#catalog.evictKey(ca),
    });
  }

  /** A CA with its key, for a certificate. */
  async #authority(id: CertificateId, certificateId: string, via: Via): Promise<LocalCa> {
    const issuer = await this.#catalog.require(id).catch((error: unknown) => {
      throw explainMissingRule(error, this.#options.config, { id: certificateId, issuer: id });
    });
    const [ca, ...above] = issuer.chain;
    if (ca === undefined) throw notFound(id);
    const keyId = await this.#catalog.keyIdOf(issuer, via);
    if (keyId === '') {
      throw new ServiceError('NotFound', `no key of the certificate "${id}"`);
    }
    if (!mayIssueWith(id, keyId)) {
      const why = "is the services' own, and issues under an id of theirs alone";
      throw new ServiceError('AccessDenied', `the key of the certificate "${id}" ${why}`);
    }
    // the key of the certificate has been read once, for all that are issued with it
    const algorithm = ca.publicKey && signatureAlgorithmFor(ca.publicKey);
    const signer = this.#options.keys.signer(keyId, ca.spki, via, algorithm);
    return { id, chain: [ca, ...above], signer };
  }

  async #checkKey(keyId: string, certificate: Certificate | undefined, via: Via): Promise<void> {
    if (keyId === '' || certificate === undefined) return;
    if (!(await this.#options.keys.contradicts(keyId, certificate.spki, via))) return;
    const [key, subject] = [keyId, certificate.subjectText].map((text) => JSON.stringify(text));
    throw new ServiceError(
      'InvalidArgs',
      `the key ${key} is not that of the certificate ${subject}`,
    );
  }

  #pemOf({ chain }: CertificateEntry): string {
    const pem = this.#pem.get(chain) ?? encodeCertificatesPem(chain);
    this.#pem.set(chain, pem);
    return pem;
  }

  #refusePreloaded(id: CertificateId, verb: string): void {
    if (!this.#catalog.isPreloaded(id)) return;
    const text = `the preloaded certificate "${id}" cannot be ${verb}: certificates.yaml names its file`;
    throw new ServiceError('NotSupported', text);
  }
}
