/** Passes over the certificates that are published, and what they report. */
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type PublishedSource,
  Publishing,
} from '../../../../src/certificates/publishing/publishing.ts';
import { parseCertificateId } from '../../../../src/ids.ts';
import { recordingLog } from '../../../support/log.ts';

const test = suite<{ top: string }>('publishing');

test.before.each(async (context) => {
  context.top = await mkdtemp('/dev/shm/iotedge-publishing-');
});
test.after.each(({ top }) => rm(top, { recursive: true }));

test('logs a directory that cannot be published once, reports it each time, and no longer than it is used', async ({
  top,
}) => {
  const directory = join(top, 'missing', 'published');
  const logged: string[] = [];
  const reported: (readonly string[])[] = [];
  let ids = [parseCertificateId('web')];
  const source: PublishedSource = {
    directory,
    isListed: true,
    ids: () => ids,
    get: () => Promise.reject(new Error('not to be asked')),
    trustBundle: () => Promise.resolve(''),
  };
  await using publishing = new Publishing({
    source: () => source,
    onProblems: (problems) => reported.push(problems),
    log: recordingLog(({ message }) => logged.push(message)),
    now: () => new Date(),
  });
  publishing.start();
  await publishing.settled();
  publishing.request();
  await publishing.settled();
  assert.equal(logged, ['certificate not published']);
  assert.is(reported.length, 2);
  for (const [problem = ''] of reported) assert.match(problem, `${directory} is not published`);
  ids = [];
  publishing.request();
  await publishing.settled();
  assert.equal(reported.at(-1), []);
});

test('moves to another directory without making the former one', async ({ top }) => {
  const logged: string[] = [];
  let directory = join(top, 'missing', 'published');
  const source = (): PublishedSource => ({
    directory,
    isListed: true,
    ids: () => [],
    get: () => Promise.reject(new Error('not to be asked')),
    trustBundle: () => Promise.resolve(''),
  });
  await using publishing = new Publishing({
    source,
    onProblems: () => undefined,
    log: recordingLog(({ message }) => logged.push(message)),
    now: () => new Date(),
  });
  publishing.start();
  await publishing.settled();
  directory = join(top, 'published');
  publishing.request();
  await publishing.settled();
  assert.equal(logged, []);
});

test.run();
