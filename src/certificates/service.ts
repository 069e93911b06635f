import type { Via } from '../dbus/client/via.ts';
import { oneOf, ServiceError } from '../errors.ts';
import { unrotated } from '../glob.ts';
import type { CertificateId } from '../ids.ts';
import { KeyedMutex } from '../service/mutex.ts';
import { type Certificate, encodeCertificatesPem } from '../x509/certificate.ts';
import { parseCsr } from '../x509/csr.ts';
import { CertificateCatalog, type CertificateServiceOptions, notFound } from './catalog.ts';
import type { CertificateEntry } from './certificate-entry.ts';
import type { CertificatesConfig } from './config/config.ts';
import { readFormat, writeFormat } from './formats.ts';
import type { Answer, Issuer } from './issuers/issuer.ts';
import { type LocalCa, LocalCaIssuer } from './issuers/local-ca.ts';
import { grant, policyFor, resolveIssuer, resolveProfile } from './issuers/policy.ts';
import { validityOf } from './properties.ts';
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
export class CertificateService {
  readonly #options: CertificateServiceOptions;
  readonly #catalog: CertificateCatalog;
  readonly #trustBundle: TrustBundle;
  /** Cached by chain, which is the same list until it changes: any process may read at any rate. */
  readonly #pem = new WeakMap<CertificateEntry['chain'], string>();
  /** Serializes the changes of each certificate, also across a reload. */
  readonly #changes: KeyedMutex<CertificateId>;

  constructor(options: CertificateServiceOptions, before?: CertificateService) {
    this.#options = options;
    this.#catalog = new CertificateCatalog(
      options,
      before === undefined ? undefined : before.#catalog,
    );
    this.#trustBundle = new TrustBundle(options.config, this.#catalog, options.objects);
    this.#changes = before === undefined ? new KeyedMutex() : before.#changes;
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
      renew_at: 0n,
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
      if (!replaces && this.#options.storage.get(id) !== undefined) {
        throw new ServiceError('AlreadyExists', `the certificate "${id}" exists`);
      }
      const entry = { id, chain, keyId, preloaded: false };
      this.#catalog.publish(await this.#options.storage.put(entry, { replaces }));
      await this.#trustBundle.publish();
    });
  }

  /** Encodes a certificate with its chain. */
  async export(id: CertificateId, format: string): Promise<Buffer> {
    return writeFormat((await this.#catalog.require(id)).chain, format);
  }

  /** Deletes an imported certificate. */
  delete(id: CertificateId): Promise<void> {
    return this.#changes.run(id, async () => {
      this.#refusePreloaded(id, 'deleted');
      this.#options.storage.assertListed();
      if (this.#options.storage.get(id) === undefined) throw notFound(id);
      await this.#options.storage.delete(id);
      this.#catalog.remove(id);
      await this.#trustBundle.publish();
    });
  }

  /** The certificates of the requested id, else of the configured ids, else of `trusted-ca`, as PEM. */
  async trustBundle(id: CertificateId | undefined): Promise<string> {
    if (id === undefined) return this.#trustBundle.pem();
    return this.#pemOf(await this.#catalog.require(id));
  }

  /** The issuer and the profile of a certificate to be issued, for authorization. */
  resolve(
    id: CertificateId,
    options: IssueOptions,
  ): { readonly issuer: CertificateId; readonly profile: string } {
    const policy = policyFor(this.#options.config, id);
    return {
      issuer: resolveIssuer(policy, options.issuer),
      profile: resolveProfile(policy, options.profile),
    };
  }

  /** Signs a request with the key of a CA; returns the chain, leaf first. */
  async issue(
    id: CertificateId,
    csr: Buffer,
    options: IssueOptions & { readonly via: Via },
  ): Promise<string> {
    const policy = policyFor(this.#options.config, id);
    if (policy.method !== 'local_ca') {
      throw new ServiceError(
        'NotSupported',
        `the method of the certificate "${id}" is ${policy.method}, by its rule in certificates.yaml`,
      );
    }
    const issuerId = resolveIssuer(policy, options.issuer);
    const profile = resolveProfile(policy, options.profile);
    const request = parseCsr(csr);
    const granted = grant(policy, request, { profile, lifetimeS: options.lifetime_s });
    const answer = await this.#localCa(issuerId).submit(
      {
        id,
        profile,
        ...granted,
        key: { keyId: '', spki: request.spki, signer: undefined },
        csr: request.der,
        cookie: undefined,
        renewed: undefined,
        now: this.#options.now(),
      },
      options.via,
    );
    if (answer.kind !== 'issued') throw refusalOf(id, answer);
    return encodeCertificatesPem(answer.chain);
  }

  #localCa(id: CertificateId): Issuer {
    return new LocalCaIssuer({
      authority: (via) => this.#authority(id, via),
      onKeyReplaced: (ca) => this.#catalog.evictKey(ca),
    });
  }

  /** A CA with its key. */
  async #authority(id: CertificateId, via: Via): Promise<LocalCa> {
    const issuer = await this.#catalog.require(id);
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
    return { id, chain: [ca, ...above], signer: this.#options.keys.signer(keyId, ca.spki, via) };
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
    throw new ServiceError('NotSupported', `the preloaded certificate "${id}" cannot be ${verb}`);
  }
}

/** The failure of a call of Issue, which stores nothing and so cannot wait for an issuer. */
function refusalOf(id: CertificateId, answer: Exclude<Answer, { kind: 'issued' }>): ServiceError {
  const name = `the certificate "${id}"`;
  if (answer.kind === 'rejected') {
    return new ServiceError('Unavailable', `the issuer refuses ${name}: ${answer.reason}`);
  }
  const after = answer.retryAfterS === undefined ? '' : ` in ${answer.retryAfterS} s`;
  return new ServiceError(
    'Unavailable',
    `the issuer has not decided on ${name}: ask again${after}`,
  );
}

/**
 * Whether a CA may issue with the key that matches it. A user that may import a certificate for a public key of the
 * services must not issue with their key that way: rules guard the id of the issuer, not that of its key.
 */
function mayIssueWith(issuerId: string, keyId: string): boolean {
  const reserved = 'iotedge/';
  if (!keyId.startsWith(reserved) || issuerId.startsWith(reserved)) return true;
  return unrotated(keyId) === `${reserved}certificate/${issuerId}`;
}
