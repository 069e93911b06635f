/** Certificates from the EST server of libest, which another author wrote. */
import { chown, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { client } from '../../../src/dbus/client/client.ts';
import {
  certificatesInterface,
  certificatesService,
} from '../../../src/interfaces/certificates.ts';
import { keyAlgorithmOf, publicKeyOf } from '../../../src/x509/algorithm.ts';
import { type Certificate, parseCertificatesPem } from '../../../src/x509/certificate.ts';
import { until } from '../../support/deadline.ts';
import { EstCa } from '../../support/est/est-ca.ts';
import { LibestServer } from '../../support/est/libest-server.ts';
import { runnable } from '../../support/not-runnable.ts';
import { Rig } from '../../support/rig/rig.ts';
import { rigUsers } from '../../support/rig/rig-users.ts';

const test = suite('EST with libest');
const libestTest = runnable('estserver', test);
libestTest(
  'enrolls with a password, and renews with the certificate where the server takes its key',
  async () => {
    await using rig = await Rig.start();
    await using ca = await EstCa.create();
    await using server = await LibestServer.start(ca);
    await using bus = await rig.connect();
    const files = join(rig.directory, 'est');
    await mkdir(files);
    const [root, secret] = [join(files, 'root.pem'), join(files, 'password')];
    await writeFile(root, await ca.certificate('root'));
    await writeFile(secret, 'estpwd\n', { mode: 0o640 });
    await chown(secret, 0, rigUsers['iotedge-certificates']);
    const login = { username: 'estuser', password_file: secret };
    await rig.configure('certificates', {
      issuers: { hq: { method: 'est', url: server.url, trusted_ca: root, ...login } },
      certificates: {
        'site/*': { method: 'est', issuer: 'hq', dns: ['edge.site'] },
        'site/p256': {
          method: 'est',
          issuer: 'hq',
          dns: ['edge.site'],
          key_algorithms: ['ec-p256'],
        },
      },
    });
    const certificates = client(bus, certificatesService, certificatesInterface);
    const current = async (certificate_id: string): Promise<Certificate> => {
      const { certificate } = await certificates.GetCertificate({ certificate_id });
      const [leaf] = parseCertificatesPem(Buffer.from(certificate.chain_pem), certificate_id);
      if (leaf === undefined) throw new TypeError('it is empty');
      return leaf;
    };

    // it asks for keys of P-384, and takes no client certificates with such a key
    for (const [certificate_id, algorithm, operation] of [
      ['site/p384', 'ec-p384', 'simpleenroll'],
      ['site/p256', 'ec-p256', 'simplereenroll'],
    ] as const) {
      await certificates.Enroll({ certificate_id });
      const first = await current(certificate_id);
      const names = [first.subjectText, first.issuerText, ...first.alternativeNames];
      assert.equal(names, [`CN=${certificate_id}`, 'CN=EST issuing', 'dns:edge.site']);
      assert.is(keyAlgorithmOf(publicKeyOf(first.spki)), algorithm);
      assert.is(await server.lastOrder(), 'simpleenroll');

      // its certificates live equally long, and one that lives no longer than the former one is refused
      const next = first.notBefore.getTime() + 1000;
      await until(10_000, 'another second', () => Date.now() >= next);
      await certificates.Renew({ certificate_id });
      const second = await current(certificate_id);
      assert.is.not(second.fingerprint, first.fingerprint);
      assert.equal(second.alternativeNames, first.alternativeNames);
      assert.not.ok(second.spki.equals(first.spki));
      assert.is(await server.lastOrder(), operation);
    }
  },
);

test.run();
