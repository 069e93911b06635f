import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { certificateView } from '../../../../src/cli/certificates/certificate-view.ts';
import { concernOf, concernsOf } from '../../../../src/cli/certificates/concern.ts';
import { expiryText, relativeTime } from '../../../../src/cli/certificates/time-text.ts';

const test = suite('concerns about certificates');
const now = new Date('2026-05-01T00:00:00Z');
const day = 86_400_000;
const inDays = (days: number): string => String((now.getTime() + days * day) * 1000);

/** A certificate of 100 days, of which this many are left. */
function lasting(days: number, properties: Readonly<Record<string, unknown>> = {}) {
  const validity = { NotBefore: inDays(days - 100), NotAfter: inDays(days) };
  return certificateView('app', { State: 'valid', RenewAt: 0, ...validity, ...properties });
}

test('are none where all is well', () => {
  for (const good of [
    lasting(21),
    lasting(5, { RenewAt: inDays(1) }),
    lasting(11, { RenewAt: inDays(-1) }),
    lasting(50, { State: 'renewing' }),
    certificateView('new', { State: 'pending', LastError: '' }),
  ]) {
    assert.is(concernOf(good, now), undefined);
  }
});

test('are about certificates that expire, before they do, with the reason', () => {
  assert.equal(concernOf(lasting(19), now)?.text, 'expires in 19 days');
  assert.match(concernOf(lasting(19), now)?.advice ?? '', 'certificates import app FILE --replace');
  const late = { RenewAt: inDays(-11), LastError: 'no route', NextAttempt: inDays(0.5) };
  const found = concernOf(lasting(9, late), now);
  assert.is(found?.kind, 'expiring');
  assert.is(found?.text, 'expires in 9 days: no route; the next attempt is in 12 hours');
  assert.is(concernOf(lasting(40, late), now)?.kind, 'failing');
  const over = concernOf(lasting(-3, { State: 'expired' }), now);
  assert.equal([over?.kind, over?.text], ['expired', 'expired 3 days ago']);
  const long = certificateView('root', { NotBefore: inDays(-3000), NotAfter: inDays(31) });
  assert.is(concernOf(long, now), undefined, 'a month before its end at the earliest');
});

test('are about renewals that are stuck, with what to do', () => {
  const stuck = concernOf(lasting(60, { State: 'stuck', LastError: 'HTTP 403' }), now);
  assert.is(stuck?.text, 'stuck, expires in 60 days: HTTP 403');
  assert.match(stuck?.advice ?? '', "'iotedgectl certificates renew app'");
  const NextAttempt = inDays(0.5);
  const again = concernOf(lasting(60, { State: 'stuck', LastError: 'no', NextAttempt }), now);
  assert.is(again?.text, 'stuck, expires in 60 days: no; the next attempt is in 12 hours');
  const first = certificateView('new', { State: 'stuck', LastError: 'it is for good' });
  assert.is(concernOf(first, now)?.text, 'stuck, there is no certificate yet: it is for good');
  assert.match(concernOf(first, now)?.advice ?? '', "'iotedgectl certificates request new'");
});

test('point to the clock where no attempt is to come', () => {
  const early = { State: 'pending', LastError: 'the clock is behind' };
  for (const one of [certificateView('new', early), lasting(60, { LastError: 'behind' })]) {
    assert.match(concernOf(one, now)?.advice ?? '', 'timedatectl');
  }
  const tried = { ...early, NextAttempt: inDays(1) };
  assert.match(concernOf(certificateView('new', tried), now)?.advice ?? '', 'request new');
});

test('are sorted by urgency', () => {
  const all = [
    lasting(60, { LastError: 'x' }),
    lasting(5),
    lasting(60, { State: 'stuck' }),
    lasting(60),
    lasting(-5, { State: 'stuck' }),
  ];
  const kinds = concernsOf(all, now).map(({ kind }) => kind);
  assert.equal(kinds, ['expired', 'stuck', 'expiring', 'failing']);
});

test('show times from now, and no unit that is not left', () => {
  const text = (seconds: number) => relativeTime((now.getTime() + seconds * 1000) * 1000, now);
  assert.equal([0, 59, 60, 150, 7199, 7200, 172_799, 172_800, 86_400 * 730].map(text), [
    'in less than a minute',
    'in less than a minute',
    'in 1 minute',
    'in 2 minutes',
    'in 119 minutes',
    'in 2 hours',
    'in 47 hours',
    'in 2 days',
    'in 2 years',
  ]);
  assert.is(text(-7200), '2 hours ago');
  assert.is(relativeTime(0, now), '-');
  assert.is(expiryText(1, now), 'expired 56 years ago', 'an end before 1970');
});

test.run();
