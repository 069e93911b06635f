/** What an EST client of the service goes through and proves itself with: a proxy, and identities whose keys are in Keys. */
import { chown, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { client } from '../../../src/dbus/client/client.ts';
import {
  certificatesInterface,
  certificatesService,
} from '../../../src/interfaces/certificates.ts';
import { grantAdvice } from '../../../src/interfaces/grants.ts';
import { keysInterface, keysService } from '../../../src/interfaces/keys.ts';
import { until } from '../../support/deadline.ts';
import { EstCa } from '../../support/est/est-ca.ts';
import { EstServer } from '../../support/est/est-server.ts';
import { messageOf } from '../../support/failure.ts';
import { Rig } from '../../support/rig/rig.ts';
import { rigUsers } from '../../support/rig/rig-users.ts';
import { TunnelProxy } from '../../support/tls/tunnel-proxy.ts';

const test = suite('the way to an EST server');
const user = 'iotedge-certificates';
const sign = 'org.iotedge.keys1.sign';
const allowed = { user, actions: [sign], match: { key_id: 'own' } };
const denied = { user, actions: [sign], match: { key_id: 'factory' } };

test('is through its proxy, with the identity of the issuer, and past keys that may not be used', async () => {
  await using rig = await Rig.start({ settings: { keys: { grants: [allowed] } } });
  await using ca = await EstCa.create();
  await using proxy = await TunnelProxy.start('edge:tunnel');
  const credential = await ca.makeLeaf('server');
  // it knows the root only, so clients have to present their issuing CA
  const options = { ca, credential, clientRoots: await ca.certificate('root') };
  await using server = await EstServer.start(options);
  await using basic = await EstServer.start({ ...options, basic: 'edge:secret' });
  const [root, secret, typo] = ['root.pem', 'password', 'typo'].map((file) =>
    join(rig.directory, file),
  );
  if (root === undefined || secret === undefined || typo === undefined) throw new TypeError();
  await writeFile(root, await ca.certificate('root'));
  for (const file of [secret, typo]) {
    await writeFile(file, file === typo ? 'sekret\n' : 'secret\n', { mode: 0o640 });
    await chown(file, 0, rigUsers[user]);
  }
  const est = { method: 'est', url: server.url, trusted_ca: root };
  const byName = { url: basic.url, bootstrap: 'factory', username: 'edge' };
  const through = (password: string) => `http://edge:${password}@127.0.0.1:${proxy.port}`;
  const issuers = {
    tunnel: { ...est, identity: 'own', proxy: through('tunnel') },
    wall: { ...est, identity: 'own', proxy: through('wrong') },
    late: { ...est, identity: 'old', bootstrap: 'own' },
    ended: { ...est, identity: 'old' },
    denied: { ...est, bootstrap: 'factory' },
    either: { ...est, ...byName, password_file: secret },
    neither: { ...est, ...byName, password_file: typo },
  };
  const rules = Object.keys(issuers).map(
    (issuer) => [`${issuer}/*`, { method: 'est', issuer }] as const,
  );
  await rig.configure('certificates', {
    issuers,
    certificates: Object.fromEntries(rules) as object,
  });
  await using bus = await rig.connect();
  const keys = client(bus, keysService, keysInterface);
  const certificates = client(bus, certificatesService, certificatesInterface);
  for (const [id, key_id, days] of [
    ['own', 'own', 30],
    ['old', 'own', -1],
    ['factory', 'factory', 30],
  ] as const) {
    const asked = { key_id, algorithms: ['ec-p256'], usages: ['sign'] };
    await keys.CreateKeyPair({ ...asked, options: { store: 'file', if_exists: 'keep' } });
    const { spki } = await keys.GetPublicKey({ key_id });
    const leaf = await ca.certify(spki, { subject: `/CN=${id}`, days });
    const data = Buffer.from(leaf + (await ca.certificate('issuing')));
    await certificates.ImportCertificate({ certificate_id: id, data, format: 'pem' });
  }
  const enroll = (certificate_id: string) =>
    messageOf(certificates.Enroll({ certificate_id })).finally(() => seen());
  /** The clients of the requests since the last call. */
  let clients: readonly unknown[] = [];
  const seen = (): void => {
    clients = [server, basic]
      .flatMap(({ requests }) => requests.splice(0))
      .map((one) => one.client);
  };
  const three = (name: string | undefined): readonly unknown[] => [name, name, name];

  assert.is(await enroll('tunnel/one'), 'no failure');
  const issuedBy = Date.now();
  assert.equal(clients, three('own'));
  assert.equal(proxy.targets, three(new URL(server.url).host));
  assert.match(await enroll('wall/one'), 'the proxy failed: HTTP_407');
  assert.equal([clients, proxy.targets.length], [[], 3]);

  assert.is(await enroll('late/one'), 'no failure');
  assert.equal(clients, three('own'), 'the expired one comes last');
  // one that ends in the same second is no renewal
  const isLater = async () => Math.floor(Date.now() / 1000) > Math.floor(issuedBy / 1000);
  await until(5000, 'the next second', isLater);
  assert.is(await messageOf(certificates.Renew({ certificate_id: 'tunnel/one' })), 'no failure');
  assert.equal(server.operations, ['cacerts', 'csrattrs', 'simpleenroll']);
  seen();
  assert.equal(clients, three('own'), 'not the one that is renewed');
  assert.match(await enroll('ended/one'), 'another client certificate: offered "old" (expired)');
  assert.equal(clients, [undefined]);

  const advice = grantAdvice(user, [sign], 'factory');
  const problem = `"factory" (${user} may not sign with its key: ${advice})`;
  assert.match(await enroll('denied/one'), `no client certificate can be used: ${problem}`);
  assert.equal(clients, []);
  assert.is(await enroll('either/one'), 'no failure');
  assert.equal(clients, three(undefined), 'the password alone');
  assert.match(await enroll('neither/one'), `the password; not offered: ${problem}`);
  const log = await rig.log('certificates');
  assert.match(log, /client certificate not used.*factory.*add to grants of keys\.yaml/);
  await rig.configure('keys', { grants: [allowed, denied] });
  assert.is(await rig.reload('keys'), 'reloaded');
  assert.is(await enroll('denied/one'), 'no failure');
  assert.equal(clients, three('factory'));
  assert.equal([...server.problems, ...basic.problems], []);
  assert.not.match(`${log}${await rig.log('certificates')}`, /tunnel@|:wrong|:secret/);
});

test.run();
