import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A CA made by openssl, for the length of a test. */
export class TestAuthority implements AsyncDisposable {
  readonly certificatePem: string;
  readonly #directory: string;

  private constructor(directory: string, certificatePem: string) {
    this.#directory = directory;
    this.certificatePem = certificatePem;
  }

  static async create(): Promise<TestAuthority> {
    const directory = await mkdtemp(join(tmpdir(), 'iotedge-authority-'));
    const [key, certificate] = [join(directory, 'ca.key'), join(directory, 'ca.pem')];
    const made = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
    const named = ['-subj', '/CN=device ca', '-days', '1', '-keyout', key, '-out', certificate];
    await run('openssl', ['req', ...made, ...named]);
    return new TestAuthority(directory, await readFile(certificate, 'utf8'));
  }

  /** Signs a request in DER as it is; answers the chain. */
  async issue(csr: Buffer): Promise<string> {
    const request = join(this.#directory, 'request.der');
    await writeFile(request, csr);
    const ca = ['-CA', join(this.#directory, 'ca.pem'), '-CAkey', join(this.#directory, 'ca.key')];
    const how = ['-inform', 'DER', '-in', request, '-days', '1', '-copy_extensions', 'copy'];
    const { stdout } = await run('openssl', ['x509', '-req', ...how, ...ca, '-CAcreateserial']);
    return stdout + this.certificatePem;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#directory, { recursive: true, force: true });
  }
}
