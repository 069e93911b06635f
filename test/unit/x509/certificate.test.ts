import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseCertificate } from '../../../src/x509/certificate.ts';
import { codeOf, makeCa, makeKey } from './openssl.ts';

const test = suite('reading certificates');

/** A certificate with another text in the place of its notBefore. */
function withNotBefore(der: Buffer, text: string): Buffer {
  const changed = Buffer.from(der);
  const utcTime = /\d{12}Z/.exec(changed.toString('latin1'));
  assert.ok(utcTime);
  changed.write(text, utcTime.index, 'latin1');
  return changed;
}

test('refuses times that are none, which OpenSSL only finds out when it prints them', async () => {
  const { der } = await makeCa({ name: 'CN=root', key: makeKey('ec-p256') });
  assert.is(await codeOf(() => parseCertificate(der, 'it')), undefined);
  for (const text of ['ABCDEFGHIJKLM', '261399000000Z', '990230000000+']) {
    assert.is(await codeOf(() => parseCertificate(withNotBefore(der, text), 'it')), 'InvalidArgs');
  }
});

test.run();
