import { readFile } from 'node:fs/promises';
import { systemCode } from '../errors.ts';

/** The bundles of trusted roots of Debian, Red Hat and others. */
const files = ['/etc/ssl/certs/ca-certificates.crt', '/etc/pki/tls/certs/ca-bundle.crt'];

/** PEM of the roots that the system trusts; undefined without such a file: Node's roots are trusted then. */
export async function readSystemRoots(): Promise<string | undefined> {
  for (const file of files) {
    try {
      return await readFile(file, 'utf8');
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') throw error;
    }
  }
  return undefined;
}
