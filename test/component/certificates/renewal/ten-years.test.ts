/** A hundred devices for years: the executor of the service, with outages, wrong clocks, and a slow issuer. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { simulate } from '../../../simulation/renewal/fleet.ts';
import { ruleOf, troubles } from '../../../simulation/renewal/renewals.ts';

const test = suite('renewals in ten years');
const batch = { devices: 100, undecided: [], clockSteps: 0, spreadDays: 1 };

test('let no certificate expire that can be renewed, and renew none before half of its life', async () => {
  const rule = ruleOf({ lifetime: '90d' });
  const plan = { rule, devices: 100, years: 10, spreadDays: 60, ...troubles(10) };
  const { avoidable, keys, renewals, shortestUse, unavoidableDays } = await simulate(plan);
  assert.is(avoidable, 0);
  assert.ok(shortestUse >= 0.5, `used for ${shortestUse} of its life`);
  assert.ok(renewals > 4_500, `${renewals} renewals`);
  assert.ok(unavoidableDays > 100, 'the outages end before certificates do');
  assert.ok(keys <= 2, `${keys} keys on a device`);
});

test('come evenly after an outage in which all certificates of a batch expired', async () => {
  const rule = ruleOf({ lifetime: '90d' });
  const { peaks } = await simulate({
    ...batch,
    rule,
    years: 0.3,
    outages: [{ day: 52, days: 41 }],
  });
  assert.ok(peaks[0] !== undefined && peaks[0] <= 3, `the peak is ${peaks[0]} times the mean`);
});

test('come evenly after an outage in which none expired', async () => {
  const rule = ruleOf({ lifetime: '365d' });
  const { peaks, unavoidableDays } = await simulate({
    ...batch,
    rule,
    years: 1,
    outages: [{ day: 220, days: 60 }],
  });
  assert.is(unavoidableDays, 0);
  assert.ok(peaks[0] !== undefined && peaks[0] <= 3, `the peak is ${peaks[0]} times the mean`);
});

test.run();
