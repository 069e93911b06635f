import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A certificate and its key, in PEM. */
export interface Credential {
  readonly certificate: string;
  readonly key: string;
}

/** A temporary root created by openssl, and the certificates that it issues. */
export class Pki implements AsyncDisposable {
  readonly directory: string;
  readonly root: Credential;

  private constructor(directory: string, root: Credential) {
    this.directory = directory;
    this.root = root;
  }

  static async create(): Promise<Pki> {
    const directory = await mkdtemp(join(tmpdir(), 'iotedge-pki-'));
    const [key, certificate] = [join(directory, 'root.key'), join(directory, 'root.cer')];
    await openssl(
      `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=root -keyout ${key} -out ${certificate}`,
    );
    return new Pki(directory, await credential(key, certificate));
  }

  /** Issues a leaf: a server certificate with `hosts`, otherwise a client certificate. With 0 days it expires within a second. */
  async issue(name: string, hosts: readonly string[] = [], days = 1): Promise<Credential> {
    const base = join(this.directory, `leaf-${Buffer.from(name).toString('hex')}-${hosts.length}`);
    await writeFile(`${base}.ext`, extensionsFor(hosts));
    await openssl(
      `req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=${name} -keyout ${base}.key -out ${base}.csr`,
    );
    const [key, root] = [join(this.directory, 'root.key'), join(this.directory, 'root.cer')];
    await openssl(
      `x509 -req -in ${base}.csr -CA ${root} -CAkey ${key} -CAcreateserial -days ${days} -extfile ${base}.ext -out ${base}.cer`,
    );
    return credential(`${base}.key`, `${base}.cer`);
  }

  /** As `issue`, for an existing public key; returns PEM. */
  async certify(name: string, spki: Uint8Array, hosts: readonly string[] = []): Promise<string> {
    const base = join(this.directory, `key-${Buffer.from(name).toString('hex')}`);
    const body = Buffer.from(spki).toString('base64');
    await writeFile(
      `${base}.pub`,
      `-----BEGIN PUBLIC KEY-----\n${body}\n-----END PUBLIC KEY-----\n`,
    );
    await writeFile(`${base}.ext`, `[leaf]\n${extensionsFor(hosts)}`);
    const [key, root] = [join(this.directory, 'root.key'), join(this.directory, 'root.cer')];
    await openssl(
      `x509 -new -subj /CN=${name} -force_pubkey ${base}.pub -CA ${root} -CAkey ${key} -days 1 -extfile ${base}.ext -extensions leaf -out ${base}.cer`,
    );
    return readFile(`${base}.cer`, 'utf8');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.directory, { recursive: true, force: true });
  }
}

function extensionsFor(hosts: readonly string[]): string {
  const names = hosts.map((host) => (/^[\d.]+$/.test(host) ? `IP:${host}` : `DNS:${host}`));
  if (names.length === 0) return 'extendedKeyUsage=clientAuth\n';
  return `extendedKeyUsage=serverAuth\nsubjectAltName=${names.join(',')}\n`;
}

async function credential(key: string, certificate: string): Promise<Credential> {
  return {
    key: await readFile(key, 'utf8'),
    certificate: await readFile(certificate, 'utf8'),
  };
}

async function openssl(line: string): Promise<void> {
  await run('openssl', line.split(' '), { timeout: 20_000 });
}
