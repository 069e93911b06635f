import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodePem } from '../../../src/x509/pem.ts';
import { outputOf } from '../command.ts';

const extensions: Readonly<Record<string, string>> = {
  root: 'basicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n',
  ca: 'basicConstraints=critical,CA:true,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n',
  newWithOld:
    'basicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n',
  leaf: 'basicConstraints=critical,CA:false\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n',
};

/** What a certificate is issued with. */
export interface IssueOptions {
  readonly days?: number;
  readonly digest?: string;
  /** PEM of the public key that stands in place of that of the request. */
  readonly publicKey?: string;
  readonly subject?: string;
  /** The issuing CA, by the name of its files. */
  readonly by?: string;
  /** Lines of an extension file, in place of the extensions of the request. */
  readonly extensions?: string;
}

/** What a certificate for an existing key is issued with. */
interface CertifyOptions {
  readonly subject?: string;
  readonly hosts?: readonly string[];
  readonly by?: string;
  readonly days?: number;
}

/** The CA behind an EST server, made of the `openssl` command: a root and an issuing CA. */
export class EstCa implements AsyncDisposable {
  readonly directory: string;

  private constructor(directory: string) {
    this.directory = directory;
  }

  static async create(name = 'EST'): Promise<EstCa> {
    const ca = new EstCa(await mkdtemp(join(tmpdir(), 'iotedge-est-')));
    for (const [kind, text] of Object.entries(extensions)) {
      await writeFile(ca.#path(`${kind}.ext`), text);
    }
    await ca.makeRoot('root', `/CN=${name} root`);
    await ca.#request('issuing', `/CN=${name} issuing`);
    await ca.#sign('issuing', { by: 'root', kind: 'ca' });
    return ca;
  }

  /** Makes a self-signed root. */
  async makeRoot(file: string, subject: string): Promise<void> {
    await this.#request(file, subject);
    await this.#openssl([
      ...`x509 -req -in ${file}.csr -signkey ${file}.key -days 3650 -extfile root.ext`.split(' '),
      '-out',
      `${file}.cer`,
    ]);
  }

  /** Signs the name and the key of a root with another one. */
  async crossSign(file: string, root: string, by: string): Promise<void> {
    const subject = await this.#subjectOf(root);
    await this.#openssl(['pkey', '-in', `${root}.key`, '-pubout', '-out', `${file}.pub`]);
    await this.#openssl([
      ...`x509 -new -force_pubkey ${file}.pub -CA ${by}.cer -CAkey ${by}.key -days 3650`.split(' '),
      '-extfile',
      'newWithOld.ext',
      '-subj',
      subject,
      '-out',
      `${file}.cer`,
    ]);
  }

  /** Makes another issuing CA below a root. */
  async makeIssuing(file: string, subject: string, by: string): Promise<void> {
    await this.#request(file, subject);
    await this.#sign(file, { by, kind: 'ca' });
  }

  /** Makes a credential, such as that of a server or a client. */
  async makeLeaf(
    file: string,
    { subject = '/CN=localhost', hosts = ['localhost'], by = 'root', days = 30 } = {},
  ): Promise<{ readonly key: string; readonly certificate: string }> {
    await this.#request(file, subject);
    const names = hosts.map((host) => `DNS:${host}`).join(',');
    const text = extensions['leaf'] + (names === '' ? '' : `subjectAltName=${names}\n`);
    await writeFile(this.#path(`${file}.ext`), text);
    await this.#sign(file, { by, kind: file, days });
    return {
      key: await readFile(this.#path(`${file}.key`), 'utf8'),
      certificate: await this.certificate(file),
    };
  }

  /** A certificate for an existing key; PEM. */
  async certify(
    spki: Uint8Array,
    { subject = '/CN=client', hosts = [], by = 'issuing', days = 30 }: CertifyOptions = {},
  ): Promise<string> {
    const file = `certified-${randomBytes(6).toString('hex')}`;
    const names = hosts.map((host) => `DNS:${host}`).join(',');
    const text = extensions['leaf'] + (names === '' ? '' : `subjectAltName=${names}\n`);
    await writeFile(this.#path(`${file}.ext`), text);
    await writeFile(this.#path(`${file}.pub`), encodePem(spki, 'PUBLIC KEY'));
    await this.#openssl([
      ...`x509 -new -force_pubkey ${file}.pub -CA ${by}.cer -CAkey ${by}.key`.split(' '),
      ...(await this.#validity(days)),
      ...`-extfile ${file}.ext -out ${file}.cer -subj`.split(' '),
      subject,
    ]);
    return this.certificate(file);
  }

  /** PEM of a certificate. */
  certificate(file: string): Promise<string> {
    return readFile(this.#path(`${file}.cer`), 'utf8');
  }

  /** Issues for a request in DER, whose signature is verified; PEM of the certificate. */
  async issue(csr: Buffer, options: IssueOptions = {}): Promise<string> {
    const { days = 30, digest = 'sha256', publicKey, subject, by = 'issuing' } = options;
    const own = options.extensions;
    const file = `issued-${randomBytes(6).toString('hex')}`;
    await writeFile(this.#path(`${file}.der`), csr);
    await this.#openssl(`req -verify -noout -inform DER -in ${file}.der`.split(' '));
    const forced = publicKey === undefined ? [] : ['-force_pubkey', `${file}.pub`];
    if (publicKey !== undefined) await writeFile(this.#path(`${file}.pub`), publicKey);
    const extensionFile = own === undefined ? 'leaf.ext' : `${file}.ext`;
    if (own !== undefined) {
      await writeFile(this.#path(extensionFile), `${extensions['leaf'] ?? ''}${own}`);
    }
    await this.#openssl([
      ...`x509 -req -inform DER -in ${file}.der -CA ${by}.cer -CAkey ${by}.key`.split(' '),
      ...(await this.#validity(days)),
      `-${digest}`,
      '-copy_extensions',
      own === undefined ? 'copyall' : 'none',
      '-extfile',
      extensionFile,
      '-out',
      `${file}.cer`,
      ...forced,
      ...(subject === undefined ? [] : ['-subj', subject]),
    ]);
    return this.certificate(file);
  }

  /** PKCS#7 of certificates in DER, as OpenSSL writes it. */
  async pkcs7(...certificates: readonly string[]): Promise<Buffer> {
    const file = `bundle-${randomBytes(6).toString('hex')}`;
    await writeFile(this.#path(`${file}.pem`), certificates.join(''));
    const line = `crl2pkcs7 -nocrl -certfile ${file}.pem -outform DER -out ${file}.p7`;
    await this.#openssl(line.split(' '));
    return readFile(this.#path(`${file}.p7`));
  }

  /** The options of a validity; one that has ended is given by dates, or, to OpenSSL before 3.4, which takes none, by days. */
  async #validity(days: number): Promise<readonly string[]> {
    const [, major = 0, minor = 0] = /(\d+)\.(\d+)/.exec(await this.#openssl(['version'])) ?? [];
    const takesDates = Number(major) > 3 || (Number(major) === 3 && Number(minor) >= 4);
    if (days >= 0 || !takesDates) return ['-days', String(days)];
    const dateOf = (ms: number) => `${new Date(ms).toISOString().replace(/[-:T]|\..*/g, '')}Z`;
    const end = Date.now() + days * 86_400_000;
    return ['-not_before', dateOf(end - 86_400_000), '-not_after', dateOf(end)];
  }

  async #subjectOf(file: string): Promise<string> {
    const line = `x509 -in ${file}.cer -noout -subject -nameopt compat`;
    return (await this.#openssl(line.split(' '))).replace(/^subject=\s*/, '').trim();
  }

  async #request(file: string, subject: string): Promise<void> {
    await this.#openssl([
      ...`req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ${file}.key`.split(' '),
      '-out',
      `${file}.csr`,
      '-subj',
      subject,
    ]);
  }

  async #sign(
    file: string,
    {
      by,
      kind,
      days = 3650,
    }: { readonly by: string; readonly kind: string; readonly days?: number },
  ): Promise<void> {
    const line = `x509 -req -in ${file}.csr -CA ${by}.cer -CAkey ${by}.key -days ${days} -extfile ${kind}.ext -out ${file}.cer`;
    await this.#openssl(line.split(' '));
  }

  #path(file: string): string {
    return join(this.directory, file);
  }

  async #openssl(line: readonly string[]): Promise<string> {
    return (await outputOf('openssl', line, { cwd: this.directory })).toString();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.directory, { recursive: true, force: true });
  }
}
