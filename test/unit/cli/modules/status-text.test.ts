import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { moduleView } from '../../../../src/cli/modules/module-view.ts';
import { durationText, progressText, statusText } from '../../../../src/cli/modules/status-text.ts';

const test = suite('status of a module as text');
const now = new Date('2026-01-31T12:00:00Z');
const ago = (seconds: number) => String((now.getTime() - seconds * 1000) * 1000);
const status = (properties: Readonly<Record<string, unknown>>) =>
  statusText(moduleView(properties), now);

test('has the words of docker', () => {
  assert.is(status({ State: 'running', StartedAt: ago(3) }), 'Up 3 seconds');
  const ended = { ExitCode: 0, StartedAt: ago(90), FinishedAt: ago(65) };
  assert.is(status({ State: 'stopped', ...ended }), 'Exited (0) About a minute ago');
  assert.is(status({ State: 'failed', ...ended, ExitCode: 1 }), 'Exited (1) About a minute ago');
  assert.is(
    status({ State: 'backoff', ...ended, ExitCode: 3 }),
    'Restarting (3) About a minute ago',
  );
  assert.is(status({ State: 'created' }), 'Created');
});

test('says what has never run, and what is under way', () => {
  assert.is(status({ State: 'failed' }), 'Failed');
  assert.is(status({ State: 'backoff' }), 'Waiting to start');
  assert.is(status({ State: 'pulling', Progress: 0.456 }), 'Pulling 46%');
  assert.is(status({ State: 'unknown' }), 'Unknown');
});

test('counts time as docker does', () => {
  const hour = 3600;
  const day = 24 * hour;
  const texts: readonly (readonly [number, string])[] = [
    [0.9, 'Less than a second'],
    [1, '1 second'],
    [59, '59 seconds'],
    [60, 'About a minute'],
    [119, 'About a minute'],
    [120, '2 minutes'],
    [59 * 60, '59 minutes'],
    [hour, 'About an hour'],
    [1.4 * hour, 'About an hour'],
    [1.6 * hour, '2 hours'],
    [47 * hour, '47 hours'],
    [2 * day, '2 days'],
    [13.9 * day, '13 days'],
    [14 * day, '2 weeks'],
    [59 * day, '8 weeks'],
    [60 * day, '2 months'],
    [729 * day, '24 months'],
    [731 * day, '2 years'],
  ];
  for (const [seconds, text] of texts) assert.is(durationText(seconds), text);
});

test('describes an operation by its step, else by its name', () => {
  const progress = (properties: Readonly<Record<string, unknown>>) =>
    progressText(moduleView(properties));
  const update = { Operation: 'UpdateModule', State: 'running' };
  const pulling = { ...update, Progress: 0.25, ProgressText: 'Downloading' };
  assert.is(progress(pulling), 'pulling 25%: Downloading');
  assert.is(progress({ ...update, ProgressText: 'pull' }), 'pulling 0%');
  assert.is(progress({ ...update, ProgressText: 'stop' }), 'stopping');
  assert.is(progress(update), 'updating');
  assert.is(progress({ Operation: 'CreateModule', State: 'unknown' }), 'creating');
});

test.run();
