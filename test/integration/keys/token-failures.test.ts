import { chown, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Bus } from '../../../src/dbus/bus.ts';
import { type Client, client } from '../../../src/dbus/client/client.ts';
import { keysInterface, keysService } from '../../../src/interfaces/keys.ts';
import { deadline, until } from '../../support/deadline.ts';
import { messageIn } from '../../support/failure.ts';
import { pkcs11Spy, softhsmLibrary, tokenPin } from '../../support/keys/softhsm.ts';
import { Rig, type RigOptions } from '../../support/rig/rig.ts';
import type { Settings } from '../../support/rig/rig-config.ts';
import { rigUsers } from '../../support/rig/rig-users.ts';
import { suspendProcess } from '../../support/suspend-process.ts';

const { busName, path } = keysService;
const wrongPin = 'not-the-pin-of-this-token';

/** A device whose tokens or configuration are faulty. */
class Device implements AsyncDisposable {
  readonly rig: Rig;
  readonly keys: Client<typeof keysInterface>;
  readonly #bus: Bus;

  private constructor(rig: Rig, bus: Bus) {
    this.rig = rig;
    this.#bus = bus;
    this.keys = client(bus, { busName, path }, keysInterface);
  }

  static async start(options: RigOptions = {}): Promise<Device> {
    const rig = await Rig.start(options);
    return new Device(rig, await rig.connect());
  }

  /** Creates a signature; returns the message of the failure, which is Unavailable, or `signed`. */
  sign(key_id = 'device-id', mechanism = 'ecdsa-sha256'): Promise<string> {
    const data = Buffer.alloc(32);
    return outcomeOf(this.keys.Sign({ key_id, mechanism, data }).then(() => 'signed'));
  }

  /** Creates a pair; returns `made`, or the failure. */
  create(
    key_id: string,
    if_exists: string,
    { algorithms = ['ec-p256'], store = 'pkcs11' } = {},
  ): Promise<string> {
    const options = { if_exists, store };
    const call = this.keys.CreateKeyPair({ key_id, algorithms, usages: [], options });
    return outcomeOf(call.then(() => 'made'));
  }

  /** The state files of a key. */
  async filesOf(id: string): Promise<readonly string[]> {
    const names = await readdir(this.rig.stateDirectory('keys'), { recursive: true });
    return names.filter((name) => name.includes(id));
  }

  /** Waits until a key has a state file. */
  async isFiled(id: string): Promise<void> {
    await until(10_000, 'the record of the key', async () => (await this.filesOf(id)).length > 0);
  }

  /** Resolves when the earlier calls have reached the service: the bus processes them in order. */
  async reached(): Promise<void> {
    await this.#bus.nameOwner(busName);
  }

  /** Creates the key that must continue to work whatever happens to the token. */
  async makeFileKey(): Promise<void> {
    assert.is(await this.create('in-file', 'fail', { store: 'file' }), 'made');
  }

  /** Checks that the key in a file can be used, and that no second key of an id can be created. */
  async servesFilesOnly(): Promise<void> {
    assert.is(await this.sign('in-file'), 'signed');
    assert.match(await this.create('new-one', 'keep', { store: 'file' }), /^Unavailable: /);
  }

  /** The process of the service, which is started if it does not run. */
  async pid(): Promise<number> {
    await this.keys.GetRandom({ count: 1 });
    const pid = await this.rig.processOf('keys');
    if (pid === undefined) throw new Error('the service is not running');
    return pid;
  }

  /** Waits until the token works again. */
  async recovered(): Promise<void> {
    await until(
      30_000,
      'the token to be found again',
      async () => (await this.sign()) === 'signed',
    );
  }

  /** Waits until the service reports that it is healthy. */
  async isHealthy(): Promise<void> {
    const isOk = async () => (await this.description()).health === 'ok';
    await until(10_000, 'the event that the token works', isOk);
  }

  /** The description of the service. */
  async description(): Promise<{ readonly health: string; readonly json: string }> {
    const { json } = await this.keys.Describe({});
    const { health } = JSON.parse(json) as { readonly health: string }; // the service promises it
    return { health, json };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#bus.close();
    await this.rig[Symbol.asyncDispose]();
  }
}

/** The file in which a module that forwards to SoftHSM records every call. */
class Notes implements AsyncDisposable {
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  static async open(): Promise<Notes> {
    const directory = await mkdtemp(join(tmpdir(), 'iotedge-notes-'));
    await chown(directory, rigUsers['iotedge-keys'], rigUsers['iotedge-keys']);
    return new Notes(directory);
  }

