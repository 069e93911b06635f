import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Bus } from '../../../src/dbus/bus.ts';
import { type Client, client } from '../../../src/dbus/client/client.ts';
import { keysInterface, keysService } from '../../../src/interfaces/keys.ts';
import type { pairAlgorithms } from '../../../src/interfaces/words.ts';
import { outputOf } from '../command.ts';
import { Rig, type RigOptions } from '../rig/rig.ts';
import { KeyCalls } from './key-calls.ts';

/** What kinds of key a test may ask for. */
export type TestAlgorithm = (typeof pairAlgorithms)[number];

/** A key pair of the service. */
export interface ServedKey {
  /** Its public half, DER. */
  readonly spki: Buffer;
}

/** Made by openssl once for all tests and imported as a file: to make them takes seconds. The others are made in the token. */
const imported: ReadonlySet<TestAlgorithm> = new Set(['rsa-3072', 'rsa-4096', 'ec-p521']);
const cache = fileURLToPath(new URL('../../../test-keys', import.meta.url));

/** The Keys service of a rig with a token, key pairs in the token and in files, and the calls that it gets. */
export class ServedKeys implements AsyncDisposable {
  readonly rig: Rig;
  readonly bus: Bus;
  readonly client: Client<typeof keysInterface>;
  readonly calls: KeyCalls;
  readonly #keys = new Map<string, ServedKey>();

  private constructor(rig: Rig, bus: Bus, calls: KeyCalls) {
    this.rig = rig;
    this.bus = bus;
    this.calls = calls;
    this.client = client(bus, keysService, keysInterface);
  }

  static async start(options: RigOptions = {}): Promise<ServedKeys> {
    const rig = await Rig.start(options);
    try {
      const bus = await rig.connect();
      return new ServedKeys(rig, bus, await KeyCalls.start(join(rig.directory, 'bus'), bus));
    } catch (error) {
      await rig[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** What DBUS_SYSTEM_BUS_ADDRESS must say. */
  get address(): string {
    return this.rig.address;
  }

  /** Makes a key that signs under an id. */
  async create(id: string, algorithm: TestAlgorithm): Promise<ServedKey> {
    const usages = ['sign'];
    if (imported.has(algorithm)) {
      const options = { store: 'file' };
      const material = await privateKeyOf(algorithm);
      const about = { key_id: id, format: 'pkcs8', material, algorithm: '', usages, options };
      await this.client.ImportKey(about);
    } else {
      const options = { store: 'pkcs11' };
      await this.client.CreateKeyPair({ key_id: id, algorithms: [algorithm], usages, options });
    }
    return this.read(id);
  }

  /** The key of an id, as the service has it now. */
  async read(id: string): Promise<ServedKey> {
    const { spki } = await this.client.GetPublicKey({ key_id: id, options: {} });
    const key = { spki: Buffer.from(spki) };
    this.#keys.set(id, key);
    return key;
  }

  /** The key of an id that `create` made. */
  get(id: string): ServedKey {
    const key = this.#keys.get(id);
    if (key === undefined) throw new TypeError(`no key "${id}" was made`);
    return key;
  }

  /** Stops the service in the middle of whatever it does, until the result is disposed of. */
  async pause(): Promise<Disposable> {
    await this.client.GetRandom({ count: 1, options: {} }); // starts it
    const pid = await this.rig.processOf('keys');
    if (pid === undefined) throw new Error('the Keys service does not run');
    process.kill(pid, 'SIGSTOP');
    return { [Symbol.dispose]: () => resume(pid) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.calls[Symbol.dispose]();
    await this.bus.close();
    await this.rig[Symbol.asyncDispose]();
  }
}

function resume(pid: number): void {
  try {
    process.kill(pid, 'SIGCONT');
  } catch {
    // the test ended it
  }
}

/** PKCS#8, DER. */
async function privateKeyOf(algorithm: TestAlgorithm): Promise<Buffer> {
  await mkdir(cache, { recursive: true });
  const file = join(cache, `${algorithm}.der`);
  const [kind = '', size = ''] = algorithm.split('-');
  const options =
    kind === 'ec'
      ? [
          '-algorithm',
          'EC',
          '-pkeyopt',
          `ec_paramgen_curve:${size.toUpperCase().replace('P', 'P-')}`,
        ]
      : ['-algorithm', 'RSA', '-pkeyopt', `rsa_keygen_bits:${size}`];
  const generate = ['openssl', 'genpkey', ...options, '-outform', 'DER', '-out', `${file}.new`];
  const make = `[ -s "$0" ] || { "$@" && mv "$0.new" "$0"; }`;
  await outputOf('flock', [cache, 'sh', '-c', make, file, ...generate], { timeoutMs: 120_000 });
  return readFile(file);
}
