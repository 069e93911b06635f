/** The process that owns a PKCS#11 library: its end, of its own and with the service, and what it may send. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { client } from '../../../src/dbus/client/client.ts';
import { keysInterface, keysService } from '../../../src/interfaces/keys.ts';
import { until, untilFound } from '../../support/deadline.ts';
import { softhsmLibrary } from '../../support/keys/softhsm.ts';
import { childrenOf, TwoLibraries } from '../../support/pkcs11/two-libraries.ts';
import { runs } from '../../support/property.ts';
import { Rig } from '../../support/rig/rig.ts';
import { isRunning } from '../../support/system/running.ts';

const test = suite('process of a PKCS#11 library');

/** The process of a library, as soon as it has loaded it. */
function processOf(device: TwoLibraries, name: 'first' | 'second'): Promise<number> {
  return untilFound(20_000, `the process of the ${name} library`, () => device.processOf(name));
}

test('is one for each library, and ends within a second when the service is killed, also one that hangs', async () => {
  await using device = await TwoLibraries.start();
  await device.signs('first');
  await device.signs('second');
  const service = await device.pid();
  const signed = await device.second.library.calls('C_SignInit');
  const children = [await processOf(device, 'first'), await processOf(device, 'second')];
  assert.equal(new Set(await childrenOf(service)), new Set(children));
  // this one does not notice that its connection is closed
  await device.second.library.misbehave('C_SignInit', 'hang');
  const hanging = device.sign('second');
  await until(
    10_000,
    'the call',
    async () => (await device.second.library.calls('C_SignInit')) > signed,
  );
  process.kill(service, 'SIGKILL');
  assert.match(await hanging, /^Unavailable: /);
  await until(1000, 'the processes to end', async () =>
    (await Promise.all(children.map((pid) => isRunning(pid)))).every((is) => !is),
  );
});

test('is started without what systemd passed to the service, early and later', async () => {
  const ofManager = { NOTIFY_SOCKET: '/run/absent', LISTEN_FDS: '0', WATCHDOG_USEC: '180000000' };
  await using device = await TwoLibraries.start({ environment: { keys: ofManager } });
  await device.signs('first');
  await device.signs('second');
  for (const pid of await childrenOf(await device.pid())) {
    const environment = await readFile(`/proc/${pid}/environ`, 'latin1');
    assert.match(environment, 'PATH=');
    assert.not.match(environment, /NOTIFY_SOCKET|LISTEN_|WATCHDOG_/);
  }
});

test('is not started without tokens', async () => {
  await using rig = await Rig.start({ token: false });
  await using bus = await rig.connect();
  await writeFile(join(rig.directory, 'config/keys.yaml'), '# without tokens\n');
  const keys = client(bus, keysService, keysInterface);
  const request = { key_id: 'in-file', algorithms: ['ec-p256'], usages: [] };
  await keys.CreateKeyPair(request);
  const pid = await rig.processOf('keys');
  assert.ok(pid);
  assert.equal(await childrenOf(pid), []);
  // the time of processes that it started and that ended, in ticks
  const [cutime, cstime] = statusFields(await readFile(`/proc/${pid}/stat`, 'utf8')).slice(13, 15);
  assert.equal([cutime, cstime], ['0', '0']);
  // a library without a token: the launcher takes it for one
  await writeFile(
    join(rig.directory, 'config/keys.yaml'),
    `pkcs11_lib_path: '${softhsmLibrary()}'\n`,
  );
  await rig.stop('keys');
  await keys.GetRandom({ count: 8 });
  const again = await rig.processOf('keys');
  assert.ok(again);
  await until(1000, 'no process', async () => (await childrenOf(again)).length === 0);
});

/** The fields of /proc/PID/stat after the name of the program: the first is the state. */
function statusFields(stat: string): readonly string[] {
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

test('is killed when it sends what is no message, and its calls are Unavailable', async () => {
  await using device = await TwoLibraries.start();
  await device.signs('first');
  const [service, before] = [await device.pid(), await processOf(device, 'first')];
  await device.first.library.misbehave('C_Sign', 'write 3 times 1');
  const failure = await device.sign('first');
  assert.match(failure, /^Unavailable: .*malformed/);
  assert.match(failure, device.first.library.path);
  assert.is(await device.sign('second'), 'signed');
  await until(1000, 'the process to end', async () => !(await isRunning(before)));
  await device.signs('first');
  assert.not.equal(await processOf(device, 'first'), before);
  assert.is(await device.pid(), service);
});

test('loses no call and returns no wrong signature when it is killed every second under load', async () => {
  await using device = await TwoLibraries.start();
  await device.signs('first');
  const service = await device.pid();
  const counts = new Map<string, number>();
  const wanted =
    runs(1) === 1 ? { signatures: Infinity, ms: 6_000 } : { signatures: 10_000, ms: Infinity };
  const endAt = performance.now() + wanted.ms;
  const caller = async (key: 'first' | 'second'): Promise<void> => {
    for (let signed = 0; signed < wanted.signatures && performance.now() < endAt; ) {
      const outcome = await device.sign(key);
      const kind = outcome.replace(/: .*/, '');
      counts.set(`${key} ${kind}`, (counts.get(`${key} ${kind}`) ?? 0) + 1);
      if (kind === 'signed') signed++;
      // the library is not started again before its back-off
      else await sleep(20);
    }
  };
  const callers = [...Array.from({ length: 16 }, () => caller('first')), caller('second')];
  let isDone = false;
  const all = Promise.all(callers).then(() => {
    isDone = true;
  });
  let killed = 0;
  while (!isDone) {
    await Promise.race([all, sleep(1_000)]);
    const pid = await device.processOf('first');
    if (pid === undefined) continue;
    process.kill(pid, 'SIGKILL');
    killed++;
  }
  await all;
  assert.ok(killed > 1);
  assert.equal([...counts.keys()].filter((kind) => kind !== 'first Unavailable').toSorted(), [
    'first signed',
    'second signed',
  ]);
  await device.signs('first');
  assert.is(await device.pid(), service);
});

test.run();
