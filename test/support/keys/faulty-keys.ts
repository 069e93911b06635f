import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Bus } from '../../../src/dbus/bus.ts';
import { defineInterface, defineService } from '../../../src/dbus/definition.ts';
import { Callers } from '../../../src/dbus/server/caller.ts';
import { ObjectManager } from '../../../src/dbus/server/object-manager.ts';
import { serve } from '../../../src/dbus/server/serve.ts';
import { ServiceError } from '../../../src/errors.ts';
import { nameParsers } from '../../../src/ids.ts';
import { keyInterface, keysInterface } from '../../../src/interfaces/keys.ts';
import { outputOf } from '../command.ts';
import { PrivateBus } from '../rig/private-bus.ts';
import { KeyCalls } from './key-calls.ts';

const { Sign, GetPublicKey, Describe } = keysInterface.methods;

const faultyKeysService = defineService({
  name: 'keys',
  doc: 'Signs with key files, for every caller.',
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

interface FaultyKey {
  readonly file: string;
  readonly spki: Buffer;
}

const keyOptions = {
  'ec-p256': ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'],
  'rsa-2048': ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048'],
} as const;

/**
 * A double of the Keys service for faults that the real one does not have: impossible replies, and errors
 * that only a broken service returns. Its signatures are made by the `openssl` command.
 */
export class FaultyKeys implements AsyncDisposable {
  readonly bus: PrivateBus;
  readonly directory: string;
  /** Runs before the reply to a call; a test injects failures here. */
  before: () => Promise<void> = () => Promise.resolve();
  /** Changes a signature, or a public key, before it is returned. */
  after: (bytes: Buffer) => Buffer = (bytes) => bytes;
  readonly calls: KeyCalls;
  readonly #keys = new Map<string, FaultyKey>();

  private constructor(bus: PrivateBus, directory: string, calls: KeyCalls) {
    this.bus = bus;
    this.directory = directory;
    this.calls = calls;
  }

  /** Serves on a private bus under the name of the real service. */
  static async start(): Promise<FaultyKeys> {
    const bus = await PrivateBus.start();
    const connection = await bus.connect();
    const directory = await mkdtemp(join(tmpdir(), 'iotedge-faulty-keys-'));
    const keys = new FaultyKeys(bus, directory, await KeyCalls.start(bus.socket, connection));
    await keys.#serve(connection);
    return keys;
  }

  /** The value for DBUS_SYSTEM_BUS_ADDRESS. */
  get address(): string {
    return this.bus.address;
  }

  async #serve(bus: Bus): Promise<void> {
    const objects = new ObjectManager(bus, faultyKeysService, '1');
    serve(bus, objects, {
      handlers: {
        Sign: async ({ key_id, mechanism, data }) => {
          await this.before();
          return { signature: this.after(await this.#sign(this.get(key_id), mechanism, data)) };
        },
        GetPublicKey: async ({ key_id }) => {
          await this.before();
          return { spki: this.after(this.get(key_id).spki) };
        },
      },
      resolvers: {},
      authorizer: { authorize: () => undefined },
      callers: await Callers.start(bus),
      names: nameParsers,
      logControl: { level: 'info', target: 'console', syslogIdentifier: 'faulty-keys' },
      observer: { onDecision: () => undefined, onFailure: () => undefined },
    });
    objects.goLive();
    await bus.requestName(faultyKeysService.busName);
  }

  /** Creates a key with an id. */
  async create(id: string, algorithm: keyof typeof keyOptions): Promise<void> {
    const file = join(this.directory, `${encodeURIComponent(id)}.pem`);
    await outputOf('openssl', ['genpkey', ...keyOptions[algorithm], '-out', file]);
    const spki = await outputOf('openssl', ['pkey', '-in', file, '-pubout', '-outform', 'DER']);
    this.#keys.set(id, { file, spki });
  }

  /** The key that `create` returned for an id. */
  get(id: string): FaultyKey {
    const key = this.#keys.get(id);
    if (key === undefined) throw new ServiceError('NotFound', `no key "${id}"`);
    return key;
  }

  #sign({ file }: FaultyKey, mechanism: string, data: Uint8Array): Promise<Buffer> {
    const hash = mechanism.slice(mechanism.lastIndexOf('-') + 1);
    const args = ['pkeyutl', '-sign', '-inkey', file, '-pkeyopt', `digest:${hash}`];
    return outputOf('openssl', args, { input: data });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.calls[Symbol.dispose]();
    await this.bus[Symbol.asyncDispose]();
    await rm(this.directory, { recursive: true, force: true });
  }
}
