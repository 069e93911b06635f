/** Keys and signatures that an EST server wants, in the service. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { client } from '../../../src/dbus/client/client.ts';
import {
  certificatesInterface,
  certificatesService,
} from '../../../src/interfaces/certificates.ts';
import { keysInterface, keysService } from '../../../src/interfaces/keys.ts';
import { keyAlgorithmOf, publicKeyOf } from '../../../src/x509/algorithm.ts';
import { signatureAlgorithmIn } from '../../../src/x509/csr.ts';
import { EstCa } from '../../support/est/est-ca.ts';
import { EstServer } from '../../support/est/est-server.ts';
import { messageOf } from '../../support/failure.ts';
import { Rig } from '../../support/rig/rig.ts';

const test = suite('EST keys in the service');
const p384 = '1.3.132.0.34';
const sha384 = '2.16.840.1.101.3.4.2.2';

test('are made as the server wants them and the rule allows, and sign with the wanted hash', async () => {
  await using rig = await Rig.start();
  await using ca = await EstCa.create();
  const credential = await ca.makeLeaf('server');
  await using curve = await EstServer.start({ ca, credential, enforced: [p384, sha384] });
  await using hash = await EstServer.start({ ca, credential, enforced: [sha384] });
  const root = join(rig.directory, 'root.pem');
  await writeFile(root, await ca.certificate('root'));
  const est = { method: 'est', trusted_ca: root };
  const onCurve = { method: 'est', issuer: 'curve' };
  await rig.configure('certificates', {
    issuers: { curve: { ...est, url: curve.url }, hash: { ...est, url: hash.url } },
    certificates: {
      free: { ...onCurve, key_algorithms: ['ec-p256', 'ec-p384'] },
      fixed: { ...onCurve, key_algorithms: ['ec-p256'] },
      hash: { method: 'est', issuer: 'hash', key_algorithms: ['ec-p256'] },
    },
  });
  await using bus = await rig.connect();
  const keys = client(bus, keysService, keysInterface);
  const certificates = client(bus, certificatesService, certificatesInterface);

  await certificates.Enroll({ certificate_id: 'free' });
  const { certificate } = await certificates.GetCertificate({ certificate_id: 'free' });
  // no other key was made before
  assert.is(certificate.key_id, 'iotedge/certificate/free');
  const { spki } = await keys.GetPublicKey({ key_id: certificate.key_id });
  assert.is(keyAlgorithmOf(publicKeyOf(spki)), 'ec-p384');
  const asked = ['cacerts', 'csrattrs'];
  assert.equal(curve.operations, [...asked, 'simpleenroll']);

  const left = /CSR Attributes missing.*; the server also wants secp384r1, which was left out$/;
  assert.match(await messageOf(certificates.Enroll({ certificate_id: 'fixed' })), left);
  assert.equal(curve.operations.slice(3), [...asked, 'simpleenroll']);

  await certificates.Enroll({ certificate_id: 'hash' });
  const { csr = Buffer.alloc(0) } = hash.requests.at(-1) ?? {};
  assert.is(signatureAlgorithmIn(csr), 'ecdsa-sha384');
  assert.equal([...curve.problems, ...hash.problems], []);
});

test.run();
