import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ServiceError } from '../../../../../src/errors.ts';
import {
  ImageCleanup,
  type ImageCleanupOptions,
} from '../../../../../src/modules/docker/images/image-cleanup.ts';
import { silentLog } from '../../../../support/log.ts';

const test = suite('clean-up of images');
const { signal } = new AbortController();
const dayMs = 86_400_000;
const id = `sha256:${'a'.repeat(64)}`;
const old = { id, references: ['a:1'], digests: [] };

/** A clean-up that is due, of an image that nothing has needed for ten days, with what it does. */
function cleanup(freePercent: number | undefined, isReachable = true, isDue = true) {
  const trace: string[] = [];
  const did = <T>(what: string, result: T) => {
    trace.push(what);
    if (!isReachable) throw new ServiceError('Unavailable', 'no engine');
    return Promise.resolve(result);
  };
  const parts: unknown = {
    images: {
      list: async () => did('list', [old]),
      used: async () => did('used', new Set()),
      find: async () => undefined,
      remove: async () => did('remove', true),
    },
    pulled: {
      all: () => [{ ...old, usedAt: new Date(0) }],
      recent: () => [],
      unusedMs: () => 10 * dayMs,
      saveClock: async () => undefined,
      delete: async () => undefined,
    },
    last: {
      at: new Date(isDue ? 0 : 20 * dayMs),
      set: async () => void trace.push('noted'),
    },
    config: () => ({
      enabled: true,
      recurrenceMs: dayMs,
      ageMs: 7 * dayMs,
      timeMin: 0,
      freePercent: 10,
    }),
    wanted: () => {
      trace.push('wanted');
      return [];
    },
    freePercent: async () => freePercent,
    now: () => new Date(20 * dayMs),
    log: silentLog,
  };
  return { cleaning: new ImageCleanup(parts as ImageCleanupOptions), trace }; // the members that are used
}

test('asks last what modules demand: one may have been accepted meanwhile', async () => {
  const { cleaning, trace } = cleanup(50);
  await cleaning.tick(signal);
  assert.equal(trace, ['noted', 'list', 'used', 'wanted', 'remove']);
});

test('is noted before it begins: one that fails is not repeated every five minutes', async () => {
  const { cleaning, trace } = cleanup(50, false);
  await cleaning.tick(signal);
  assert.equal(trace, ['noted', 'list']);
});

test('is not early unless the disk is known to have little space', async () => {
  const removes = async (percent: number | undefined): Promise<boolean> => {
    const { cleaning, trace } = cleanup(percent, true, false);
    await cleaning.tick(signal);
    return trace.includes('remove');
  };
  assert.equal(await Promise.all([undefined, 10, 9].map(removes)), [false, false, true]);
});

test.run();
