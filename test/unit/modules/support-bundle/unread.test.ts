/** A reader of a support bundle that stops reading, and does not leave either. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { BundleParts } from '../../../../src/modules/support-bundle/bundle.ts';
import { SupportBundles } from '../../../../src/modules/support-bundle/support-bundles.ts';
import { until } from '../../../support/deadline.ts';
import { codeOf, failureOf } from '../../../support/failure.ts';
import { via } from '../../../support/via.ts';

const test = suite('a support bundle that is not read');
const all = { since: undefined, until: undefined, runtimeOnly: false };
const shortMs = 20;

/** Bundles with a journal that is read without end. */
function bundlesOf(stallMs?: number) {
  const reading = { begun: 0, ended: 0 };
  const parts: BundleParts = {
    modules: () => [],
    runtimeModules: () => [],
    configuration: () => ({}),
    descriptions: { keys: async () => '{}' },
    checks: async () => ({}),
    log: async function* () {},
    inspect: async () => ({}),
    networks: async () => [],
    journal: async function* () {
      reading.begun++;
      try {
        for (let line = 0; ; line++) yield Buffer.from(`${Math.random()} ${line}\n`.repeat(100));
      } finally {
        reading.ended++;
      }
    },
    limits: { fileBytes: 2 ** 40, allBytes: 2 ** 40 },
  };
  return { bundles: new SupportBundles(parts, () => new Date(), stallMs), reading };
}

test('gives its place to another one and ends what it reads', async () => {
  const { bundles, reading } = bundlesOf(shortMs);
  const read = bundles.create(all, via)[Symbol.asyncIterator]();
  bundles.create(all, via); // is never read
  while (reading.begun === 0) await read.next();
  const next = () => codeOf(() => bundles.create(all, via));
  await until(10_000, 'a place', () => next() === 'no failure');
  await until(10_000, 'the end of what was read', () => reading.ended === 1);
  assert.is(await failureOf(read.next()), 'Unavailable');
  assert.is((await read.next()).done, true);
});

test('keeps its place while it is read', async () => {
  const { bundles, reading } = bundlesOf(60_000);
  const read = bundles.create(all, via)[Symbol.asyncIterator]();
  bundles.create(all, via);
  while (reading.begun === 0) await read.next();
  assert.is((await read.next()).done, false);
  assert.is(
    codeOf(() => bundles.create(all, via)),
    'LimitsExceeded',
  );
  await read.return?.();
  assert.is(reading.ended, 1);
  bundles.create(all, via);
});

test.run();
