import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type IssuedFor, problemOf } from '../../../../src/certificates/renewal/issued-problem.ts';
import type { Certificate } from '../../../../src/x509/certificate.ts';

const test = suite('what is wrong with an issued certificate');
const spki = Buffer.from('key');
const until = (day: number): Certificate =>
  ({ spki, notAfter: new Date(Date.UTC(2026, 5, day)) }) as unknown as Certificate;

/** Whether a certificate until the 20th of June may follow one until another day. */
function isTaken(day: number, method: string, isRequested = false): boolean {
  const entry = { id: 'x', chain: [until(day)], enrolment: { method } };
  const order = { isRequested };
  const now = new Date(Date.UTC(2026, 5, 1));
  return problemOf(until(20), { entry, order, spki, now } as unknown as IssuedFor) === undefined;
}

test('is that it lives no longer than the one that it renews', () => {
  assert.equal(
    [19, 20, 21].map((day) => isTaken(day, 'est')),
    [true, false, false],
  );
  assert.equal(
    [19, 20, 21].map((day) => isTaken(day, 'est', true)),
    [true, true, false],
  );
});

test('is not that it lives shorter than one that was imported', () => {
  assert.ok(isTaken(21, 'none'));
});

test.run();
