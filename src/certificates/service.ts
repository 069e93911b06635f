import { createHash } from 'node:crypto';
import { isServiceError, ServiceError } from '../errors.ts';
import { type Certificate, encodeCertificatesPem } from '../x509/certificate.ts';
import { parseCsr } from '../x509/csr.ts';
import type { CertificatesConfig } from './config.ts';
import { readFormat, writeFormat } from './exchange.ts';
import { type Held, microseconds, propertiesOf, renewAtOf } from './held.ts';
import { issueWithLocalCa } from './issuers/local-ca.ts';
import { KeyFinder } from './key-finder.ts';
import { grant, policyFor, resolveIssuer, resolveProfile, ruleFor } from './policy.ts';
import { Preloaded } from './preloaded.ts';
import { rightsOf } from './profile.ts';
import type { Publisher } from './publisher.ts';
import type { SigningKeys, Via } from './signing-keys.ts';
import type { Storage } from './storage.ts';

/** What the service is made of. */
export interface Parts {
  readonly config: CertificatesConfig;
  readonly storage: Storage;
  readonly keys: SigningKeys;
  readonly publisher: Publisher;
  readonly now: () => Date;
}

/** What may be said about an Issue. */
export interface IssueOptions {
  readonly issuer?: string | undefined;
  readonly profile?: string | undefined;
  readonly lifetime_s?: number | undefined;
}

/** What may be said about an Import. */
export interface ImportOptions {
  readonly keyId?: string | undefined;
  readonly ifExists?: string | undefined;
  readonly via?: Via;
}

/** What Get answers. */
export interface CertificateRecord {
  readonly chain_pem: string;
  readonly key_id: string;
  readonly not_before: bigint;
  readonly not_after: bigint;
  readonly renew_at: bigint;
}

