import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { RefusedPin } from '../../../../../src/keys/pkcs11/library/refused-pin.ts';
import { failureOf } from '../../../../support/failure.ts';

const test = suite('RefusedPin');
const reason = 'CKR_PIN_INCORRECT';

/** A record of version 1 of the program: scrypt with N 32768, r 8, p 1 over the PIN 0815. */
const record = {
  reason,
  salt: '000102030405060708090a0b0c0d0e0f',
  fingerprint: '684ac99485f1b895650722ad22cc4d61d4581a4f8eb09f5e45407e19a20dfa8c',
};

/** The path of the record of a PIN. */
class Rig implements AsyncDisposable {
  readonly directory: string;
  readonly path: string;

  private constructor(directory: string) {
    this.directory = directory;
    this.path = join(directory, 'pin.json');
  }

  static async start(): Promise<Rig> {
    return new Rig(await mkdtemp(join(tmpdir(), 'iotedge-refused-pin-')));
  }

  pin(): RefusedPin {
    return new RefusedPin(this.path);
  }

  async read(): Promise<Record<string, unknown>> {
    return JSON.parse(await readFile(this.path, 'utf8')) as Record<string, unknown>;
  }

  async write(fields: object): Promise<void> {
    await writeFile(this.path, JSON.stringify(fields), { mode: 0o600 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.directory, { recursive: true });
  }
}

test('is recognized after an update of the program, which would lock it otherwise', async () => {
  await using rig = await Rig.start();
  await rig.write(record);
  assert.is(await rig.pin().reasonOf('0815'), reason);
  assert.is(await rig.pin().reasonOf('0816'), undefined);
});

test('has a new fingerprint each time, which does not reveal that two tokens have one PIN', async () => {
  await using rig = await Rig.start();
  const seen = new Set<unknown>();
  for (let times = 0; times < 3; times++) {
    await rig.pin().save('0815', reason);
    const { salt, fingerprint } = await rig.read();
    assert.match(String(salt), /^[0-9a-f]{32}$/);
    seen.add(salt).add(fingerprint);
  }
  assert.is(seen.size, 6);
});

test('is the recorded one, whatever this process found before', async () => {
  await using rig = await Rig.start();
  const pin = rig.pin();
  await pin.save('0815', reason);
  await rig.pin().save('4711', reason);
  assert.is(await pin.reasonOf('0815'), undefined);
  assert.is(await pin.reasonOf('4711'), reason);
});

test('is overwritten when its record is removed: it may be the right one', async () => {
  await using rig = await Rig.start();
  await rig.pin().save('0815', reason);
  const { fingerprint } = await rig.read();
  await using file = await open(rig.path);
  await rig.pin().remove();
  assert.not.match(await file.readFile('utf8'), String(fingerprint));
  assert.is(await rig.pin().reasonOf('0815'), undefined);
});

test('is assumed to be the same when its record is damaged', async () => {
  await using rig = await Rig.start();
  const damaged = [
    { ...record, reason: 1 },
    { ...record, salt: undefined },
    { ...record, salt: record.salt.slice(2) },
    { ...record, fingerprint: undefined },
    { ...record, fingerprint: record.fingerprint.slice(2) },
    { ...record, fingerprint: `x${record.fingerprint.slice(1)}` },
  ];
  for (const fields of damaged) {
    await rig.write(fields);
    for (const pin of ['0815', '4711'])
      assert.is(await failureOf(rig.pin().reasonOf(pin)), 'Unavailable');
  }
});

test.run();
