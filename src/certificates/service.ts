import type { Via } from '../dbus/client/via.ts';
import { isServiceError, oneOf, ServiceError } from '../errors.ts';
import { unrotated } from '../glob.ts';
import type { CertificateId } from '../ids.ts';
import { KeyedMutex } from '../service/mutex.ts';
import { type Certificate, encodeCertificatesPem } from '../x509/certificate.ts';
import { parseCsr } from '../x509/csr.ts';
import { CertificateCatalog, type CertificateServiceOptions, notFound } from './catalog.ts';
import type { CertificateEntry } from './certificate-entry.ts';
import type { CertificatesConfig } from './config/config.ts';
import { readFormat, writeFormat } from './formats.ts';
import { issueWithLocalCa, type LocalCa } from './issuers/local-ca.ts';
import { grant, policyFor, resolveIssuer, resolveProfile } from './issuers/policy.ts';
import { rightsOf } from './issuers/profile.ts';
import { validityOf } from './properties.ts';
import { TrustBundle } from './trust-bundle.ts';

/** What may be said about an Issue. */
export interface IssueOptions {
  readonly issuer?: string | undefined;
  readonly profile?: string | undefined;
  readonly lifetime_s?: number | undefined;
}

/** What may be said about an ImportCertificate. */
export interface ImportOptions {
  readonly keyId?: string | undefined;
  readonly ifExists?: string | undefined;
  readonly via: Via;
}

/** What GetCertificate answers. */
export interface CertificateRecord {
  readonly chain_pem: string;
  readonly key_id: string;
  readonly not_before: bigint;
  readonly not_after: bigint;
  readonly renew_at: bigint;
}

/** Everything that can be done with certificates; failures are ServiceErrors. */
export class CertificateService {
  readonly #options: CertificateServiceOptions;
  readonly #catalog: CertificateCatalog;
  readonly #trustBundle: TrustBundle;
  /** Anybody may read, and a chain is the same list while it is the same. */
  readonly #pem = new WeakMap<CertificateEntry['chain'], string>();
  /** By id: changes of one certificate happen one after the other, under whichever configuration. */
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

  /** Shows all that is wrong now, of the disk too. */
  publishHealth(): void {
    this.#catalog.publishHealth();
  }

  /** The same certificates under another configuration, published as that has them; changes keep their order. */
  async reconfigured(config: CertificatesConfig): Promise<CertificateService> {
    const next = new CertificateService({ ...this.#options, config }, this);
    await next.publishInPlaceOf(this);
    return next;
  }

  /** Publishes everything as it is now, and removes what only the service before had. */
  async publishInPlaceOf(before: CertificateService): Promise<void> {
    await this.#catalog.publishInPlaceOf(before.#catalog);
    await this.#trustBundle.publish();
  }

  /** Whether keys were out of reach when they were looked up last. */
  get keysAreOutdated(): boolean {
    return this.#catalog.keysAreOutdated;
  }

  /** Looks up again which keys belong to the certificates, so that their objects show them. */
  refreshKeys(via: Via): Promise<void> {
    return this.#catalog.refreshKeys(via);
  }

  /** The one consistent read; NotFound, or Unavailable when the certificate is damaged. */
  async get(id: CertificateId, via: Via): Promise<CertificateRecord> {
    const held = await this.#catalog.require(id);
    const { notBefore, notAfter } = validityOf(held.chain[0]);
    return {
      chain_pem: this.#pemOf(held),
      key_id: await this.#catalog.keyIdOrNone(held, via),
      not_before: notBefore,
      not_after: notAfter,
      renew_at: 0n,
    };
  }

  /** Stores certificates that were handed in; InvalidArgs when the key named with them is not theirs. */
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
        throw new ServiceError('AlreadyExists', `the certificate ${JSON.stringify(id)} exists`);
      }
      this.#catalog.publish(await this.#options.storage.put(id, chain, { keyId, replaces }));
      await this.#trustBundle.publish();
    });
  }

  /** The certificate in a format. */
  async export(id: CertificateId, format: string): Promise<Buffer> {
    return writeFormat((await this.#catalog.require(id)).chain, format);
  }

  /** Deletes a certificate that was handed in. */
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

  /** The certificates of the id asked for, else of the configured ids, else of `trusted-ca`. */
  async trustBundle(id: CertificateId | undefined): Promise<string> {
    if (id === undefined) return this.#trustBundle.pem();
    return this.#pemOf(await this.#catalog.require(id));
  }

  /** Whom and what for a certificate of this id would be issued: what authorization is asked about. */
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

  /** Signs a request with the key of a CA; answers the chain, leaf first. */
  async issue(
    id: CertificateId,
    csr: Buffer,
    options: IssueOptions & { readonly via: Via },
  ): Promise<string> {
    const policy = policyFor(this.#options.config, id);
    if (policy.method === 'none') {
      const name = JSON.stringify(id);
      throw new ServiceError(
        'NotSupported',
        `the method of the certificate ${name} is none, by its rule in certificates.yaml`,
      );
    }
    const issuerId = resolveIssuer(policy, options.issuer);
    const profile = resolveProfile(policy, options.profile);
    const request = parseCsr(csr);
    const granted = grant(policy, request, { profile, lifetimeS: options.lifetime_s });
    const rights = rightsOf(profile, request.keyAlgorithm);
    const authority = await this.#authority(issuerId, options.via);
    try {
      const certified = { spki: request.spki, granted, rights };
      const chain = await issueWithLocalCa(authority, certified, this.#options.now());
      return encodeCertificatesPem(chain);
    } catch (error) {
      // its key was replaced
      if (isServiceError(error, 'NotFound')) this.#catalog.forgetKey(authority.chain[0]);
      throw error;
    }
  }

  /** A CA that is held here, with its key. */
  async #authority(id: CertificateId, via: Via): Promise<LocalCa> {
    const issuer = await this.#catalog.require(id);
    const [ca, ...above] = issuer.chain;
    if (ca === undefined) throw notFound(id);
    const keyId = await this.#catalog.keyIdOf(issuer, via);
    if (keyId === '') {
      throw new ServiceError('NotFound', `no key of the certificate ${JSON.stringify(id)}`);
    }
    if (!mayIssueWith(id, keyId)) {
      const why = "is the services' own, and issues under an id of theirs alone";
      throw new ServiceError(
        'AccessDenied',
        `the key of the certificate ${JSON.stringify(id)} ${why}`,
      );
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
    const name = JSON.stringify(id);
    throw new ServiceError('NotSupported', `the preloaded certificate ${name} cannot be ${verb}`);
  }
}

/**
 * Whether a CA may issue with the key that belongs to it. Who may import a certificate over a public key of the
 * services must not get their key to issue by that: rules guard the id of the issuer, not that of its key.
 */
function mayIssueWith(issuerId: string, keyId: string): boolean {
  const reserved = 'iotedge/';
  if (!keyId.startsWith(reserved) || issuerId.startsWith(reserved)) return true;
  return unrotated(keyId) === `${reserved}certificate/${issuerId}`;
}
