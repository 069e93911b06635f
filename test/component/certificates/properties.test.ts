import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isSameList } from '../../../src/certificates/certificate-entry.ts';
import { certificateProperties, managerProperties } from '../../../src/certificates/properties.ts';
import { PropertySet } from '../../../src/dbus/server/properties.ts';
import { writersOf } from '../../../src/dbus/wire/codec.ts';
import { WireWriter } from '../../../src/dbus/wire/writer.ts';
import { isServiceError } from '../../../src/errors.ts';
import { parseCertificateId } from '../../../src/ids.ts';
import { certificateInterface } from '../../../src/interfaces/certificates.ts';
import { parseCertificate, parseCertificatesPem } from '../../../src/x509/certificate.ts';
import { before1970, otherName, universalString } from '../../support/x509/found-certificates.ts';
import { makeCa, makeKey } from '../../support/x509/openssl.ts';

const test = suite('properties of a certificate');
const valuesOf = (...args: Parameters<typeof certificateProperties>) =>
  certificateProperties(...args).compute();
const unissued = { renewAt: undefined, operation: '', waitReason: '' };

/** Encodes all properties as GetManagedObjects and Describe do. */
function show(der: Buffer): void {
  const chain = [parseCertificate(der, 'it')];
  const held = { id: parseCertificateId('x'), chain, keyId: '', preloaded: false };
  const properties = certificateProperties(held, { now: new Date(), keyId: '', ...unissued });
  const set = new PropertySet(certificateInterface, properties);
  const [write] = writersOf('a{sv}');
  assert.ok(write);
  write(new WireWriter(4096), set.all());
  set.jsonText();
}

test('can be encoded for any certificate that is accepted', () => {
  let shown = 0;
  for (const pem of [before1970, otherName, universalString]) {
    const [it] = parseCertificatesPem(Buffer.from(pem), 'it');
    assert.ok(it);
    for (let at = 0; at < it.der.length; at++) {
      const changed = Buffer.from(it.der);
      changed.writeUInt8(changed.readUInt8(at) ^ 0x55, at);
      try {
        show(changed);
        shown++;
      } catch (error) {
        assert.ok(isServiceError(error, 'InvalidArgs'), `${at}: ${String(error)}`);
      }
    }
  }
  assert.ok(shown > 100, String(shown));
});

const root = await makeCa({ name: 'CN=root', key: makeKey('ed25519') });
const rootKey = makeKey('ed25519');
const issuer = await makeCa({ name: 'CN=issuer', key: rootKey });
const by = { certificate: issuer, key: rootKey };
const it = await makeCa({ name: 'CN=it', key: makeKey('ed25519'), by });
const held = {
  id: parseCertificateId('x'),
  chain: [it, issuer],
  keyId: 'stored',
  preloaded: false,
};

test('contain every property of the first certificate of the chain', () => {
  const microseconds = (time: Date): bigint => BigInt(time.getTime()) * 1000n;
  assert.equal(valuesOf(held, { now: new Date(), keyId: 'known', ...unissued }), {
    CertificateId: 'x',
    KeyId: 'known',
    Subject: 'CN=it',
    Issuer: 'CN=issuer',
    SerialNumber: it.serialNumber,
    NotBefore: microseconds(it.notBefore),
    NotAfter: microseconds(it.notAfter),
    SubjectAlternativeNames: [],
    Fingerprint: it.fingerprint,
    Method: 'none',
    Profile: '',
    State: 'valid',
    RenewAt: 0n,
    LastAttempt: 0n,
    NextAttempt: 0n,
    LastError: '',
    Operation: '',
    Preloaded: false,
  });
});

test('are computed again whenever one of them differs', () => {
  const now = new Date();
  const view = { now, keyId: '', ...unissued };
  const issued = { method: 'local_ca', profile: 'server', issuer: 'ca', since: 0 } as const;
  const none = { order: undefined, successor: undefined, previous: [], ownKeys: [] };
  const enrolment = { ...issued, ...none, isDeleted: false } as const;
  const all = [
    certificateProperties(held, view),
    certificateProperties({ ...held, id: parseCertificateId('y') }, view),
    certificateProperties({ ...held, chain: [issuer] }, view),
    certificateProperties({ ...held, preloaded: true }, view),
    certificateProperties({ ...held, damage: 'it is empty' }, view),
    certificateProperties({ ...held, enrolment }, view),
    certificateProperties({ ...held, enrolment: { ...enrolment, profile: 'client' } }, view),
    certificateProperties({ ...held, enrolment: { ...enrolment, since: 5 } }, view),
    certificateProperties(held, { ...view, keyId: 'known' }),
    certificateProperties(held, { ...view, renewAt: now }),
    certificateProperties(held, { ...view, operation: 'Renew' }),
    certificateProperties(held, { ...view, waitReason: 'why' }),
    certificateProperties(held, { ...view, now: new Date(0) }),
  ];
  const texts = all.map(({ compute }) =>
    new PropertySet(certificateInterface, compute()).jsonText(),
  );
  assert.is(new Set(texts).size, all.length);
  assert.is(new Set(all.map(({ state }) => state)).size, all.length);
  const later = new Date(now.getTime() + 1);
  assert.is(certificateProperties({ ...held }, { ...view, now: later }).state, all[0]?.state);
});

test('contain every alternative name of the certificate', () => {
  const chain = parseCertificatesPem(Buffer.from(otherName), 'it');
  const shown = valuesOf({ ...held, chain }, { now: new Date(), keyId: '', ...unissued });
  assert.equal(shown.SubjectAlternativeNames, ['dns:edge-1.example']);
});

test('contain only the reason and the key of a damaged certificate', () => {
  const damaged = {
    id: parseCertificateId('x'),
    chain: [],
    keyId: '',
    preloaded: true,
    damage: 'it is empty',
  };
  assert.equal(valuesOf(damaged, { now: new Date(), keyId: 'known', ...unissued }), {
    CertificateId: 'x',
    KeyId: 'known',
    Subject: '',
    Issuer: '',
    SerialNumber: '',
    NotBefore: 0n,
    NotAfter: 0n,
    SubjectAlternativeNames: [],
    Fingerprint: '',
    Method: 'none',
    Profile: '',
    State: 'damaged',
    RenewAt: 0n,
    LastAttempt: 0n,
    NextAttempt: 0n,
    LastError: 'it is empty',
    Operation: '',
    Preloaded: true,
  });
});

test('report it valid from its first to its last instant', () => {
  const stateAt = (ms: number) =>
    valuesOf(held, { now: new Date(ms), keyId: '', ...unissued }).State;
  const [first, last] = [it.notBefore.getTime(), it.notAfter.getTime()];
  assert.equal([first - 1, first, last, last + 1].map(stateAt), [
    'not-yet-valid',
    'valid',
    'valid',
    'expired',
  ]);
});

test('compare lists by members and order', () => {
  assert.ok(isSameList([it, root], [it, root]));
  assert.ok(isSameList([], []));
  for (const list of [[it], [root, it], [it, root, root], []]) {
    assert.not.ok(isSameList([it, root], list));
    assert.not.ok(isSameList(list, [it, root]));
  }
});

test('report problems as degraded, truncated to 1024 characters', () => {
  assert.equal(managerProperties(['', '']), { Health: 'ok', LastError: '' });
  const both = { Health: 'degraded', LastError: 'one; other' };
  assert.equal(managerProperties(['', 'one', 'other']), both);
  const { LastError } = managerProperties(['x'.repeat(1000), 'y'.repeat(1000)]);
  assert.is(LastError, `${'x'.repeat(1000)}; ${'y'.repeat(22)}`);
});

test.run();
