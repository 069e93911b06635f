import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { InlinePolicy } from '../../../../../src/keys/pkcs11/host/inline-policy.ts';

/** A token whose operations take a given time. */
class Token {
  #now = 0;
  readonly inline = new InlinePolicy(() => this.#now);

  work(durationMs: number): void {
    this.inline.time(() => void (this.#now += durationMs));
  }

  async workOnThread(durationMs: number): Promise<void> {
    await this.inline.timeAsync(async () => void (this.#now += durationMs));
  }

  /** The number of fast operations on a thread until operations run inline. */
  async pause(): Promise<number> {
    let operations = 0;
    for (; !this.inline.isInline; operations++) await this.workOnThread(0.1);
    return operations;
  }
}

const test = suite('inline policy of a token');

test('runs the operations of a slow token on threads', async () => {
  const token = new Token();
  for (let i = 0; i < 20; i++) await token.workOnThread(3);
  assert.not(token.inline.isInline);
});

test('runs the operations of a fast token inline, also when it is occasionally slow', async () => {
  const token = new Token();
  await token.workOnThread(0.1);
  assert.ok(token.inline.isInline);
  for (let i = 0; i < 100; i++) token.work(i % 2 === 0 ? 1 : 0.01);
  assert.ok(token.inline.isInline);
});

test('moves a token that has become slow back to threads, for longer each time', async () => {
  const token = new Token();
  await token.workOnThread(0.1);
  for (let i = 0; i < 4; i++) token.work(1);
  assert.not(token.inline.isInline);
  assert.is(await token.pause(), 64 + 1);
  for (let i = 0; i < 4; i++) token.work(1);
  assert.is(await token.pause(), 2 * 64 + 1);
});

test('considers a token fast below 1 ms on a thread and up to 0.25 ms inline', async () => {
  const token = new Token();
  await token.workOnThread(1);
  assert.not(token.inline.isInline);
  await token.workOnThread(0.5);
  assert.ok(token.inline.isInline);
  for (let i = 0; i < 8; i++) token.work(0.25);
  assert.ok(token.inline.isInline);
});

test('retries an occasionally slow token inline after 65536 operations at the latest', async () => {
  const token = new Token();
  const pauses: number[] = [];
  await token.workOnThread(0.5);
  for (let i = 0; i < 12; i++) {
    token.work(60);
    pauses.push(await token.pause());
  }
  assert.equal(pauses.slice(-3), [32_768 + 1, 65_536 + 1, 65_536 + 1]);
});

test('stops inline operations at once when a token stalls', async () => {
  const token = new Token();
  await token.workOnThread(0.5);
  token.work(49.5);
  assert.ok(token.inline.isInline);
  token.work(50);
  assert.not(token.inline.isInline);
});

test.run();
