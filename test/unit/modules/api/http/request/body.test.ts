/** Request bodies may be plaintexts: their buffers are wiped once they are read or refused. */
import type { IncomingMessage } from 'node:http';
import { PassThrough } from 'node:stream';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { HttpProblem } from '../../../../../../src/modules/api/http/failure.ts';
import { readJson } from '../../../../../../src/modules/api/http/request/body.ts';
import { pendingTimers } from '../../../../../support/deadline.ts';

const test = suite('request bodies');

/** Result of reading a body sent in these chunks, or the status of the failure. */
async function read(chunks: readonly Buffer[]): Promise<unknown> {
  const request = new PassThrough({ highWaterMark: 8 << 20 });
  for (const chunk of chunks) request.write(chunk);
  request.end();
  const parts = Object.assign(request, { method: 'POST', headers: {} });
  const message = parts as unknown as IncomingMessage; // nothing else of it is used
  try {
    return await readJson(message, new AbortController().signal);
  } catch (error) {
    return error instanceof HttpProblem ? error.status : error;
  }
}

const isWiped = (chunk: Buffer): boolean => chunk.every((byte) => byte === 0);

test('are wiped after they are read', async () => {
  const chunks = ['{"data":', '"AAAA"}'].map((text) => Buffer.from(text));
  assert.equal(await read(chunks), { json: { data: 'AAAA' }, bytes: 15 });
  assert.ok(chunks.every(isWiped));
});

/** Buffers concatenated while the action runs. */
async function joinedWhile(action: () => Promise<unknown>): Promise<readonly Buffer[]> {
  const joined: Buffer[] = [];
  const concat = Buffer.concat.bind(Buffer);
  const replaced = Object.getOwnPropertyDescriptor(Buffer, 'concat');
  Buffer.concat = (...parts: Parameters<typeof concat>) => {
    const whole = concat(...parts);
    joined.push(whole);
    return whole;
  };
  try {
    await action();
  } finally {
    Object.defineProperty(Buffer, 'concat', replaced ?? {});
  }
  return joined;
}

test('are wiped completely, whether they are valid JSON or not', async () => {
  for (const text of ['{"data":"AAAA"}', '{"data":']) {
    const joined = await joinedWhile(() => read([Buffer.from(text)]));
    assert.ok(joined.some(({ length }) => length === text.length));
    assert.ok(joined.every(isWiped), text);
  }
});

test('keep no timer once they are read or refused', async () => {
  const before = pendingTimers();
  for (const text of ['{}', '{']) await read([Buffer.from(text)]);
  await read([Buffer.alloc((1 << 20) + 1)]);
  assert.is(pendingTimers(), before);
});

test('are wiped when they are too long', async () => {
  const chunks = [1 << 20, 1].map((size) => Buffer.alloc(size, 'A'));
  assert.is(await read(chunks), 413);
  assert.ok(chunks.every(isWiped));
});

test.run();
