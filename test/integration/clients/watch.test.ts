import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { client } from '../../../src/dbus/client/client.ts';
import { keysInterface, keysService } from '../../../src/interfaces/keys.ts';
import { deadline } from '../../support/deadline.ts';
import { Rig } from '../../support/rig/rig.ts';

const test = suite('examples: a watching client');
const folder = join(import.meta.dirname, '../../../../docs/examples');
const example = { file: 'watch-keys.py', python: '/usr/bin/python3' };

test('watch-keys.py prints added and removed keys, across exits of the service', async () => {
  await using rig = await Rig.start();
  await using bus = await rig.connect();
  const keys = client(bus, keysService, keysInterface);
  await keys.CreateKeyPair({ key_id: 'first', algorithms: ['ec-p256'], usages: [] });
  // its user need not be able to read the checkout
  await rig.run('cp', [join(folder, example.file), rig.directory]);
  const program = join(rig.directory, example.file);
  const watcher = rig.spawn(example.python, [program], { user: 'alice' });
  assert.ok(watcher.stdout);
  const lines = createInterface({ input: watcher.stdout })[Symbol.asyncIterator]();
  const line = async (): Promise<string> =>
    String((await deadline(30_000, lines.next(), 'a line')).value);
  try {
    const present = [await line(), await line(), await line()];
    assert.equal(present.toSorted(), ['+ device-ca', '+ device-id', '+ first'], 'those present');
    await keys.CreateKeyPair({ key_id: 'second', algorithms: ['ec-p256'], usages: [] });
    assert.is(await line(), '+ second');
    await rig.stop('keys');
    await keys.DeleteKey({ key_id: 'first' });
    assert.is(await line(), '- first', 'nothing was said of the end of the service');
    await rig.stop('keys');
    await keys.CreateKeyPair({ key_id: 'third', algorithms: ['ec-p256'], usages: [] });
    assert.is(await line(), '+ third');
  } finally {
    const ended = once(watcher, 'close');
    watcher.kill('SIGKILL');
    await deadline(10_000, ended, 'the program to end');
  }
});

test.run();
