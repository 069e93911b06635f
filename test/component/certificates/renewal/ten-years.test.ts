/**
 * A hundred devices for years: the executor of the service, with outages, wrong clocks, a slow issuer, and CAs that are
 * replaced.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Outcome, simulate } from '../../../simulation/renewal/fleet.ts';
import { ruleOf, troubles } from '../../../simulation/renewal/renewals.ts';

const test = suite('renewals in ten years');
const batch = { devices: 100, undecided: [], clockSteps: 0, spreadDays: 1 };
/** The longest delay after expiry, and the next check of what is due. */
const longestReturnHours = 1 + 1 / 60;

/** That an interruption has ended for all devices, which have come back evenly. */
function assertEven({ avoidable, peaks, slowestReturnHours }: Outcome): void {
  const [peak = Number.POSITIVE_INFINITY] = peaks;
  assert.ok(peak <= 3, `the peak is ${peak} times the mean`);
  assert.is(avoidable, 0);
  assert.ok(slowestReturnHours <= longestReturnHours, `back after ${slowestReturnHours} hours`);
}

test('let no certificate expire that can be renewed, and renew none before its rule says', async () => {
  const rule = ruleOf({ lifetime: '90d' });
  const plan = { rule, devices: 100, years: 10, spreadDays: 60, ...troubles(10, rule) };
  const outcome = await simulate(plan);
  const { earliestRenewal, keys, slowestReturnHours } = outcome;
  assert.is(outcome.avoidable, 0);
  assert.ok(slowestReturnHours <= longestReturnHours, `back after ${slowestReturnHours} hours`);
  assert.ok(earliestRenewal >= 0.75, `renewed after ${earliestRenewal} of its life`);
  assert.is(outcome.early, 0, 'requests that came too early');
  assert.is(outcome.outliving, 0, 'certificates that live longer than their CA');
  assert.ok(outcome.shortened > 100, `${outcome.shortened} certificates live as long as their CA`);
  assert.ok(outcome.renewals > 4_500, `${outcome.renewals} renewals`);
  assert.ok(outcome.unavoidableDays > 100, 'the outages end before certificates do');
  assert.ok(keys <= 2, `${keys} keys on a device`);
});

test('come evenly after an outage in which all certificates of a batch expired', async () => {
  const rule = ruleOf({ lifetime: '90d' });
  const outages = [{ day: 52, days: 41 }];
  assertEven(await simulate({ ...batch, rule, years: 0.3, outages }));
});

test('come evenly after an outage in which none expired', async () => {
  const rule = ruleOf({ lifetime: '365d' });
  const outages = [{ day: 240, days: 60 }];
  const outcome = await simulate({ ...batch, rule, years: 1, outages });
  assertEven(outcome);
  assert.is(outcome.unavoidableDays, 0);
});

test('come evenly after an outage in which the CA was replaced and its old certificate ended', async () => {
  const rule = ruleOf({ lifetime: '90d' });
  const outages = [{ day: 20, days: 60 }];
  const authorities = [
    { day: -365, days: 365 + 75 },
    { day: 40, days: 3650 },
  ];
  assertEven(await simulate({ ...batch, rule, years: 0.3, outages, authorities }));
});

test('come evenly after an outage in which all devices of a batch were switched on at once', async () => {
  const rule = ruleOf({ lifetime: '90d' });
  const outages = [{ day: 0, days: 1 }];
  assertEven(await simulate({ ...batch, spreadDays: 0, rule, years: 0.02, outages }));
});

test('go on with the certificate of a CA that replaces one at its last hours, or too late', async () => {
  const rule = ruleOf({ lifetime: '90d' });
  const replacedOn = (day: number) => {
    const authorities = [
      { day: -365, days: 365 + 60 },
      { day, days: 3650 },
    ];
    return simulate({ ...batch, rule, years: 0.3, outages: [], authorities });
  };
  const timely = await replacedOn(59.9);
  assert.is(timely.unavoidableDays, 0);
  assert.ok(timely.requests <= 12 * batch.devices, `${timely.requests} certificates were issued`);
  assertEven(await replacedOn(62));
});

test.run();
