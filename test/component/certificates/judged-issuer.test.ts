/** What issuers of this device issue is judged before it becomes a current certificate. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { profiles } from '../../../src/certificates/config/certificate-rule.ts';
import type { Issuer, Order } from '../../../src/certificates/issuers/issuer.ts';
import { LocalCaIssuer } from '../../../src/certificates/issuers/local-ca.ts';
import { SelfSignedIssuer } from '../../../src/certificates/issuers/self-signed.ts';
import { judgedIssuer } from '../../../src/certificates/judgement/judged-issuer.ts';
import { parseCertificateId } from '../../../src/ids.ts';
import { localSigner, spkiOf } from '../../../src/x509/algorithm.ts';
import { extensionOids } from '../../../src/x509/extensions.ts';
import { encodeName, parseName } from '../../../src/x509/name.ts';
import { parseAlternativeName } from '../../../src/x509/subject-alternative-name.ts';
import { via } from '../../support/via.ts';
import { issue } from '../../support/x509/issued-by.ts';
import { makeCa, makeKey } from '../../support/x509/openssl.ts';

const test = suite('issuers of the device');
const [caKey, key, otherKey] = [makeKey('ec-p256'), makeKey('ec-p256'), makeKey('ec-p256')];
const root = await makeCa({ name: 'CN=root', key: otherKey });
const ca = await makeCa({ name: 'CN=ca', key: caKey, by: { certificate: root, key: otherKey } });
const now = new Date(ca.notBefore.getTime() + 7_200_000);
const order: Order = {
  id: parseCertificateId('x'),
  profile: 'server',
  lifetimeS: 3600,
  subjectDer: encodeName(parseName('CN=x')),
  names: [parseAlternativeName('dns', 'edge.example')],
  key: { keyId: 'x', spki: spkiOf(key), signer: localSigner(key) },
  request: Buffer.alloc(0),
  cookie: undefined,
  renewed: undefined,
  now,
};
const localCa = new LocalCaIssuer({
  authority: async () => ({ id: 'ca', chain: [ca, root], signer: localSigner(caKey) }),
  onKeyReplaced: () => undefined,
});

async function reasonOf(issuer: Issuer, method: 'local_ca' | 'self_signed', asked = order) {
  const answer = await judgedIssuer(issuer, { method }).submit(asked, via);
  if (answer.kind === 'issued') return '';
  assert.ok(answer.kind === 'rejected' && !answer.isFinal);
  return answer.reason;
}

test('issue certificates of every profile that are accepted', async () => {
  for (const profile of profiles) {
    assert.is(await reasonOf(localCa, 'local_ca', { ...order, profile }), '', profile);
    const own = await reasonOf(new SelfSignedIssuer(), 'self_signed', { ...order, profile });
    assert.is(own, '', profile);
  }
});

test('are refused what was not ordered', async () => {
  const instead = (change: Partial<Order>): Issuer => ({
    submit: (_asked, on) => localCa.submit({ ...order, ...change }, on),
  });
  const other = { keyId: 'y', spki: spkiOf(otherKey), signer: localSigner(otherKey) };
  for (const [change, reason] of [
    [{ names: [] }, 'lacks the name "dns:edge.example"'],
    [{ subjectDer: encodeName(parseName('CN=y')) }, 'has the common name "y"'],
    [{ profile: 'device-ca' }, 'is a CA, which "server" must not be'],
    [{ key: other }, 'is for the key of the order'],
  ] as const) {
    assert.match(await reasonOf(instead(change), 'local_ca'), reason);
  }
});

test('are refused a certificate that another key has signed', async () => {
  const life = { notBefore: new Date(now.getTime() - 1000), notAfter: new Date(+now + 1000) };
  const answer = await new SelfSignedIssuer().submit(order);
  assert.ok(answer.kind === 'issued');
  const [own] = answer.chain;
  assert.ok(own);
  const identifiers: readonly string[] = [extensionOids.subjectKeyId, extensionOids.authorityKeyId];
  const extensions = own.extensions.filter(({ oid }) => !identifiers.includes(oid));
  const by = { certificate: own, key: otherKey };
  const forged = await issue({ name: 'CN=x', key, by, ...life, extensions });
  const issuer: Issuer = { submit: async () => ({ kind: 'issued', chain: [forged] }) };
  assert.match(await reasonOf(issuer, 'self_signed'), 'is not signed with its own key');
  const below: Issuer = { submit: async () => ({ kind: 'issued', chain: [forged, ca] }) };
  assert.match(await reasonOf(below, 'local_ca'), 'no trust anchor issued "CN=x"');
});

test.run();
