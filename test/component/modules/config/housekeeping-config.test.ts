import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { modulesSchema, parseModulesConfig } from '../../../../src/modules/config/config.ts';
import { loadText, problemsOfText } from '../../../support/config-texts.ts';

const test = suite<{ dir: string }>('house-keeping in modules.yaml');
const form = { service: 'modules', schema: modulesSchema, parse: parseModulesConfig };
const load = (dir: string, text: string) => loadText(form, dir, text);
const [hourMs, dayMs] = [3_600_000, 86_400_000];

test.before.each(async (context) => {
  context.dir = await mkdtemp(join(tmpdir(), 'iotedge-housekeeping-'));
});

test.after.each(async ({ dir }) => {
  await rm(dir, { recursive: true, force: true });
});

test('has defaults', async ({ dir }) => {
  const { imageCleanup, logOptions } = await load(dir, '');
  assert.equal(logOptions, { 'max-size': '10m', 'max-file': '3' });
  assert.equal(imageCleanup, {
    enabled: true,
    recurrenceMs: dayMs,
    ageMs: 7 * dayMs,
    timeMin: 0,
    freePercent: 10,
  });
});

test('is read in the units of the file', async ({ dir }) => {
  const text = `log_options: {max_size: 1g, max_file: 1}
image_garbage_collection:
  enabled: false
  cleanup_recurrence: 90m
  image_age_cleanup_threshold: 36h
  cleanup_time: '23:59'
  free_space_threshold_percent: 0
`;
  const { imageCleanup, logOptions } = await load(dir, text);
  assert.equal(logOptions, { 'max-size': '1g', 'max-file': '1' });
  assert.equal(imageCleanup, {
    enabled: false,
    recurrenceMs: 1.5 * hourMs,
    ageMs: 36 * hourMs,
    timeMin: 23 * 60 + 59,
    freePercent: 0,
  });
  assert.equal((await load(dir, 'log_options: {max_size: unlimited}')).logOptions, {});
});

test('is refused when it is malformed', async ({ dir }) => {
  const text = `log_options: {max_size: 10M, max_file: 0}
image_garbage_collection: {cleanup_recurrence: 0d, image_age_cleanup_threshold: week, cleanup_time: '24:00', free_space_threshold_percent: 91}
`;
  const problems = (await problemsOfText(form, dir, text)).map(({ path }) => path);
  assert.equal(problems.toSorted(), [
    'image_garbage_collection.cleanup_recurrence',
    'image_garbage_collection.cleanup_time',
    'image_garbage_collection.free_space_threshold_percent',
    'image_garbage_collection.image_age_cleanup_threshold',
    'log_options.max_file',
    'log_options.max_size',
  ]);
});

test.run();
