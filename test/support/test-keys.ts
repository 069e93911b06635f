import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Bus } from '../../src/dbus/bus.ts';
import { Callers } from '../../src/dbus/caller.ts';
import { defineInterface, defineService } from '../../src/dbus/definition.ts';
import { serve } from '../../src/dbus/serve.ts';
import { ServiceError } from '../../src/errors.ts';
import { nameParsers } from '../../src/ids.ts';
import { keyInterface, keysInterface } from '../../src/interfaces/keys.ts';
import { outputOf } from './command.ts';

const { Sign, GetPublicKey, Describe } = keysInterface.methods;

const testKeysService = defineService({
  name: 'keys',
  doc: 'Signs with key files, for whoever asks.',
  busName: 'org.iotedge.Keys1',
  path: '/org/iotedge/Keys1',
  user: 'root',
  actions: { 'org.iotedge.keys1.sign': { description: 'Sign', message: 'Sign' } },
  manager: defineInterface({
    name: 'org.iotedge.Keys1',
    doc: 'Signs.',
    methods: { Sign, GetPublicKey, Describe },
    properties: keysInterface.properties,
  }),
  child: { segment: 'key', interface: keyInterface },
});

/** One call of Sign, as it arrived. */
export interface SignCall {
  readonly keyId: string;
  readonly mechanism: string;
  readonly length: number;
  readonly prehashed: boolean | undefined;
}

interface TestKey {
  readonly file: string;
  readonly spki: Buffer;
}

const keyOptions = {
  'ec-p256': ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'],
  'ec-p384': ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-384'],
  'ec-p521': ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-521'],
  'rsa-2048': ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048'],
  'rsa-3072': ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:3072'],
  ed25519: ['-algorithm', 'ED25519'],
} as const;

/** What kinds of key a test may ask for. */
export type TestAlgorithm = keyof typeof keyOptions;

/** org.iotedge.Keys1 reduced to Sign and GetPublicKey, over key files and the `openssl` command. */
export class TestKeys implements AsyncDisposable {
  readonly directory: string;
  /** Every call of Sign so far. */
  readonly calls: SignCall[] = [];
  /** The id of the request that each of them served. */
  readonly requestIds: string[] = [];
  /** What happens before a call is answered; a test puts delays and failures here. */
  before: () => Promise<void> = () => Promise.resolve();
  /** What becomes of a signature on its way out. */
  after: (signature: Buffer) => Buffer = (signature) => signature;
  readonly #keys = new Map<string, TestKey>();

  private constructor(directory: string) {
    this.directory = directory;
  }

  /** Serves on a bus under the name of the real service. */
  static async start(bus: Bus): Promise<TestKeys> {
    const keys = new TestKeys(await mkdtemp(join(tmpdir(), 'iotedge-test-keys-')));
    const server = serve(bus, testKeysService, {
      handlers: {
        Sign: async ({ key_id, mechanism, data, options }, { requestId }) => {
          const { prehashed, public_key: digest } = options;
          keys.calls.push({ keyId: key_id, mechanism, length: data.length, prehashed });
          keys.requestIds.push(requestId);
          await keys.before();
          const key = keys.#find(key_id, digest);
          return { signature: keys.after(await keys.#sign(key, mechanism, data)) };
        },
        GetPublicKey: async ({ key_id }) => {
          await keys.before();
          return { spki: keys.#find(key_id).spki };
        },
      },
      resolvers: {},
      properties: { Version: '1', Health: 'ok', LastError: '' },
      authorizer: { authorize: () => undefined },
      callers: await Callers.start(bus),
      names: nameParsers,
      logControl: { level: 'info', target: 'console', syslogIdentifier: 'test-keys' },
      observer: { decided: () => undefined, failed: () => undefined },
    });
    server.goLive();
    await bus.requestName(testKeysService.busName);
    return keys;
  }

  /** Makes a key under an id; its file is for tests that compare with an ordinary key. */
  async create(id: string, algorithm: TestAlgorithm): Promise<TestKey> {
    const file = join(this.directory, `${encodeURIComponent(id)}.pem`);
    await outputOf('openssl', ['genpkey', ...keyOptions[algorithm], '-out', file]);
    const spki = await outputOf('openssl', ['pkey', '-in', file, '-pubout', '-outform', 'DER']);
    const key = { file, spki };
    this.#keys.set(id, key);
    return key;
  }

  /** The key of an id that `create` made. */
  get(id: string): TestKey {
    return this.#find(id);
  }

  #find(id: string, digest?: Uint8Array): TestKey {
    const key = this.#keys.get(id);
    if (key === undefined) throw new ServiceError('NotFound', `no key "${id}"`);
    const own = createHash('sha256').update(key.spki).digest();
    if (digest !== undefined && !own.equals(digest)) {
      throw new ServiceError('NotFound', `the key "${id}" was replaced`);
    }
    return key;
  }

  async #sign({ file }: TestKey, mechanism: string, data: Uint8Array): Promise<Buffer> {
    const args = ['pkeyutl', '-sign', '-inkey', file];
    if (mechanism === 'ed25519') {
      const input = join(this.directory, `${this.calls.length}.message`);
      await writeFile(input, data);
      return outputOf('openssl', [...args, '-rawin', '-in', input]);
    }
    const hash = mechanism.slice(mechanism.lastIndexOf('-') + 1);
    args.push('-pkeyopt', `digest:${hash}`);
    if (mechanism.startsWith('rsa-pss')) {
      args.push('-pkeyopt', 'rsa_padding_mode:pss', '-pkeyopt', 'rsa_pss_saltlen:digest');
    }
    return outputOf('openssl', args, { input: data });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.directory, { recursive: true, force: true });
  }
}