  /** The environment of the monitored service. */
  get environment(): Readonly<Record<string, string>> {
    return { PKCS11SPY: softhsmLibrary(), PKCS11SPY_OUTPUT: join(this.#directory, 'calls') };
  }

  /** The number of calls of a function by all processes so far. */
  async count(name: string): Promise<number> {
    const text = await readFile(join(this.#directory, 'calls'), 'utf8');
    return text.split('\n').filter((line) => line.endsWith(`: ${name}`)).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#directory, { recursive: true });
  }
}

/** The result of a call, or the code and message of its failure. */
const outcomeOf = (call: Promise<string>): Promise<string> =>
  deadline(20_000, call, 'the reply').catch(messageIn);

const test = suite('keys service with a token that fails');

/** Settings in which every URI of the rig has this PIN, with this library. */
function tokenSettings(pin: string, library: string): Settings {
  const uri = (object: string) => `pkcs11:slot-id=0${object}?pin-value=${pin}`;
  return {
    keys: {
      pkcs11_lib_path: library,
      pkcs11_base_slot: uri(''),
      'preloaded_key:device-id': uri(';object=device%20id'),
      'preloaded_key:device-ca': uri(';object=device%20ca'),
    },
  };
}

test('never retries a wrong PIN, however often it is activated', async () => {
  await using notes = await Notes.open();
  await using device = await Device.start({
    settings: tokenSettings(wrongPin, pkcs11Spy()),
    environment: { keys: notes.environment },
  });
  for (let activation = 0; activation < 3; activation++) {
    const failure = await device.sign();
    assert.match(failure, /^Unavailable: .*token "iotedge" .*refuses the PIN: CKR_PIN_INCORRECT/);
    assert.match(failure, device.rig.stateDirectory('keys'));
    await device.rig.stop('keys', activation === 0 ? 'SIGKILL' : 'SIGTERM');
  }
  assert.is(await notes.count('C_Login'), 1);
  assert.is(await notes.count('C_Initialize'), 3);
  await device.rig.configure('keys', tokenSettings(tokenPin, pkcs11Spy()).keys ?? {});
  assert.is(await device.sign(), 'signed');
  await device.rig.stop('keys');
  assert.is(await notes.count('C_Login'), 2);
  assert.equal(await readdir(join(device.rig.stateDirectory('keys'), 'refused-pins')), []);
});

test('reports the failure and serves its files when the library is invalid', async () => {
  await using device = await Device.start();
  await device.makeFileKey();
  const missing = '/nonexistent/library.so';
  for (const library of [missing, '/etc/passwd', '/lib/x86_64-linux-gnu/libc.so.6']) {
    await device.rig.configure('keys', tokenSettings(tokenPin, library).keys ?? {});
    await device.rig.stop('keys');
    assert.match(await device.sign(), /^Unavailable: .*the PKCS#11 library cannot be loaded: /);
    await device.servesFilesOnly();
  }
});

test('returns NotFound and Unavailable for keys that the token does not have', async () => {
  await using device = await Device.start({
    settings: {
      keys: { 'preloaded_key:absent': `pkcs11:slot-id=0;object=absent?pin-value=${tokenPin}` },
    },
  });
  assert.is(await device.sign('nowhere'), 'NotFound: no key "nowhere"');
  assert.match(await device.sign('absent'), /^Unavailable: key "absent" is unavailable: /);
  assert.is(await device.sign(), 'signed');
  assert.is((await device.description()).health, 'degraded');
});

test('starts without its token, and works when it is inserted, removed and inserted again', async () => {
  await using device = await Device.start();
  const { rig } = device;
  await device.makeFileKey();
  for (const restart of [true, false]) {
    await rig.token.remove();
    if (restart) await rig.stop('keys');
    const failure = await device.sign();
    assert.match(failure, /^Unavailable: .*(no token matches|is not initialized|CKR_)/, failure);
    assert.is((await device.description()).health, 'degraded');
    assert.match(await device.sign('nowhere'), /^Unavailable: /);
    assert.match(await device.create('device-new', 'keep'), /^Unavailable: /);
    await device.servesFilesOnly();
    await rig.token.insert();
    await device.recovered();
    await device.isHealthy();
    assert.match(await device.sign('nowhere'), /^NotFound: /);
  }
});

test('causes an error for the caller when it is killed, and the next call works', async () => {
  await using device = await Device.start();
  const pid = await device.pid();
  await suspendProcess(pid);
  const signing = device.sign();
  await device.reached();
  process.kill(pid, 'SIGKILL');
  assert.match(await signing, /^Unavailable: /);
  assert.is(await device.sign(), 'signed');
});

for (const store of ['pkcs11', 'file']) {
  test(`leaves nothing incomplete when it is killed while it creates a key in store ${store}`, async () => {
    await using device = await Device.start();
    const pid = await device.pid();
    const making = device.create('half', 'fail', { algorithms: ['rsa-4096'], store });
    // a pair in the token is recorded before it is created; one in a file is created first, which takes longer
    if (store === 'pkcs11') await device.isFiled('half');
    else await sleep(50);
    process.kill(pid, 'SIGKILL');
    const isMade = (await making) === 'made'; // the kill may have been late
    if (!isMade) assert.match(await making, /^Unavailable: /);
    const signed = await device.sign('half', 'rsa-pss-sha256');
    assert.match(signed, isMade ? /^signed$/ : /^NotFound: /);
    assert.not.match(await device.rig.token.tool('--list-objects'), 'half');
    assert.equal(await device.filesOf('half'), []);
    assert.is(await device.create('half', 'fail', { store }), 'made');
    assert.is(await device.sign('half'), 'signed');
  });
}

test.run();
