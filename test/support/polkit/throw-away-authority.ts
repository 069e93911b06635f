import { execFile } from 'node:child_process';
import { type KeyObject, randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

const extensions = `[req]
distinguished_name = subject
prompt = no
[subject]
CN = Throw-away root
[root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[device-ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign, digitalSignature
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[device-ca-of-leaves]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign, digitalSignature
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[client]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost, IP:127.0.0.1
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
`;

/** The purpose of a certificate. */
export type CertificateProfile = 'device-ca' | 'device-ca-of-leaves' | 'client' | 'server';

/** A root CA whose key is in a file, which issues the certificates of tests. */
export class ThrowAwayAuthority {
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  /** Creates a root in a directory that only its owner can read. */
  static async create(directory: string): Promise<ThrowAwayAuthority> {
    const authority = new ThrowAwayAuthority(directory);
    await mkdir(directory, { mode: 0o700 });
    await writeFile(authority.#file('openssl.cnf'), extensions);
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
    const files = ['-keyout', authority.#file('root.key'), '-out', authority.#file('root.pem')];
    const config = ['-config', authority.#file('openssl.cnf'), '-extensions', 'root'];
    await run('openssl', ['req', '-x509', ...key, ...files, ...config, '-days', '30']);
    return authority;
  }

  certificate(): Promise<string> {
    return readFile(this.#file('root.pem'), 'utf8');
  }

  /** Issues a certificate for a public key, without a proof of possession of the private one. */
  async certify(
    subject: string,
    publicKey: KeyObject,
    profile: CertificateProfile,
  ): Promise<string> {
    const key = this.#file(`${randomBytes(4).toString('hex')}.pub`);
    await writeFile(key, publicKey.export({ format: 'pem', type: 'spki' }));
    const issuer = ['-CA', this.#file('root.pem'), '-CAkey', this.#file('root.key')];
    const what = ['-extfile', this.#file('openssl.cnf'), '-extensions', profile, '-days', '30'];
    const serial = ['-set_serial', `0x4${randomBytes(8).toString('hex')}`];
    const args = ['x509', '-new', '-force_pubkey', key, '-subj', `/CN=${subject}`, ...serial];
    return (await run('openssl', [...args, ...issuer, ...what])).stdout;
  }

  #file(name: string): string {
    return join(this.#directory, name);
  }
}
