import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { retryDelay, type Setback } from '../../../../src/certificates/renewal/pacing.ts';

const test = suite('the delay of attempts');

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;
const randoms = [0, 0.25, 0.5, 0.999];
const unreachable: Setback = { kind: 'unreachable' };
const refused: Setback = { kind: 'refused', retryAfterS: undefined };
const pendingFor = (retryAfterS: number | undefined): Setback => ({ kind: 'pending', retryAfterS });

/** The shortest and the longest delay for a certificate of this life, so long before its end. */
function delays(
  setback: Setback,
  { lifeMs, leftMs = 0, attempts = 0 }: { lifeMs?: number; leftMs?: number; attempts?: number },
): readonly [number, number] {
  const now = 100 * day;
  const notAfter = new Date(now + leftMs);
  const notBefore = new Date(notAfter.getTime() - (lifeMs ?? 0));
  const current = lifeMs === undefined ? undefined : { notBefore, notAfter };
  const all = randoms.map((random) => retryDelay(setback, { attempts, current, now, random }));
  return [Math.min(...all), Math.max(...all)];
}

test('is random up to a bound that doubles, from a minute on', () => {
  const certificate = { lifeMs: 90 * day, leftMs: 18 * day };
  for (const [attempts, bound] of [
    [0, 2 * minute],
    [1, 4 * minute],
    [5, 64 * minute],
  ] as const) {
    const [shortest, longest] = delays(unreachable, { ...certificate, attempts });
    assert.is(shortest, minute);
    assert.ok(longest > bound * 0.9 && longest <= bound, `${longest} of ${bound}`);
  }
});

test('is at most a quarter of the life that remains, and spread below that', () => {
  const certificate = { lifeMs: 90 * day, attempts: 40 };
  for (const leftMs of [18 * day, 4 * hour, 8 * minute]) {
    const [shortest, longest] = delays(unreachable, { ...certificate, leftMs });
    assert.is(shortest, minute);
    assert.ok(longest <= leftMs / 4 && longest > leftMs / 5, `${longest} of ${leftMs}`);
  }
});

test('is about half of the life that remains after a certificate that lives no longer', () => {
  const short: Setback = { kind: 'short' };
  for (const attempts of [0, 40]) {
    const [shortest, longest] = delays(short, { lifeMs: 90 * day, leftMs: 18 * day, attempts });
    assert.is(shortest, 6 * day);
    assert.ok(longest > 11.9 * day && longest <= 12 * day, `${longest}`);
  }
  assert.equal(delays(short, { lifeMs: 90 * day, leftMs: minute }), [hour, hour]);
  assert.equal(delays(short, { lifeMs: 20 * minute, leftMs: second }), [minute, minute]);
});

test('is at most an hour after expiry, and for a first certificate', () => {
  const expired = delays(unreachable, { lifeMs: 90 * day, leftMs: -60 * day, attempts: 40 });
  const first = delays(unreachable, { attempts: 40 });
  for (const [shortest, longest] of [expired, first]) {
    assert.is(shortest, minute);
    assert.ok(longest > 0.9 * hour && longest <= hour);
  }
});

test('is never below a minute, or a twentieth of the life where that is less', () => {
  assert.equal(delays(unreachable, { lifeMs: day, leftMs: minute, attempts: 9 }), [minute, minute]);
  assert.is(delays(unreachable, { lifeMs: 10 * minute, leftMs: 3 * minute })[0], minute / 2);
  assert.equal(delays(pendingFor(1), { lifeMs: 10 * minute, leftMs: minute }), [30_000, 30_000]);
});

test('is what the issuer asks for, within the same bounds, and a little spread', () => {
  const certificate = { lifeMs: 90 * day, leftMs: 18 * day };
  const [shortest, longest] = delays(pendingFor(7200), certificate);
  assert.is(shortest, 2 * hour);
  assert.ok(longest > 2.1 * hour && longest <= 2.4 * hour);
  assert.is(delays(pendingFor(5), certificate)[0], minute);
  assert.is(delays(pendingFor(100 * 86_400), certificate)[1], 4.5 * day);
  assert.is(delays({ kind: 'refused', retryAfterS: 7200 }, certificate)[0], 2 * hour);
  for (const useless of [0, -5, Number.NaN, 1e12, Number.POSITIVE_INFINITY, undefined]) {
    assert.equal(delays(pendingFor(useless), certificate), delays(unreachable, certificate));
  }
});

test('is an hour at least after a refusal, or a twentieth of the life where that is less', () => {
  assert.is(delays(refused, { lifeMs: 90 * day, leftMs: 18 * day })[0], hour);
  assert.is(delays(refused, { lifeMs: 5 * hour, leftMs: 2 * hour })[0], hour / 4);
  assert.is(delays(refused, { lifeMs: 90 * day, leftMs: -day })[1], hour);
  assert.is(delays(refused, {})[0], hour);
});

test.run();
