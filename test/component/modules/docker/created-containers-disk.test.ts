/** The record of created containers on a disk that is full. */
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type CreatedContainer,
  CreatedContainers,
} from '../../../../src/modules/docker/drift/created-containers.ts';
import { silentLog } from '../../../support/log.ts';

const run = promisify(execFile);
const test = suite('created containers on a full disk');
const options = { now: () => new Date(), log: silentLog, retryMs: 0 };

const container = (id: string, Memory: number): CreatedContainer => ({
  id,
  traits: { image: 'sha256:1', resources: { Memory }, networks: {} },
});

/** A disk of a few KiB, on which the record of one container has been written. */
class FullDisk implements AsyncDisposable {
  readonly directory: string;

  private constructor(directory: string) {
    this.directory = directory;
  }

  static async mount(): Promise<FullDisk> {
    const directory = await mkdtemp(join(tmpdir(), 'iotedge-full-disk-'));
    await run('mount', ['-t', 'tmpfs', '-o', 'size=16k', 'tmpfs', directory]);
    return new FullDisk(directory);
  }

  /** Leaves no page free. */
  async fill(): Promise<void> {
    const name = `filler${(await readdir(this.directory)).length}`;
    await writeFile(join(this.directory, name), Buffer.alloc(64 << 10)).catch(() => undefined);
  }

  async empty(): Promise<void> {
    for (const name of await readdir(this.directory)) {
      if (name.startsWith('filler')) await rm(join(this.directory, name));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await run('umount', [this.directory]);
    await rm(this.directory, { recursive: true });
  }
}

test('are accepted by the next process when another client removed the one before', async () => {
  await using disk = await FullDisk.mount();
  const created = await CreatedContainers.open(disk.directory, options);
  await created.create('sensor', () => Promise.resolve(container('1', 5)));
  await created.create('sensor', async () => {
    await disk.fill();
    return container('2', 5);
  });
  const next = await CreatedContainers.open(disk.directory, options);
  assert.is(await next.drift('sensor', container('2', 5)), undefined);
});

test('are accepted by the next process when this one was killed before it recorded them', async () => {
  await using disk = await FullDisk.mount();
  const created = await CreatedContainers.open(disk.directory, options);
  await created.create('sensor', () => Promise.resolve(container('1', 5)));
  await created.create('sensor', async () => {
    const next = await CreatedContainers.open(disk.directory, options);
    assert.is(await next.drift('sensor', container('2', 5)), undefined);
    return container('2', 5);
  });
});

test('are still compared after the creation of another one failed', async () => {
  await using disk = await FullDisk.mount();
  const created = await CreatedContainers.open(disk.directory, options);
  await created.create('sensor', () => Promise.resolve(container('1', 5)));
  await created.create('sensor', () => Promise.reject(new Error('refused'))).catch(() => undefined);
  assert.is(await created.drift('sensor', container('1', 5)), undefined);
  const next = await CreatedContainers.open(disk.directory, options);
  assert.equal((await next.drift('sensor', container('1', 6)))?.changed, ['Memory']);
});

test('are recorded when there is space again, with what they were created with', async () => {
  await using disk = await FullDisk.mount();
  const created = await CreatedContainers.open(disk.directory, options);
  await disk.fill();
  await created.create('sensor', () => Promise.resolve(container('1', 5)));
  assert.is(await created.drift('sensor', container('1', 5)), undefined);
  const accepting = await CreatedContainers.open(disk.directory, options);
  assert.is(await accepting.drift('sensor', container('1', 7)), undefined);
  await disk.empty();
  assert.equal((await created.drift('sensor', container('1', 6)))?.changed, ['Memory']);
  const next = await CreatedContainers.open(disk.directory, options);
  assert.equal((await next.drift('sensor', container('1', 6)))?.changed, ['Memory']);
});

test.run();
