/** What is kept for updates of modules that were deleted since. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ServiceError } from '../../../../../src/errors.ts';
import {
  OrphanedKeeps,
  type OrphanedKeepsOptions,
} from '../../../../../src/modules/supervisor/update/orphaned-keeps.ts';
import { soon, until } from '../../../../support/deadline.ts';
import { silentLog } from '../../../../support/log.ts';

const test = suite('what is kept for deleted modules');
const away = new ServiceError('Unavailable', 'no engine');

/** An engine that keeps something for these modules; those in `busy` cannot be released. */
function keepsOf(
  names: readonly string[],
  busy: Set<string> = new Set(),
  unread: Partial<OrphanedKeepsOptions['records']> = {},
) {
  const kept = new Set(names);
  const calls: string[] = [];
  const delays: number[] = [];
  const type = {
    keptNames: (): Promise<readonly string[]> => {
      calls.push('list');
      return kept.has('unlisted') ? Promise.reject(away) : Promise.resolve([...kept]);
    },
    release: async (name: string): Promise<void> => {
      calls.push(name);
      if (busy.has(name)) throw away;
      kept.delete(name);
    },
  };
  const pause = async (delayMs: number): Promise<void> => {
    if (delays.push(delayMs) === 2) busy.clear();
  };
  const records = { failure: undefined, damaged: new Map(), ids: () => ['recorded'], ...unread };
  const keeps = new OrphanedKeeps({
    type,
    isKnown: (name) => name === 'known',
    records,
    pause,
    now: () => new Date(0),
    log: silentLog,
  });
  return { calls, delays, keeps, kept };
}

test('is released, but for the modules that exist', async () => {
  const { calls, keeps, kept } = keepsOf(['gone', 'known', 'recorded', 'other']);
  await keeps.release(soon());
  assert.equal(
    [calls, [...kept]],
    [
      ['list', 'gone', 'other'],
      ['known', 'recorded'],
    ],
  );
});

test('is not released while a record is unreadable, which may be of any module', async () => {
  for (const unread of [
    { failure: new Error('EIO') },
    { damaged: new Map([['other', new Error('no JSON')]]) },
  ]) {
    const { calls, keeps } = keepsOf(['gone'], new Set(), unread);
    await keeps.release(soon());
    assert.equal(calls, ['list']);
  }
});

test('is released later, with a back-off, when that fails for one', async () => {
  const { calls, delays, keeps, kept } = keepsOf(['busy', 'gone'], new Set(['busy']));
  await keeps.release(soon());
  const [first, ...rest] = [
    ['list', 'busy', 'gone'],
    ['list', 'busy'],
    ['list', 'busy'],
  ];
  assert.equal(
    [calls, delays, kept.size],
    [[...(first ?? []), ...rest.flat()], [10_000, 20_000], 0],
  );
});

test('is looked for again when the engine is back, not before', async () => {
  const { calls, keeps, kept } = keepsOf(['gone', 'unlisted']);
  await keeps.release(soon());
  assert.equal(calls, ['list']);
  kept.delete('unlisted');
  await keeps.release(soon());
  assert.equal(calls, ['list', 'list', 'gone']);
});

test('is looked for again after a request during a look', async () => {
  const { calls, keeps, kept } = keepsOf(['gone']);
  const first = keeps.release(soon());
  await until(1_000, 'the first look', () => calls.includes('gone'));
  kept.add('late');
  await keeps.release(soon());
  await first;
  assert.equal([calls, kept.size], [['list', 'gone', 'list', 'late'], 0]);
});

test('is not waited for when the service stops', async () => {
  const { calls, keeps } = keepsOf(['busy'], new Set(['busy']));
  await keeps.release(AbortSignal.abort());
  assert.equal(calls, []);
});

test.run();
