/** Why certificates are not renewed although they may be due. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { encodeCertificatesPem } from '../../../src/x509/certificate.ts';
import { makeCa, makeKey } from '../../support/x509/openssl.ts';
import { Rig } from './rig.ts';

const test = suite('certificates that wait for the clock');

test('show the reason, Health does once, and both lose it when the clock is right', async () => {
  await using rig = await Rig.start();
  const chain = [await makeCa({ name: 'CN=site', key: makeKey('ed25519') })];
  const data = Buffer.from(encodeCertificatesPem(chain));
  for (const id of ['a', 'b', 'c']) await rig.service.import(id, { data, format: 'pem' }, {});
  rig.waitReason = (id, at) => (id === 'c' ? '' : `the clock is at ${at.getTime()}`);
  let ms = 0;
  // each look at the clock is at another time
  Object.defineProperty(rig, 'now', { get: () => new Date(ms++) });
  await rig.service.publishAll();
  const errors = () => ['a', 'b', 'c'].map((id) => rig.published.objects.get(id)?.LastError);
  const [first, ...others] = errors();
  assert.match(first ?? '', /^the clock is at \d+$/);
  assert.equal(others, [first, '']);
  assert.equal(rig.published.problems, [`"a" and 1 more: ${first}`]);
  await rig.service.delete('b' as never);
  assert.equal(rig.published.problems, [`"a": ${first}`]);
  rig.waitReason = () => '';
  await rig.service.publishAll();
  assert.equal(errors(), ['', undefined, '']);
  assert.equal(rig.published.problems, []);
});

test.run();
