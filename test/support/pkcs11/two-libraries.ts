import { createPublicKey, type KeyObject, randomBytes, verify } from 'node:crypto';
import { chown, mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Bus } from '../../../src/dbus/bus.ts';
import { type Client, client } from '../../../src/dbus/client/client.ts';
import { keysInterface, keysService } from '../../../src/interfaces/keys.ts';
import { deadline, until } from '../deadline.ts';
import { messageIn } from '../failure.ts';
import { SoftHsmToken, tokenPin } from '../keys/softhsm.ts';
import { Rig, type RigOptions } from '../rig/rig.ts';
import { makeFor } from '../rig/rig-services.ts';
import { rigUsers } from '../rig/rig-users.ts';
import { ShimLibrary, type ShimName } from './shim-library.ts';

/** The keys of the device: one in the token of each library, and one in a file. */
export const keyIds = { first: 'device-id', second: 'device-ca', file: 'in-file' } as const;

/** A library and its token. */
export interface TokenOfLibrary {
  readonly library: ShimLibrary;
  readonly token: SoftHsmToken;
}

/**
 * The Keys service with two tokens, each of a library of its own that misbehaves on command, and a key in a file. The
 * token of the first library is the base slot.
 */
export class TwoLibraries implements AsyncDisposable {
  readonly rig: Rig;
  readonly bus: Bus;
  readonly keys: Client<typeof keysInterface>;
  readonly first: TokenOfLibrary;
  readonly second: TokenOfLibrary;
  readonly #directory: string;
  /** How long the service needed to start, with libraries that behave. */
  startMs = 0;
  readonly #publicKeys = new Map<keyof typeof keyIds, KeyObject>();

  private constructor(parts: Pick<TwoLibraries, 'rig' | 'bus' | ShimName>, directory: string) {
    this.rig = parts.rig;
    this.bus = parts.bus;
    this.first = parts.first;
    this.second = parts.second;
    this.#directory = directory;
    this.keys = client(this.bus, keysService, keysInterface);
  }

  /** Starts the bus; the service, which has created its key in a file, does not run. */
  static async start({
    environment,
    pin = tokenPin,
    ...options
  }: TwoLibrariesOptions = {}): Promise<TwoLibraries> {
    const directory = await mkdtemp(join(tmpdir(), 'iotedge-libraries-'));
    await chown(directory, rigUsers['iotedge-keys'], rigUsers['iotedge-keys']);
    const keys = { PKCS11_SHIM: directory, ...environment?.keys };
    const rig = await Rig.start({
      ...options,
      token: false,
      environment: { ...environment, keys },
    });
    try {
      const first = await tokenOf(rig, directory, { name: 'first', label: 'device id', pin });
      const second = await tokenOf(rig, directory, { name: 'second', label: 'device ca', pin });
      const bus = await rig.connect();
      const device = new TwoLibraries({ rig, bus, first, second }, directory);
      await device.configure(pin);
      await device.#createKeys();
      await rig.stop('keys');
      return device;
    } catch (error) {
      await rig[Symbol.asyncDispose]();
      await rm(directory, { recursive: true });
      throw error;
    }
  }