/** Everything that can be done with certificates; failures are ServiceErrors. */
export class CertificateService {
  readonly #parts: Parts;
  readonly #preloaded: Preloaded;
  readonly #finder: KeyFinder;
  readonly #damaged = new Map<string, string>();
  #turn: Promise<unknown> = Promise.resolve();

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#finder = new KeyFinder(parts.keys, parts.now);
    this.#preloaded = new Preloaded(parts.config, (id) => parts.storage.get(id)?.chain);
  }

  /** Publishes every certificate and the digest of the trust bundle. */
  async publishAll(): Promise<void> {
    const { storage } = this.#parts;
    for (const id of this.#preloaded.ids()) this.#publish(await this.#preloaded.read(id));
    for (const id of storage.ids()) {
      const held = storage.get(id);
      if (held !== undefined && !this.#preloaded.has(id)) this.#publish(held);
    }
    await this.#publishTrustBundle();
  }

  /** Looks up the keys of the certificates whose key nobody named, so that their objects show them. */
  async findKeys(): Promise<void> {
    for (const id of [...this.#preloaded.ids(), ...this.#parts.storage.ids()]) {
      const held = await this.#read(id);
      if (held !== undefined && held.damage === undefined) await this.#keyIdOrNone(held);
    }
  }

  /** The one consistent read; NotFound, or Unavailable when the certificate is damaged. */
  async get(id: string): Promise<CertificateRecord> {
    const held = await this.#require(id);
    const [certificate] = held.chain;
    return {
      chain_pem: encodeCertificatesPem(held.chain),
      key_id: await this.#keyIdOrNone(held),
      not_before: certificate === undefined ? 0n : microseconds(certificate.notBefore),
      not_after: certificate === undefined ? 0n : microseconds(certificate.notAfter),
      renew_at: renewAtOf(held, this.#parts.config),
    };
  }

  /** Stores certificates that were handed in; InvalidArgs when the key named with them is not theirs. */
  async import(
    id: string,
    { data, format }: { readonly data: Buffer; readonly format: string },
    { keyId = '', ifExists = 'fail', via = {} }: ImportOptions,
  ): Promise<void> {
    if (ifExists !== 'fail' && ifExists !== 'replace') {
      throw new ServiceError('InvalidArgs', 'if_exists is fail or replace');
    }
    const chain = readFormat(data, format);
    await this.#checkKey(keyId, chain[0], via);
    return this.#exclusive(async () => {
      this.#refusePreloaded(id, 'replaced');
      if (ifExists === 'fail' && this.#parts.storage.get(id) !== undefined) {
        throw new ServiceError('AlreadyExists', `the certificate ${JSON.stringify(id)} exists`);
      }
      this.#publish(await this.#parts.storage.put(id, chain, keyId));
      await this.#publishTrustBundle();
    });
  }

  /** The certificate in a format. */
  async export(id: string, format: string): Promise<Buffer> {
    return writeFormat((await this.#require(id)).chain, format);
  }

  /** Deletes a certificate that was handed in. */
  delete(id: string): Promise<void> {
    return this.#exclusive(async () => {
      this.#refusePreloaded(id, 'deleted');
      if (this.#parts.storage.get(id) === undefined) throw notFound(id);
      await this.#parts.storage.delete(id);
      this.#damaged.delete(id);
      this.#parts.publisher.remove(id);
      this.#publishHealth();
      await this.#publishTrustBundle();
    });
  }

  /** The certificates of the id asked for, else of the configured ids, else of `trusted-ca`. */
  async trustBundle(id: string | undefined): Promise<string> {
    if (id !== undefined) return encodeCertificatesPem((await this.#require(id)).chain);
    const pem = await this.#defaultTrustBundle();
    this.#parts.publisher.trustBundle(digestOf(pem));
    return pem;
  }

  /** Whom and what for a certificate of this id would be issued: what authorization is asked about. */
  resolve(
    id: string,
    options: IssueOptions,
  ): { readonly issuer: string; readonly profile: string } {
    const policy = policyFor(this.#parts.config, id);
    return {
      issuer: resolveIssuer(policy, options.issuer),
      profile: resolveProfile(policy, options.profile),
    };
  }

  /** Signs a request with the key of a CA; answers the chain, leaf first. */
  async issue(
    id: string,
    csr: Buffer,
    options: IssueOptions & { readonly via: Via },
  ): Promise<string> {
    const { config, keys, now } = this.#parts;
    const policy = policyFor(config, id);
    if (policy.method === 'none') {
      const name = JSON.stringify(id);
      throw new ServiceError('NotSupported', `the method of the certificate ${name} is none`);
    }
    const issuerId = resolveIssuer(policy, options.issuer);
    const profile = resolveProfile(policy, options.profile);
    const request = parseCsr(csr);
    const granted = grant(policy, request, { profile, lifetimeS: options.lifetime_s });
    const issuer = await this.#require(issuerId);
    const [ca, ...above] = issuer.chain;
    if (ca === undefined) throw notFound(issuerId);
    const keyId = await this.#keyIdOf(issuer, options.via);
    if (keyId === '') {
      throw new ServiceError('NotFound', `no key of the certificate ${JSON.stringify(issuerId)}`);
    }
    const authority = {
      id: issuerId,
      chain: [ca, ...above],
      signer: keys.signer(keyId, ca.spki, options.via),
    } as const;
    const rights = rightsOf(profile, request.keyAlgorithm);
    try {
      const certified = { spki: request.spki, granted, rights };
      return encodeCertificatesPem(await issueWithLocalCa(authority, certified, now()));
    } catch (error) {
      if (isServiceError(error, 'NotFound')) this.#finder.forget(ca); // its key was replaced
      throw error;
    }
  }

  async #checkKey(keyId: string, certificate: Certificate | undefined, via: Via): Promise<void> {
    if (keyId === '' || certificate === undefined) return;
    if (!(await this.#parts.keys.contradicts(keyId, certificate.spki, via))) return;
    const [key, subject] = [keyId, certificate.subjectText].map((text) => JSON.stringify(text));
    throw new ServiceError(
      'InvalidArgs',
      `the key ${key} is not that of the certificate ${subject}`,
    );
  }

  async #read(id: string): Promise<Held | undefined> {
    if (!this.#preloaded.has(id)) return this.#parts.storage.get(id);
    const held = await this.#preloaded.read(id);
    this.#publish(held);
    return held;
  }

  async #require(id: string): Promise<Held> {
    const held = await this.#read(id);
    if (held === undefined) throw notFound(id);
    if (held.damage !== undefined) {
      const name = JSON.stringify(id);
      throw new ServiceError('Unavailable', `the certificate ${name} is damaged: ${held.damage}`);
    }
    return held;
  }

  /** The key stored or configured for a certificate, else the one whose public half it certifies, else ``. */
  async #keyIdOf(held: Held, via: Via): Promise<string> {
    const known = this.#knownKeyId(held);
    const [certificate] = held.chain;
    if (known !== '' || certificate === undefined) return known;
    const found = await this.#finder.find(certificate, held.id, via);
    if (found !== '') this.#publish(held);
    return found;
  }

  /** As `#keyIdOf`, but asks the Keys service rarely: anybody may call Get. */
  async #keyIdOrNone(held: Held): Promise<string> {
    const [certificate] = held.chain;
    const known = this.#knownKeyId(held);
    if (known !== '' || certificate === undefined) return known;
    const found = await this.#finder.findSparingly(certificate, held.id);
    if (found !== '') this.#publish(held);
    return found;
  }

  #knownKeyId({ id, keyId, chain: [certificate] }: Held): string {
    if (keyId !== '') return keyId;
    const issuers = new Map(Object.entries(this.#parts.config.issuers));
    const configured = issuers.get(id)?.key_id ?? ruleFor(this.#parts.config, id).key_id;
    return configured ?? this.#finder.known(certificate);
  }

  #publish(held: Held): void {
    const { config, now, publisher } = this.#parts;
    const keyId = this.#knownKeyId(held);
    const renewAt = renewAtOf(held, config);
    publisher.put(held.id, propertiesOf(held, { now: now(), keyId, renewAt }));
    if (held.damage === undefined) this.#damaged.delete(held.id);
    else this.#damaged.set(held.id, held.damage);
    this.#publishHealth();
  }

  #publishHealth(): void {
    this.#parts.publisher.health(
      [...this.#damaged].map(([id, damage]) => `${JSON.stringify(id)}: ${damage}`),
    );
  }

  async #publishTrustBundle(): Promise<void> {
    try {
      this.#parts.publisher.trustBundle(digestOf(await this.#defaultTrustBundle()));
    } catch {
      // a part is missing or damaged: GetTrustBundle says which, and no digest is better than a wrong one
      this.#parts.publisher.trustBundle('');
    }
  }

  async #defaultTrustBundle(): Promise<string> {
    const configured = this.#parts.config.trust_bundle;
    const fallback = (await this.#read('trusted-ca')) === undefined ? [] : ['trusted-ca'];
    const certificates = new Map<string, Certificate>();
    for (const id of configured.length > 0 ? configured : fallback) {
      for (const one of (await this.#require(id)).chain) certificates.set(one.fingerprint, one);
    }
    return encodeCertificatesPem([...certificates.values()]);
  }

  #refusePreloaded(id: string, verb: string): void {
    if (!this.#preloaded.has(id)) return;
    const name = JSON.stringify(id);
    throw new ServiceError('NotSupported', `the preloaded certificate ${name} cannot be ${verb}`);
  }

  /** Changes happen one after the other. */
  #exclusive<T>(change: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(change);
    this.#turn = result.catch(() => undefined);
    return result;
  }
}

function notFound(id: string): ServiceError {
  return new ServiceError('NotFound', `no certificate ${JSON.stringify(id)}`);
}

function digestOf(pem: string): string {
  return createHash('sha256').update(pem).digest('hex');
}
