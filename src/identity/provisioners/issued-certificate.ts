/**
 * The device's certificate where the provisioning service is its CA: a registration carries a CSR, and the certificate in
 * the reply goes to the Certificates service, which does not renew it (`external`).
 */
import type { Via } from '../../dbus/client/via.ts';
import { describeError, ServiceError } from '../../errors.ts';
import { parseCertificateId, parseKeyId } from '../../ids.ts';
import { keyDigest, publicKeyOf, signatureAlgorithmFor } from '../../x509/algorithm.ts';
import {
  type Certificate,
  encodeCertificatesPem,
  parseCertificate,
  parseCertificatesPem,
} from '../../x509/certificate.ts';
import { orderChain, verifyLinks } from '../../x509/chain.ts';
import { buildCsr } from '../../x509/csr.ts';
import { commonNameOf } from '../../x509/name.ts';
import { renewalTime } from '../../x509/renewal-time.ts';
import { fieldOf, stringField } from '../cloud/cloud.ts';
import type { CertificatesClient, KeysClient } from './clients.ts';

/** The id of the certificate that the provisioning service issues, and of its key. */
export const issuedCertificate = {
  certificateId: parseCertificateId('iotedge/device-identity'),
  keyId: parseKeyId('iotedge/certificate/iotedge/device-identity'),
};

/** A version of the API in which the service issues certificates: how the CSR is sent and the certificate returned. */
interface Dialect {
  readonly member: string;
  readonly read: (registrationState: unknown) => readonly Certificate[];
}

const what = 'the certificate issued by the provisioning service';
const clientAuth = 'clientAuth';
const anyPurpose = '2.5.29.37.0';
const maxBytes = 256 << 10;
/** The service's clock may be ahead: such a certificate is used once it is valid. */
const skewMs = 10 * 60_000;

const dialects = new Map<string, Dialect>([
  [
    '2021-11-01-preview',
    {
      member: 'clientCertificateCsr',
      read: (state) => {
        const pem = stringField(state, 'issuedClientCertificate') ?? '';
        if (pem === '' || pem.length > maxBytes) throw missing();
        return parseCertificatesPem(Buffer.from(pem), what);
      },
    },
  ],
  [
    '2025-07-01-preview',
    {
      member: 'csr',
      read: (state) => {
        const list = fieldOf(state, 'issuedCertificateChain');
        if (!Array.isArray(list) || list.length === 0 || list.length > 16) throw missing();
        return list.map((one) => parseCertificate(Buffer.from(String(one), 'base64'), what));
      },
    },
  ],
]);

/** The versions of the API in which the service issues certificates. */
export const issuingApiVersions: readonly string[] = [...dialects.keys()];

/** A CSR as a member of the body of a registration. */
export interface CertificateOrder {
  readonly member: string;
  /** Base64 of DER. */
  readonly csr: string;
  readonly spki: Buffer;
}

/** Orders the device's certificate with a registration. */
export class IssuedCertificate {
  readonly apiVersion: string;
  readonly #dialect: Dialect;
  readonly #keys: KeysClient;
  readonly #certificates: CertificatesClient;
  readonly #now: () => Date;

  constructor({
    apiVersion,
    keys,
    certificates,
    now,
  }: {
    readonly apiVersion: string;
    readonly keys: KeysClient;
    readonly certificates: CertificatesClient;
    readonly now: () => Date;
  }) {
    const dialect = dialects.get(apiVersion);
    if (dialect === undefined) throw new TypeError(`no certificates in API version ${apiVersion}`);
    this.apiVersion = apiVersion;
    this.#dialect = dialect;
    this.#keys = keys;
    this.#certificates = certificates;
    this.#now = now;
  }

  /** A CSR for the registration id; the key is created unless it exists. */
  async order(registrationId: string, via: Via): Promise<CertificateOrder> {
    const { keyId } = issuedCertificate;
    const options = { if_exists: 'keep' };
    const pair = { key_id: keyId, algorithms: [], usages: ['sign'], options };
    await this.#keys.CreateKeyPair(pair, via);
    const { spki } = await this.#keys.GetPublicKey({ key_id: keyId }, via);
    const algorithm = signatureAlgorithmFor(publicKeyOf(spki));
    const sign = async (data: Buffer): Promise<Buffer> => {
      const request = { key_id: keyId, mechanism: algorithm, data };
      const signing = { ...request, options: { public_key: keyDigest(spki) } };
      return (await this.#keys.Sign(signing, via)).signature;
    };
    const subject = [[{ type: 'CN', value: registrationId }]];
    const csr = await buildCsr({ subject, spki, signer: { algorithm, sign } });
    return { member: this.#dialect.member, csr: csr.toString('base64'), spki };
  }

  /** Stores the certificate of a registration; returns when it is to be renewed. Unavailable for one that is no good. */
  async store(
    { spki }: CertificateOrder,
    { registrationId, state }: { readonly registrationId: string; readonly state: unknown },
    via: Via,
  ): Promise<Date> {
    const chain = this.#judged(state, { spki, registrationId });
    await this.#certificates.ImportCertificate(
      {
        certificate_id: issuedCertificate.certificateId,
        data: Buffer.from(encodeCertificatesPem(chain)),
        format: 'pem',
        options: { key_id: issuedCertificate.keyId, if_exists: 'replace' },
      },
      via,
    );
    const [leaf] = chain;
    const now = this.#now().getTime();
    const due = renewalTime(leaf, { afterShare: 0.8 }).getTime();
    // one that was issued long ago is used for half of the life that it has left
    return new Date(Math.max(due, (now + leaf.notAfter.getTime()) / 2));
  }

  #judged(
    state: unknown,
    { spki, registrationId }: { readonly spki: Buffer; readonly registrationId: string },
  ): readonly [Certificate, ...Certificate[]] {
    const problem = (why: string) => new ServiceError('Unavailable', `${what} ${why}`);
    let chain: readonly Certificate[];
    try {
      const found = this.#dialect.read(state);
      chain = orderChain(found) ?? found;
      verifyLinks(chain);
    } catch (error) {
      throw new ServiceError('Unavailable', describeError(error));
    }
    const [leaf, ...above] = chain;
    if (leaf === undefined) throw missing();
    if (!leaf.spki.equals(spki)) throw problem('is for another key');
    if (leaf.basicConstraints.ca) throw problem('is one of a CA');
    const { extendedKeyUsage: purposes } = leaf;
    if (purposes?.some((one) => one === clientAuth || one === anyPurpose) === false) {
      throw problem('is not for clients');
    }
    if (commonNameOf(leaf.subject)?.toLowerCase() !== registrationId.toLowerCase()) {
      throw problem(`is for ${leaf.subjectText}, not for "${registrationId}"`);
    }
    const now = this.#now();
    if (now.getTime() + skewMs < leaf.notBefore.getTime() || now >= leaf.notAfter) {
      const [from, until] = [leaf.notBefore, leaf.notAfter].map((date) => date.toISOString());
      throw problem(
        `is valid from ${from} until ${until}, and the clock is at ${now.toISOString()}`,
      );
    }
    return [leaf, ...above];
  }
}

function missing(): ServiceError {
  return new ServiceError('Unavailable', 'the provisioning service issued no certificate');
}
