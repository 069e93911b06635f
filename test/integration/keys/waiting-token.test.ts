/** A token that blocks the service: here for its PIN, from a pipe that has no writer. */
import { execFile } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { client } from '../../../src/dbus/client/client.ts';
import { keysInterface, keysService } from '../../../src/interfaces/keys.ts';
import { deadline } from '../../support/deadline.ts';
import { tokenPin } from '../../support/keys/softhsm.ts';
import { Rig } from '../../support/rig/rig.ts';

const run = promisify(execFile);
const test = suite('keys service with a blocking token');

test('owns its name and serves its files meanwhile, and the token as soon as it is usable', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'iotedge-pin-'));
  const pipe = join(directory, 'pin');
  try {
    await run('mkfifo', ['-m', '644', pipe]);
    await chmod(directory, 0o755);
    const base = `pkcs11:slot-id=0?pin-source=${pipe}`;
    await using rig = await Rig.start({ settings: { keys: { pkcs11_base_slot: base } } });
    await using bus = await rig.connect();
    const keys = client(bus, keysService, keysInterface);
    const { bytes } = await deadline(20_000, keys.GetRandom({ count: 8 }), 'the first reply');
    assert.is(bytes.length, 8);
    const pair = { algorithms: ['ec-p256'], usages: [] };
    const inToken = keys.CreateKeyPair({ ...pair, key_id: 'in-token' });
    assert.is((await keys.GetRandom({ count: 8 })).bytes.length, 8);
    const opened = writeFile(pipe, tokenPin);
    await deadline(20_000, Promise.all([inToken, opened]), 'the key in the token');
    const sign = { mechanism: 'ecdsa-sha256', data: Buffer.from('text') };
    assert.ok((await keys.Sign({ ...sign, key_id: 'in-token' })).signature.length > 0);
    assert.ok((await keys.Sign({ ...sign, key_id: 'device-id' })).signature.length > 0);
  } finally {
    await rm(directory, { recursive: true });
  }
});

test.run();
