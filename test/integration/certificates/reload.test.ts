import { copyFile } from 'node:fs/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { client } from '../../../src/dbus/client.ts';
import {
  certificatesInterface,
  certificatesService,
} from '../../../src/interfaces/certificates.ts';
import { failureOf } from '../../support/failure.ts';
import { Rig } from '../../support/rig.ts';

const test = suite('reload of the certificates service');

test('shows, serves and forgets preloaded certificates and trust bundles as the new configuration has them', async () => {
  await using rig = await Rig.start({ token: {} });
  const secrets = `${rig.directory}/secrets`;
  await copyFile(`${secrets}/trusted-ca.cer`, `${secrets}/more.cer`);
  await using bus = await rig.connect();
  const certificates = client(bus, certificatesService, certificatesInterface);
  const ids = async (): Promise<readonly string[]> => {
    const { json } = await certificates.Describe({});
    return Object.keys((JSON.parse(json) as { objects: object }).objects);
  };
  assert.is((await ids()).includes('more'), false);
  await rig.configure('certificates', {
    'preloaded_cert:more': `${secrets}/more.cer`,
    trust_bundle: ['more'],
  });
  assert.is(await rig.reload('certificates'), 'reloaded');
  assert.is((await ids()).includes('more'), true);
  await certificates.GetCertificate({ certificate_id: 'more' });
  const { pem } = await certificates.GetTrustBundle({});
  assert.is(
    pem,
    (await certificates.GetCertificate({ certificate_id: 'more' })).certificate.chain_pem,
  );
  await rig.configure('certificates', {});
  assert.is(await rig.reload('certificates'), 'reloaded');
  assert.is((await ids()).includes('more'), false);
  assert.is(await failureOf(certificates.GetCertificate({ certificate_id: 'more' })), 'NotFound');
  await rig.configure('certificates', { homedir_path: '/elsewhere' });
  assert.is(await rig.reload('certificates'), 'refused');
});

test.run();
