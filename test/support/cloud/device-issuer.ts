import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openssl } from '../x509/openssl.ts';

/** A CA that issues certificates of devices for the provisioning service, by openssl. */
export class DeviceIssuer implements Disposable {
  /** PEM. */
  readonly root: string;
  /** The days for which the next certificate is valid. */
  days = 30;
  /** The common name of the next certificate, when it is not that of the CSR. */
  commonName: string | undefined;
  /** Extensions, in the terms of openssl. */
  extensions = 'basicConstraints=critical,CA:FALSE\nextendedKeyUsage=clientAuth\n';
  /** The certificates issued, leaf only. */
  readonly issued: X509Certificate[] = [];
  readonly #directory = mkdtempSync(join(tmpdir(), 'iotedge-device-issuer-'));

  constructor() {
    const [key, certificate] = [this.#file('root.key'), this.#file('root.pem')];
    const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
    const rights = ['-addext', 'keyUsage=critical,keyCertSign'];
    const files = ['-keyout', key, '-out', certificate];
    openssl('req', '-x509', ...kind, '-days', '60', '-subj', '/CN=devices', ...rights, ...files);
    this.root = readFileSync(certificate, 'utf8');
  }

  /** Issues for a CSR whose signature verifies and whose subject is the registration id alone. */
  issue(csr: Buffer, registrationId: string): readonly Buffer[] {
    const [request, extensions] = [this.#file('request.der'), this.#file('leaf.ext')];
    writeFileSync(request, csr);
    writeFileSync(extensions, this.extensions);
    const read = ['-inform', 'DER', '-in', request];
    // OpenSSL 3.5 writes that the signature verifies to the same output
    const output = openssl('req', ...read, '-verify', '-noout', '-subject').trim();
    const subject = output.split('\n').at(-1) ?? '';
    if (!new RegExp(`^subject=CN ?= ?${registrationId}$`).test(subject)) throw new Error(subject);
    const by = ['-CA', this.#file('root.pem'), '-CAkey', this.#file('root.key'), '-CAcreateserial'];
    const name = ['-subj', `/CN=${this.commonName ?? registrationId}`];
    const how = ['-days', String(this.days), '-extfile', extensions, ...name];
    const leaf = new X509Certificate(openssl('x509', '-req', ...read, ...by, ...how));
    this.issued.push(leaf);
    return [leaf.raw, new X509Certificate(this.root).raw];
  }

  [Symbol.dispose](): void {
    rmSync(this.#directory, { recursive: true });
  }

  #file(name: string): string {
    return join(this.#directory, name);
  }
}
