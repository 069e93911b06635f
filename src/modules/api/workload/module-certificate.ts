/**
 * Certificates for modules. The key pair is generated for the request and returned with it; it is never in a file, a
 * log or a string.
 */
import { sign as cryptoSign, generateKeyPair, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { promisify } from 'node:util';
import { ServiceError } from '../../../errors.ts';
import { type ModuleName, moduleIdOf } from '../../../ids.ts';
import { buildCsr } from '../../../x509/csr.ts';
import { subjectAlternativeName } from '../../../x509/extensions.ts';
import {
  parseAlternativeName,
  type SubjectAlternativeName,
} from '../../../x509/subject-alternative-name.ts';
import type { ModuleKey } from '../../config/config.ts';
import { isLabel, plainName, withoutLastDots } from '../../docker/confinement/host-name.ts';
import { pemBytes } from './secret-buffer.ts';
import type { IssuedCertificate } from './workload.ts';

const createKeyPair = promisify(generateKeyPair);
const maxCommonNameLength = 64;

/** The certificate id of a module's certificate for a purpose. */
export function certificateIdOf(module: string, purpose: 'server' | 'identity'): string {
  return `iotedge/module/${module}:${purpose}`;
}

/** Has a CSR signed by the Certificates service. */
export type Issue = (csr: Buffer) => Promise<string>;

/** Requested contents of a certificate. */
export interface CertificateNames {
  /** Undefined when the name exceeds the 64 characters of a common name. */
  readonly commonName: string | undefined;
  readonly alternativeNames: readonly SubjectAlternativeName[];
}

/** Creates a key of this kind and its certificate. */
export async function createCertificate(
  { commonName, alternativeNames }: CertificateNames,
  kind: ModuleKey,
  issue: Issue,
): Promise<IssuedCertificate> {
  const { privateKey, publicKey, algorithm } = await keyPair(kind);
  const sign = (message: Buffer): Promise<Buffer> =>
    new Promise((resolve, reject) => {
      cryptoSign('sha256', message, privateKey, (error, signature) => {
        if (error === null) resolve(signature);
        else reject(error);
      });
    });
  const csr = await buildCsr({
    subject: commonName === undefined ? [] : [[{ type: 'CN', value: commonName }]],
    spki: publicKey.export({ format: 'der', type: 'spki' }),
    extensions: [subjectAlternativeName(alternativeNames)],
    signer: { algorithm, sign },
  });
  const chainPem = await issue(csr);
  const leaf = readLeaf(chainPem);
  if (!leaf.publicKey.equals(publicKey)) {
    throw new ServiceError('Unavailable', 'the certificate issued is for another key');
  }
  const der = privateKey.export({ format: 'der', type: 'pkcs8' });
  return {
    chainPem,
    notAfter: new Date(leaf.validTo),
    privateKeyPem: pemBytes('PRIVATE KEY', der),
  };
}

async function keyPair(kind: ModuleKey) {
  if (kind === 'ec-p256') {
    const pair = await createKeyPair('ec', { namedCurve: 'P-256' });
    return { ...pair, algorithm: 'ecdsa-sha256' as const };
  }
  const pair = await createKeyPair('rsa', { modulusLength: 2048 });
  return { ...pair, algorithm: 'rsa-pkcs1-sha256' as const };
}

function readLeaf(chainPem: string): X509Certificate {
  try {
    return new X509Certificate(chainPem);
  } catch (cause) {
    throw new ServiceError('Unavailable', 'the certificate issued cannot be read', { cause });
  }
}

/** The names of a server certificate: the name that clients connect to, and the module. */
export function serverNames(asked: string, module: ModuleName): CertificateNames {
  const id = moduleIdOf(module);
  // a cloud id such as `$edgeHub` is not a valid host name
  const first = asked === id ? module : asked;
  const names = new Set([first, ...(isLabel(module) ? [module] : [])].map(plainName));
  return {
    commonName: commonName(withoutLastDots(asked)) ?? commonName(id),
    alternativeNames: [...names].map((name) =>
      parseAlternativeName(isIP(name) === 0 ? 'dns' : 'ip', name),
    ),
  };
}

function commonName(text: string): string | undefined {
  return text.length <= maxCommonNameLength ? text : undefined;
}

/** The names of a module's identity certificate. */
export function identityNames(identity: {
  readonly hub_hostname: string;
  readonly device_id: string;
  readonly module_id: string;
}): CertificateNames {
  const path = `/devices/${encodeURIComponent(identity.device_id)}/modules/${encodeURIComponent(identity.module_id)}`;
  const uri = `azureiot://${identity.hub_hostname}${path}`;
  return {
    commonName: commonName(identity.module_id),
    alternativeNames: [parseAlternativeName('uri', uri)],
  };
}
