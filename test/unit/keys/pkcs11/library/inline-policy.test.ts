import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { InlinePolicy } from '../../../../../src/keys/pkcs11/library/inline-policy.ts';

/** A token whose operations take as long as they are told to. */
class Token {
  #now = 0;
  readonly inline = new InlinePolicy(() => this.#now);

  work(durationMs: number): void {
    this.inline.time(() => void (this.#now += durationMs));
  }

  async workOnThread(durationMs: number): Promise<void> {
    await this.inline.timeAsync(async () => void (this.#now += durationMs));
  }

  /** How many fast operations it takes on a thread until it may work at once. */
  async pause(): Promise<number> {
    let operations = 0;
    for (; !this.inline.isInline; operations++) await this.workOnThread(0.1);
    return operations;
  }
}

const test = suite('pace of a token');

test('keeps a slow token on its threads', async () => {
  const token = new Token();
  for (let i = 0; i < 20; i++) await token.workOnThread(3);
  assert.not(token.inline.isInline);
});

test('lets a fast token work at once, also when it is slow now and then', async () => {
  const token = new Token();
  await token.workOnThread(0.1);
  assert.ok(token.inline.isInline);
  for (let i = 0; i < 100; i++) token.work(i % 2 === 0 ? 1 : 0.01);
  assert.ok(token.inline.isInline);
});

test('sends a token that has become slow back to its threads, for longer each time', async () => {
  const token = new Token();
  await token.workOnThread(0.1);
  for (let i = 0; i < 4; i++) token.work(1);
  assert.not(token.inline.isInline);
  assert.is(await token.pause(), 64 + 1);
  for (let i = 0; i < 4; i++) token.work(1);
  assert.is(await token.pause(), 2 * 64 + 1);
});

test('takes a token for a fast one below 1 ms on a thread and up to 0.25 ms without', async () => {
  const token = new Token();
  await token.workOnThread(1);
  assert.not(token.inline.isInline);
  await token.workOnThread(0.5);
  assert.ok(token.inline.isInline);
  for (let i = 0; i < 8; i++) token.work(0.25);
  assert.ok(token.inline.isInline);
});

test('tries a token that is slow now and then again after 65536 operations at the latest', async () => {
  const token = new Token();
  const pauses: number[] = [];
  await token.workOnThread(0.5);
  for (let i = 0; i < 12; i++) {
    token.work(60);
    pauses.push(await token.pause());
  }
  assert.equal(pauses.slice(-3), [32_768 + 1, 65_536 + 1, 65_536 + 1]);
});

test('ends at once when a token stalls', async () => {
  const token = new Token();
  await token.workOnThread(0.5);
  token.work(49.5);
  assert.ok(token.inline.isInline);
  token.work(50);
  assert.not(token.inline.isInline);
});

test.run();
