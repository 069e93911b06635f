/** Each part of a time individually, at both ends of its range. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Element, encode, sequence, text, universal } from '../../../src/x509/der/asn1.ts';
import { spanAt } from '../../../src/x509/der/tlv.ts';
import { decodeValidity, type Validity } from '../../../src/x509/validity.ts';
import { failureOf } from '../../support/failure.ts';

const test = suite('times of certificates');
const { generalizedTime, utcTime } = universal;
const early = text(utcTime, '000101000000Z');

function validityOf(element: Element): Validity {
  const der = encode(element);
  const whole = spanAt(der, 0);
  assert.ok(whole !== undefined);
  return decodeValidity(der, whole, 'it');
}

/** The end of validity that is encoded as these digits; those that begin with a year of four digits are a GeneralizedTime. */
function timeOf(digits: string): Date {
  const end = text(/^\d{14}/.test(digits) ? generalizedTime : utcTime, digits);
  const { notBefore, notAfter } = validityOf(sequence(early, end));
  assert.is(notBefore.toISOString(), '2000-01-01T00:00:00.000Z');
  return notAfter;
}

test('begin the century of two-digit years with 50', () => {
  for (const [year, full] of [
    ['00', 2000],
    ['48', 2048],
    ['49', 2049],
    ['50', 1950],
    ['51', 1951],
    ['99', 1999],
  ] as const) {
    assert.is(timeOf(`${year}0701120000Z`).getUTCFullYear(), full);
  }
});

test('have parts within their ranges', async () => {
  for (const [good, bad] of [
    ['240101000000Z', '240001000000Z'],
    ['241201000000Z', '241301000000Z'],
    ['240101000000Z', '240100000000Z'],
    ['240131000000Z', '240132000000Z'],
    ['240430000000Z', '240431000000Z'],
    ['240229000000Z', '230229000000Z'],
    ['240101230000Z', '240101240000Z'],
    ['240101005900Z', '240101006000Z'],
    ['240101000059Z', '240101000060Z'],
    ['240101000000+1400', '240101000000+1500'],
    ['240101000000-1400', '240101000000-1500'],
    ['240101000000+0059', '240101000000+0060'],
    ['20240101000000.9Z', '20240101000000.Z'],
    ['20240101000000,9Z', '20240101000000;9Z'],
    ['20240101000000Z', '20240101000000z'],
    ['240101000000Z', '240101000000Z0'],
  ] as const) {
    assert.instance(timeOf(good), Date);
    assert.is(await failureOf(() => timeOf(bad)), 'InvalidArgs', bad);
  }
});

test('are west of UTC with a minus and east of it with a plus', () => {
  assert.is(timeOf('240101120000+1359').toISOString(), '2023-12-31T22:01:00.000Z');
  assert.is(timeOf('240101120000-1359').toISOString(), '2024-01-02T01:59:00.000Z');
});

test('have whole milliseconds, never later than they are encoded', () => {
  assert.is(timeOf('20240101000000.9999Z').toISOString(), '2024-01-01T00:00:00.999Z');
  assert.is(timeOf('20240101000000,25Z').toISOString(), '2024-01-01T00:00:00.250Z');
});

test('are ordered: beginning, end', () => {
  const late = text(generalizedTime, '20500101000000Z');
  const { notBefore, notAfter } = validityOf(sequence(early, late));
  assert.is(notBefore.getUTCFullYear(), 2000);
  assert.is(notAfter.getUTCFullYear(), 2050);
});

test('consist of exactly two times', async () => {
  assert.is(await failureOf(() => validityOf(sequence(early))), 'InvalidArgs');
  assert.is(await failureOf(() => validityOf(sequence())), 'InvalidArgs');
  assert.is(await failureOf(() => validityOf(early)), 'InvalidArgs');
});

test.run();
