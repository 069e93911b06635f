import { createHmac } from 'node:crypto';
import { join } from 'node:path';
import type { Properties } from '../../../src/dbus/definition.ts';
import { ServiceError } from '../../../src/errors.ts';
import type { modulesInterface } from '../../../src/interfaces/modules.ts';
import type { Clients } from '../../../src/modules/clients.ts';
import { modulesSchema, parseModulesConfig } from '../../../src/modules/config.ts';
import { createOptionsSchema } from '../../../src/modules/create-options-schema.ts';
import { DockerEngine } from '../../../src/modules/docker/docker-engine.ts';
import { Identities, type ModuleIdentity } from '../../../src/modules/identities.ts';
import { prepare } from '../../../src/modules/prepare.ts';
import { Records } from '../../../src/modules/records.ts';
import { ModuleRuntime, type Publisher } from '../../../src/modules/runtime.ts';
import { workloadBackend } from '../../../src/modules/workload-backend.ts';
import { compile } from '../../../src/service/schema-validator.ts';
import { TestAuthority } from './test-authority.ts';

/** What a test runtime is started with. */
export interface TestRuntimeOptions {
  /** As in modules.yaml. */
  readonly config: Record<string, unknown>;
  readonly stateDir: string;
  readonly identityFailure?: ServiceError;
}

type ManagerProperties = Partial<Properties<typeof modulesInterface>>;

/** A module runtime on a real engine, without a bus: the other three services are in this process. */
export class TestRuntime implements AsyncDisposable {
  readonly authority: TestAuthority;
  readonly runtime: ModuleRuntime;
  readonly published = new Map<string, Parameters<Publisher['put']>[1]>();
  manager: ManagerProperties = {};
  identityFailure: ServiceError | undefined;
  #stopped = false;

  private constructor(authority: TestAuthority, records: Records, options: TestRuntimeOptions) {
    this.authority = authority;
    this.identityFailure = options.identityFailure;
    this.runtime = this.#build(records, options);
  }

  /** A runtime that looks after its modules. */
  static async start(options: TestRuntimeOptions): Promise<TestRuntime> {
    const records = await Records.open(options.stateDir);
    const world = new TestRuntime(await TestAuthority.create(), records, options);
    await world.runtime.open();
    world.runtime.publishAll();
    world.runtime.start();
    return world;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    await this.runtime[Symbol.asyncDispose]();
    await this.authority[Symbol.asyncDispose]();
  }

  #build(records: Records, { config: raw, stateDir }: TestRuntimeOptions): ModuleRuntime {
    const problems = compile(modulesSchema)(raw);
    if (problems.length > 0) throw new TypeError(JSON.stringify(problems));
    const report = (path: readonly unknown[], message: string): never => {
      throw new TypeError(`${path.join('.')}: ${message}`);
    };
    const config = parseModulesConfig(raw, { sources: [], sourceOf: () => undefined, report });
    const clients = this.#clients();
    const now = () => new Date();
    const identities = new Identities(clients.identity, now);
    const check = compile(createOptionsSchema);
    const validate = (value: unknown) =>
      check(value).map((one) => `${one.instancePath} ${one.message}`);
    const socketsPath = join(stateDir, 'mnt');
    return new ModuleRuntime({
      config,
      engine: new DockerEngine(config.engineSocket),
      records,
      socketsPath,
      prepare: (source, signal) =>
        prepare({ config, identities, validate, socketsPath }, source, signal),
      backend: (directory) =>
        workloadBackend({
          config,
          clients,
          identities,
          modules: () => directory.modules().map((module) => module.summary()),
          aliases: (name) => directory.find(name)?.aliases ?? [],
          now,
        }),
      publisher: {
        put: (name, properties) => this.published.set(name, properties),
        remove: (name) => this.published.delete(name),
        manager: (values) => {
          this.manager = { ...this.manager, ...values };
        },
      },
      now,
      log: { error: () => {}, warn: () => {}, info: () => {}, debug: () => {} },
    });
  }

  #clients(): Clients {
    const known = new Set<string>();
    const identity = (moduleId: string): { identity: ModuleIdentity } => ({
      identity: identityOf(moduleId),
    });
    const answers = {
      GetModuleIdentity: ({ module_id }: { module_id: string }) => {
        if (known.has(module_id)) return Promise.resolve(identity(module_id));
        return Promise.reject(new ServiceError('NotFound', 'no such module'));
      },
      CreateModuleIdentity: ({ module_id }: { module_id: string }) => {
        if (this.identityFailure !== undefined) return Promise.reject(this.identityFailure);
        known.add(module_id);
        return Promise.resolve(identity(module_id));
      },
      Sign: ({
        data,
        options,
      }: {
        data: Buffer;
        options?: { derivation?: Buffer | undefined };
      }) => {
        const key = `key of ${options?.derivation?.toString()}`;
        return Promise.resolve({ signature: createHmac('sha256', key).update(data).digest() });
      },
      Encrypt: ({ input }: { input: Buffer }) => Promise.resolve({ output: Buffer.from(input) }),
      Decrypt: ({ input }: { input: Buffer }) => Promise.resolve({ output: Buffer.from(input) }),
      Issue: async ({ csr }: { csr: Buffer }) => ({ chain_pem: await this.authority.issue(csr) }),
      GetTrustBundle: () => Promise.resolve({ pem: this.authority.certificatePem }),
    };
    // The few methods that the runtime uses.
    return { keys: answers, certificates: answers, identity: answers } as unknown as Clients;
  }
}

function identityOf(moduleId: string): ModuleIdentity {
  return {
    kind: 'module',
    hub_hostname: 'hub.example',
    gateway_hostname: '',
    device_id: 'device',
    module_id: moduleId,
    generation_id: `generation-${moduleId}`,
    auth: 'sas',
    key_id: 'iotedge/module-identities',
    derivation: Buffer.from(moduleId),
    certificate_id: '',
  };
}
