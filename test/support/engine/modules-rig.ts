import { Variant } from '../../../src/dbus/wire/variant.ts';
import { modulesService } from '../../../src/interfaces/modules.ts';
import { owner, ownerLabel } from '../../../src/modules/docker/labels.ts';
import { connectAs } from '../clients/connect-as.ts';
import type { Cloud } from '../cloud/cloud.ts';
import { untilFound } from '../deadline.ts';
import { failureOf } from '../failure.ts';
import { Rig } from '../rig/rig.ts';
import { startRigCloud, useCloud } from '../rig/rig-cloud.ts';
import { identityOf, type RigUser } from '../rig/rig-users.ts';
import type { CommandResult } from '../system/namespace.ts';
import { importBusybox } from './images.ts';
import { PrivateEngine } from './private-engine.ts';

/** The body of a call on the bus. */
export interface RawCall {
  readonly signature: string;
  readonly body: readonly unknown[];
}

/** The engine of a rig. */
export interface RigEngine {
  /** Its name in the directory of the engine; the service connects to `docker.sock`. */
  readonly socket?: string;
  /** Of the command line of dockerd. */
  readonly options?: readonly string[];
}

/** For many calls at once, which end together, also on a busy machine. */
const togetherMs = 300_000;
const { busName, path, child, manager } = modulesService;

/** The Module Runtime on a rig with an engine and a cloud, as on a device. */
export class ModulesRig implements AsyncDisposable {
  /** Holds busybox. */
  static readonly image = 'localhost/busybox:1';
  readonly rig: Rig;
  readonly machine: PrivateEngine;
  readonly cloud: Cloud;

  private constructor(rig: Rig, machine: PrivateEngine, cloud: Cloud) {
    this.rig = rig;
    this.machine = machine;
    this.cloud = cloud;
  }

  /**
   * Starts everything except the services, which are activated by calls. Settings as in modules.yaml. With another name
   * than `docker.sock` the engine is reached by a proxy only, which the caller starts.
   */
  static async start(
    modules: object,
    { socket = 'docker.sock', options }: RigEngine = {},
  ): Promise<ModulesRig> {
    const rig = await Rig.start({ settings: { modules } });
    const cloud = await startRigCloud(rig);
    await useCloud(rig, cloud);
    const machine = await PrivateEngine.start(`${rig.directory}/engine/${socket}`, options);
    await importBusybox(machine, ModulesRig.image);
    return new ModulesRig(rig, machine, cloud);
  }

  /** Starts the service if it does not run, and waits for its agent. */
  async agentRuns(): Promise<void> {
    await this.succeed('Describe', ['a{sv}', '0']);
    await this.untilState('edgeAgent', 'running');
  }

  /** Restarts the service with other settings. */
  async restart(settings: object): Promise<void> {
    await this.rig.configure('modules', settings);
    await this.rig.stop('modules');
    await this.succeed('Describe', ['a{sv}', '0']);
  }

  /** The names and states of all containers of the runtime. */
  async containers(): Promise<readonly string[]> {
    const filter = `label=${ownerLabel}=${owner}`;
    const format = '{{.Names}} {{.State}}';
    const lines = await this.machine.docker('ps', '-a', '--filter', filter, '--format', format);
    return lines.split('\n').filter(Boolean).toSorted();
  }

  /** Calls a method by busctl. */
  call(method: string, args: readonly string[], user?: RigUser): Promise<CommandResult> {
    const to = [busName, path, manager.name, method];
    return this.rig.busctl(['call', '--timeout=60', ...to, ...args], user);
  }

  /** The output of an operator's call; throws when it fails. */
  async succeed(method: string, args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.call(method, args, 'operator');
    if (code !== 0) throw new Error(`${method}: ${stderr}`);
    return stdout;
  }

  /** The reply of a call; one at a time. */
  async invoke(
    member: string,
    { signature, body }: RawCall,
    user: 'alice' | 'operator' = 'operator',
  ): Promise<readonly unknown[]> {
    await using bus = await connectAs(this.rig.address, identityOf(user));
    const to = { destination: busName, path, interface: manager.name };
    return await bus.call({ ...to, member, signature, body });
  }

  /** The code of the error of a call, `no failure` when it succeeds; one at a time. */
  async errorOf(...call: Parameters<ModulesRig['invoke']>): Promise<string> {
    return failureOf(this.invoke(...call));
  }

  /** As `errorOf`, for calls by root that reach the service together, in this order: none waits for polkit. */
  async errorsOf(member: string, calls: readonly RawCall[]): Promise<readonly string[]> {
    await using bus = await this.rig.connect();
    const to = { destination: busName, path, interface: manager.name, member };
    const options = { timeoutMs: togetherMs };
    return await Promise.all(calls.map((call) => failureOf(bus.call({ ...to, ...call }, options))));
  }

  /** The properties of the manager, read by an unprivileged user. */
  manager(): Promise<Readonly<Record<string, unknown>>> {
    return this.#properties(path, manager.name);
  }

  /** The properties of a module, read by an unprivileged user. */
  module(name: string): Promise<Readonly<Record<string, unknown>>> {
    return this.#properties(`${path}/${child.segment}/${name}`, child.interface.name);
  }

  /** The properties of a module once they fit. */
  untilModule(name: string, fits: (module: Readonly<Record<string, unknown>>) => boolean) {
    return untilFits(() => this.module(name), fits);
  }

  /** The properties of a module once it is in a state. */
  untilState(name: string, state: string) {
    return this.untilModule(name, ({ State }) => State === state);
  }

  /** The properties of the manager once they fit. */
  untilManager(fits: (manager: Readonly<Record<string, unknown>>) => boolean) {
    return untilFits(() => this.manager(), fits);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.machine[Symbol.asyncDispose]();
    await this.rig[Symbol.asyncDispose]();
    await this.cloud[Symbol.asyncDispose]();
  }

  async #properties(object: string, name: string): Promise<Readonly<Record<string, unknown>>> {
    await using bus = await connectAs(this.rig.address, identityOf('alice'));
    const [values] = await bus.call({
      destination: busName,
      path: object,
      interface: 'org.freedesktop.DBus.Properties',
      member: 'GetAll',
      signature: 's',
      body: [name],
    });
    return plain(values);
  }
}

function plain(values: unknown): Readonly<Record<string, unknown>> {
  const entries = Object.entries(values ?? {}).map(
    ([key, value]) => [key, value instanceof Variant ? value.value : value] as const,
  );
  return Object.fromEntries(entries);
}

async function untilFits(
  read: () => Promise<Readonly<Record<string, unknown>>>,
  fits: (properties: Readonly<Record<string, unknown>>) => boolean,
): Promise<Readonly<Record<string, unknown>>> {
  let properties: Readonly<Record<string, unknown>> = {};
  return untilFound(
    180_000,
    () => `other properties than ${JSON.stringify(properties, shown)}`,
    async () => {
      properties = await read().catch((error: unknown) => ({ error: String(error) }));
      return fits(properties) ? properties : undefined;
    },
  );
}

function shown(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value;
}
