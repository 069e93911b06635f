import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Pace } from '../../../../src/keys/pkcs11/pace.ts';

const test = suite('pace of a token');

function work(durationMs: number): void {
  const end = performance.now() + durationMs;
  while (performance.now() < end);
}

test('keeps a slow token on its threads', async () => {
  const pace = new Pace();
  for (let i = 0; i < 20; i++) await pace.timeAsync(() => sleep(3));
  assert.not(pace.isInline);
});

test('lets a fast token work at once', async () => {
  const pace = new Pace();
  await pace.timeAsync(async () => undefined);
  assert.ok(pace.isInline);
  for (let i = 0; i < 20; i++) pace.time(() => work(0.01));
  assert.ok(pace.isInline);
});

test('sends a token that has become slow back to its threads, for longer each time', async () => {
  const pace = new Pace();
  await pace.timeAsync(async () => undefined);
  for (let i = 0; i < 8 && pace.isInline; i++) pace.time(() => work(1));
  assert.not(pace.isInline);
  let pause = 0;
  for (; !pace.isInline; pause++) await pace.timeAsync(async () => undefined);
  assert.ok(pause >= 64);
  for (let i = 0; i < 8 && pace.isInline; i++) pace.time(() => work(1));
  let longer = 0;
  for (; !pace.isInline; longer++) await pace.timeAsync(async () => undefined);
  assert.ok(longer >= 2 * 64);
});

test('ends at once when a token stalls', async () => {
  const pace = new Pace();
  await pace.timeAsync(async () => undefined);
  pace.time(() => work(55));
  assert.not(pace.isInline);
});

test.run();