  async #createKeys(): Promise<void> {
    const startedAt = performance.now();
    await this.keys.GetRandom({ count: 8 });
    this.startMs = performance.now() - startedAt;
    const request = { key_id: keyIds.file, algorithms: ['ec-p256'], usages: [] };
    await this.keys.CreateKeyPair({ ...request, options: { store: 'file' } });
    for (const name of ['first', 'second', 'file'] as const) {
      const { spki } = await this.keys.GetPublicKey({ key_id: keyIds[name] });
      this.#publicKeys.set(name, createPublicKey({ key: spki, format: 'der', type: 'spki' }));
    }
  }

  /** Configures a PIN for both tokens, effective at the next start. */
  async configure(pin: string): Promise<void> {
    const uri = (path: string, query: string) => `pkcs11:slot-id=0${path}?pin-value=${pin}${query}`;
    const second = `&module-path=${this.second.library.path}`;
    await this.rig.configure('keys', {
      pkcs11_lib_path: this.first.library.path,
      pkcs11_base_slot: uri('', ''),
      [`preloaded_key:${keyIds.first}`]: uri(';object=device%20id', ''),
      [`preloaded_key:${keyIds.second}`]: uri(';object=device%20ca', second),
    });
  }

  /** Signs with a key and verifies; returns `signed`, or the code and message of the failure. */
  sign(key: keyof typeof keyIds): Promise<string> {
    const data = randomBytes(32);
    const request = { key_id: keyIds[key], mechanism: 'ecdsa-sha256', data };
    const publicKey = this.#publicKeys.get(key);
    if (publicKey === undefined) throw new TypeError('the device is not set up');
    const call = this.keys
      .Sign(request)
      .then(({ signature }) =>
        verify('sha256', data, publicKey, signature) ? 'signed' : 'a wrong signature',
      );
    return deadline(30_000, call, `a signature by ${keyIds[key]}`).catch(messageIn);
  }

  /** Waits until a key signs. */
  async signs(key: keyof typeof keyIds, timeoutMs = 40_000): Promise<void> {
    let last = '';
    await until(
      timeoutMs,
      () => `${keyIds[key]} to sign: ${last}`,
      async () => {
        last = await this.sign(key);
        return last === 'signed';
      },
    );
  }

  /** The description of the service. */
  async description(): Promise<{ readonly health: string; readonly json: string }> {
    const { json } = await this.keys.Describe({});
    const { health } = JSON.parse(json) as { readonly health: string }; // the service promises it
    return { health, json };
  }

  /** The process of the service, which runs. */
  async pid(): Promise<number> {
    const pid = await this.rig.processOf('keys');
    if (pid === undefined) throw new Error('the service is not running');
    return pid;
  }

  /** The process that has loaded a library, if there is one. */
  async processOf(name: ShimName): Promise<number | undefined> {
    for (const pid of await childrenOf(await this.pid())) {
      const maps = await readFile(`/proc/${pid}/maps`, 'utf8').catch(() => '');
      if (maps.includes(`/${name}.so\n`)) return pid;
    }
    return undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.bus.close();
    await this.rig[Symbol.asyncDispose]();
    await rm(this.#directory, { recursive: true });
  }
}

export interface TwoLibrariesOptions extends Omit<RigOptions, 'token'> {
  /** The PIN of both tokens. */
  readonly pin?: string;
}

/** The processes that a process has started and that run. */
export async function childrenOf(pid: number): Promise<readonly number[]> {
  const children: number[] = [];
  for (const thread of await readdir(`/proc/${pid}/task`)) {
    const text = await readFile(`/proc/${pid}/task/${thread}/children`, 'utf8').catch(() => '');
    children.push(
      ...text
        .split(' ')
        .filter((word) => word !== '')
        .map(Number),
    );
  }
  return children;
}

async function tokenOf(
  rig: Rig,
  directory: string,
  { name, label, pin }: { readonly name: ShimName; readonly label: string; readonly pin: string },
): Promise<TokenOfLibrary> {
  const user = keysService.user;
  const tokens = join(directory, 'tokens');
  await mkdir(tokens, { recursive: true });
  const folder = join(tokens, name);
  await makeFor(user, folder);
  await chown(tokens, rigUsers[user], rigUsers[user]);
  const token = await SoftHsmToken.create(
    folder,
    (command, args, options) => rig.run(command, args, { ...options, user }),
    pin,
  );
  await token.createKeyPair(label);
  const library = await ShimLibrary.create(directory, name, {
    configuration: token.configuration,
    checkout: join(rig.directory, 'checkout'),
    uid: rigUsers[user],
  });
  return { library, token };
}
