/** The device certificate for mutual TLS, at the time of a request. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { ServiceClient } from '../../../../src/dbus/client/client.ts';
import { NamedCertificates } from '../../../../src/identity/cloud/certificate-file.ts';
import {
  type CredentialSource,
  readCredential,
} from '../../../../src/identity/cloud/credential.ts';
import type { certificatesInterface } from '../../../../src/interfaces/certificates.ts';
import { localSigner, spkiOf } from '../../../../src/x509/algorithm.ts';
import {
  type Certificate,
  encodeCertificatesPem,
  parseCertificate,
} from '../../../../src/x509/certificate.ts';
import { buildCertificate } from '../../../../src/x509/certificate-builder.ts';
import { encodeName, parseName } from '../../../../src/x509/name.ts';
import { messageOf } from '../../../support/failure.ts';
import { via } from '../../../support/via.ts';
import { makeCa, makeKey } from '../../../support/x509/openssl.ts';

interface Context {
  dir: string;
  chain: readonly [Certificate, Certificate];
}

const test = suite<Context>('credential of the device');

test.before(async (context) => {
  context.dir = await mkdtemp(join(tmpdir(), 'iotedge-identity-'));
  const key = makeKey('ec-p256');
  const ca = await makeCa({ name: 'CN=ca', key });
  const content = {
    subjectDer: encodeName(parseName('CN=pump-1')),
    spki: spkiOf(makeKey('ec-p256')),
    validity: { notBefore: ca.notBefore, notAfter: ca.notAfter },
    extensions: [],
  };
  const leaf = parseCertificate(await buildCertificate(content, ca, localSigner(key)), 'it');
  context.chain = [leaf, ca];
});
test.after(async ({ dir }) => {
  await rm(dir, { recursive: true });
});

/** The device certificate in the Certificates service; with a key id, its key was rotated. */
function fromService(chain_pem: string, key_id = ''): CredentialSource {
  const GetCertificate = async () => ({ certificate: { chain_pem, key_id } });
  return {
    // the only method in use
    certificates: { GetCertificate } as unknown as ServiceClient<typeof certificatesInterface>,
    files: new NamedCertificates(),
    dps: { certificateId: 'device-id', keyId: 'first-key' },
    now: () => new Date(),
  };
}

test('uses the key id that is stored with the certificate, else the configured one', async ({
  chain,
}) => {
  const pem = encodeCertificatesPem(chain);
  const first = await readCredential(fromService(pem), via);
  assert.equal([first.keyId, first.chainPem, first.commonName], ['first-key', pem, 'pump-1']);
  assert.equal(first.spki, chain[0].spki);
  assert.is((await readCredential(fromService(pem, 'first-key@2'), via)).keyId, 'first-key@2');
});

test('is valid to the second at both ends', async ({ chain }) => {
  const source = fromService(encodeCertificatesPem(chain));
  const [{ notBefore, notAfter }] = chain;
  const at = (time: number) => readCredential({ ...source, now: () => new Date(time) }, via);
  await at(notBefore.getTime());
  await at(notAfter.getTime());
  assert.match(
    await messageOf(at(notBefore.getTime() - 1)),
    `Unavailable: certificate "device-id" is not valid before ${notBefore.toISOString()}`,
  );
  assert.match(
    await messageOf(at(notAfter.getTime() + 1)),
    `Unavailable: certificate "device-id" expired at ${notAfter.toISOString()}`,
  );
});

test('is sorted when a file has it in another order', async ({ dir, chain }) => {
  const file = join(dir, 'own');
  await writeFile(file, encodeCertificatesPem(chain.toReversed()));
  const source = fromService('');
  const dps = { certificateFile: file, certificateId: undefined, keyId: 'first-key' };
  const found = await readCredential({ ...source, dps }, via);
  assert.equal([found.chainPem, found.keyId], [encodeCertificatesPem(chain), 'first-key']);
  assert.is(found.commonName, 'pump-1');
  await rm(file);
  const missing = await messageOf(readCredential({ ...source, dps }, via));
  assert.match(missing, /^Unavailable: provisioning\.attestation\.identity_cert: ENOENT/);
});

test.run();
