import { createHash } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { renewalTime } from '../../../src/x509/renewal-time.ts';

const test = suite('the time of renewal');

const notBefore = new Date('2026-01-01T00:00:00Z');
const notAfter = new Date('2026-01-31T00:00:00Z');
const lifeMs = notAfter.getTime() - notBefore.getTime();

/** The part of its life after which a certificate of a fingerprint is renewed. */
function partOf(fingerprint: string, fraction: number): number {
  const time = renewalTime({ notBefore, notAfter, fingerprint }, fraction).getTime();
  return (time - notBefore.getTime()) / lifeMs;
}

/** The random advance of a fingerprint, from 0 to 1. */
function drawOf(fingerprint: string): number {
  const digest = createHash('sha256').update(`renewal ${fingerprint}`).digest('hex').slice(0, 8);
  return Number.parseInt(digest, 16) / 2 ** 32;
}

const fingerprints = Array.from({ length: 200 }, (_, at) => `fingerprint ${at}`);

test('is the fraction of the life less up to a twentieth of the life, drawn from the fingerprint', () => {
  for (const fraction of [0.8, 0.5, 0.99]) {
    for (const fingerprint of fingerprints) {
      const wanted = fraction - 0.05 * drawOf(fingerprint);
      const part = partOf(fingerprint, fraction);
      assert.ok(Math.abs(part - wanted) < 1e-6, `${fingerprint}: ${part} and not ${wanted}`);
    }
  }
});

test('comes after at least half of a small fraction', () => {
  for (const fraction of [0.01, 0.05, 0.1]) {
    for (const fingerprint of fingerprints) {
      const wanted = fraction - Math.min(0.05, fraction / 2) * drawOf(fingerprint);
      assert.ok(Math.abs(partOf(fingerprint, fraction) - wanted) < 1e-6);
    }
    const parts = fingerprints.map((fingerprint) => partOf(fingerprint, fraction));
    assert.ok(Math.min(...parts) >= fraction / 2 - 1e-6 && Math.max(...parts) <= fraction);
  }
});

test.run();
