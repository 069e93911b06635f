import { execFileSync } from 'node:child_process';
import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type KeyAlgorithm, localSigner, spkiOf } from '../../../src/x509/algorithm.ts';
import { type Certificate, parseCertificate } from '../../../src/x509/certificate.ts';
import { buildCertificate } from '../../../src/x509/certificate-builder.ts';
import {
  basicConstraints,
  type Extension,
  extendedKeyUsage,
  keyIdentifier,
  keyUsage,
} from '../../../src/x509/extensions.ts';
import { encodeName, parseName } from '../../../src/x509/name.ts';

/** The key kinds of certificates in tests. */
export const keyKinds = ['ec-p256', 'ec-p384', 'rsa-2048', 'ed25519'] as const;

/**
 * A private key of a kind, re-imported after its generation: the garbage collection of a generation job waits for the
 * lock of its key, which Node holds while it exports the key as a JWK.
 */
export function makeKey(kind: KeyAlgorithm): KeyObject {
  const key = generate(kind).export({ format: 'der', type: 'pkcs8' });
  return createPrivateKey({ key, format: 'der', type: 'pkcs8' });
}

function generate(kind: KeyAlgorithm): KeyObject {
  switch (kind) {
    case 'ec-p256':
      return generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey;
    case 'ec-p384':
      return generateKeyPairSync('ec', { namedCurve: 'secp384r1' }).privateKey;
    case 'ec-p521':
      return generateKeyPairSync('ec', { namedCurve: 'secp521r1' }).privateKey;
    case 'rsa-2048':
      return generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
    case 'rsa-3072':
      return generateKeyPairSync('rsa', { modulusLength: 3072 }).privateKey;
    case 'rsa-4096':
      return generateKeyPairSync('rsa', { modulusLength: 4096 }).privateKey;
    case 'ed25519':
      return generateKeyPairSync('ed25519').privateKey;
  }
}

/** A directory for the files that the openssl command reads; removed when disposed. */
export class Workspace implements Disposable {
  readonly #path = mkdtempSync(join(tmpdir(), 'iotedge-x509-'));

  /** Writes a file and returns its path. */
  write(name: string, content: Uint8Array | string): string {
    const path = join(this.#path, name);
    writeFileSync(path, content);
    return path;
  }

  [Symbol.dispose](): void {
    rmSync(this.#path, { recursive: true });
  }
}

/** The output of the openssl command; throws when it fails. */
export function openssl(...args: readonly string[]): string {
  return execFileSync('openssl', args, { encoding: 'utf8', timeout: 20_000, stdio: 'pipe' });
}

/** A CA certificate, self-signed or issued by another one. */
export async function makeCa({
  name,
  key,
  by,
  pathLength,
  purposes,
  extensions = [],
  now = new Date(),
}: {
  readonly name: string;
  readonly key: KeyObject;
  readonly by?: { readonly certificate: Certificate; readonly key: KeyObject };
  readonly pathLength?: number;
  readonly purposes?: readonly string[];
  /** Further ones. */
  readonly extensions?: readonly Extension[];
  readonly now?: Date;
}): Promise<Certificate> {
  const spki = spkiOf(key);
  const subjectDer = encodeName(parseName(name));
  const start = Math.floor(now.getTime() / 1000) * 1000 - 3_600_000;
  const der = await buildCertificate(
    {
      subjectDer,
      spki,
      validity: { notBefore: new Date(start), notAfter: new Date(start + 86_400_000) },
      extensions: [
        basicConstraints({ ca: true, pathLength }),
        keyUsage(['keyCertSign', 'cRLSign']),
        ...(purposes === undefined ? [] : [extendedKeyUsage(purposes)]),
        ...extensions,
      ],
    },
    by?.certificate ?? { subjectDer, keyIdentifier: keyIdentifier(spki) },
    localSigner(by?.key ?? key),
  );
  return parseCertificate(der, 'CA');
}
