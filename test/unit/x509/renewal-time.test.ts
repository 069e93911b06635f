import { createHash } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type RenewalSetting, renewalTime } from '../../../src/x509/renewal-time.ts';

const test = suite('the time of renewal');

const notBefore = new Date('2026-01-01T00:00:00Z');
const notAfter = new Date('2026-01-31T00:00:00Z');
const lifeMs = notAfter.getTime() - notBefore.getTime();

/** The part of its life after which a certificate of a fingerprint is renewed. */
function partOf(fingerprint: string, setting: RenewalSetting): number {
  const time = renewalTime({ notBefore, notAfter, fingerprint }, setting).getTime();
  return (time - notBefore.getTime()) / lifeMs;
}

/** The random advance of a fingerprint, from 0 to 1. */
function drawOf(fingerprint: string): number {
  const digest = createHash('sha256').update(`renewal ${fingerprint}`).digest('hex').slice(0, 8);
  return Number.parseInt(digest, 16) / 2 ** 32;
}

const fingerprints = Array.from({ length: 200 }, (_, at) => `fingerprint ${at}`);

const daysBeforeEnd = (days: number) => ({ beforeEndS: days * 86_400 });

test('is at the share of the life less up to a twentieth of the life, drawn from the fingerprint', () => {
  for (const share of [0.8, 0.6, 0.99]) {
    for (const fingerprint of fingerprints) {
      const wanted = share - 0.05 * drawOf(fingerprint);
      const part = partOf(fingerprint, { afterShare: share });
      assert.ok(Math.abs(part - wanted) < 1e-6, `${fingerprint}: ${part} and not ${wanted}`);
    }
  }
});

test('is so long before the end, up to a twentieth of the life earlier', () => {
  for (const fingerprint of fingerprints) {
    const wanted = 27 / 30 - 0.05 * drawOf(fingerprint);
    assert.ok(Math.abs(partOf(fingerprint, daysBeforeEnd(3)) - wanted) < 1e-6, fingerprint);
  }
});

test('never comes in the first half of the life', () => {
  const early = [0.01, 0.1, 0.5].map((afterShare) => ({ afterShare }));
  for (const setting of [...early, daysBeforeEnd(20), daysBeforeEnd(365)]) {
    for (const fingerprint of fingerprints) assert.is(partOf(fingerprint, setting), 0.5);
  }
  const parts = fingerprints.map((fingerprint) => partOf(fingerprint, { afterShare: 0.52 }));
  assert.is(Math.min(...parts), 0.5);
});

test.run();
