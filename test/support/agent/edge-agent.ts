/**
 * edgeAgent as the runtime sees it: its requests in its order, for one deployment after the other. It remembers the last
 * deployment that it carried out whole, takes images and states from the runtime's list, and sends everything again that
 * differs, for ever. What it does not need from the runtime (twins, MQTT) is left out.
 */
import { AgentHttp, ApiError, WireError } from './agent-http.ts';
import { type DesiredModule, idOf, type ModuleSpec, moduleSpec } from './module-spec.ts';
import {
  type ListedIdentity,
  type ListedModule,
  objectOf,
  readIdentities,
  readIdentity,
  readMember,
  readModule,
  readModules,
  readResources,
  readSystemInfo,
} from './wire-forms.ts';

const managementVersion = '2022-08-03';
const workloadVersion = '2020-07-07';
const managedBy = 'IotEdge';

/** The modules of a deployment by their names, without edgeAgent. */
export type Deployment = Readonly<Record<string, DesiredModule>>;

/** Where the agent runs. */
export interface AgentPlace {
  /** The sockets as the agent reaches them. */
  readonly managementSocket: string;
  readonly workloadSocket: string;
  /** The environment of its container. */
  readonly environment: ReadonlyMap<string, string>;
}

/** What one pass over the deployment did. */
export interface Pass {
  /** Whether the runtime has what the deployment says, and nothing had to be done. */
  readonly isSettled: boolean;
  readonly errors: readonly Pick<ApiError, 'message' | 'status'>[];
}

/** The variables that edgeAgent does not start without. */
const mandatory = [
  'IOTEDGE_WORKLOADURI',
  'IOTEDGE_MANAGEMENTURI',
  'IOTEDGE_WORKLOADLISTEN_MNTURI',
  'IOTEDGE_DEVICEID',
  'IOTEDGE_MODULEID',
  'IOTEDGE_MODULEGENERATIONID',
  'IOTEDGE_IOTHUBHOSTNAME',
  'IOTEDGE_AUTHSCHEME',
  'IOTEDGE_APIVERSION',
  'EdgeDeviceHostName',
  'NetworkId',
  'Mode',
];

/** The agent of one device. */
export class EdgeAgent {
  readonly management: AgentHttp;
  readonly workload: AgentHttp;
  readonly #environment: ReadonlyMap<string, string>;
  /** The last deployment that was carried out whole. */
  #deployed: Deployment = {};
  #identities: ReadonlyMap<string, ListedIdentity> = new Map();
  #identitiesOf = '';

  constructor({ managementSocket, workloadSocket, environment }: AgentPlace) {
    for (const name of mandatory) {
      if (!environment.get(name)) throw new WireError(`the agent has no ${name}`);
    }
    this.#environment = environment;
    this.management = new AgentHttp(managementSocket, managementVersion);
    this.workload = new AgentHttp(workloadSocket, workloadVersion);
  }

  /** What it asks before it looks at its deployment. */
  async start(): Promise<void> {
    const bundle = await this.#ask('/trust-bundle');
    readMember(bundle, 'certificate');
    readMember(await this.#ask('/manifest-trust-bundle'), 'certificate', true);
    readSystemInfo(await this.#get('/systeminfo'));
    readResources(await this.#get('/systeminfo/resources'));
    const [module, generation] = [this.#of('IOTEDGE_MODULEID'), this.#generation];
    const own = `/modules/${encodeURIComponent(module)}/genid/${encodeURIComponent(generation)}`;
    const data = Buffer.from(`${this.#of('IOTEDGE_IOTHUBHOSTNAME')}\n1800000000`);
    const sign = { keyId: 'primary', algo: 'HMACSHA256', data: data.toString('base64') };
    const digest = readMember(await this.#tell(`${own}/sign`, sign), 'digest');
    if (Buffer.from(digest, 'base64').length !== 32) throw new WireError('no HMAC-SHA256');
    await this.#backUp(own, '{"modules":{}}');
  }

  /** The encrypted copy of its twin, read back. */
  async #backUp(own: string, twin: string): Promise<void> {
    const plaintext = Buffer.from(twin).toString('base64');
    const initializationVector = Buffer.from('0123456789abcdef').toString('base64');
    const encrypted = await this.#tell(`${own}/encrypt`, { plaintext, initializationVector });
    const ciphertext = readMember(encrypted, 'ciphertext');
    const decrypted = await this.#tell(`${own}/decrypt`, { ciphertext, initializationVector });
    if (readMember(decrypted, 'plaintext') !== plaintext) throw new WireError('another plaintext');
  }

  /** The modules as the runtime lists them, by name. */
  async modules(): Promise<ReadonlyMap<string, ListedModule>> {
    const listed = readModules(await this.#get('/modules'));
    return new Map(listed.map((module) => [module.name, module]));
  }

  /** The identities as the runtime lists them. */
  async identities(): Promise<readonly ListedIdentity[]> {
    return readIdentities(await this.#get('/identities/'));
  }

  /** One pass, as it does every five seconds: a failed command does not keep it from the next ones. */
  async reconcile(desired: Deployment): Promise<Pass> {
    const current = await this.modules();
    const removed = [...current.keys()].filter(
      (name) => name !== 'edgeAgent' && desired[name] === undefined,
    );
    const added = Object.keys(desired).filter((name) => !current.has(name));
    const updated = Object.keys(desired).filter((name) => {
      const module = current.get(name);
      return module !== undefined && this.#differs(name, desired, module);
    });
    const errors: ApiError[] = [];
    if (removed.length + added.length + updated.length > 0) {
      try {
        await this.#identify([...added, ...updated], removed);
      } catch (error) {
        if (error instanceof ApiError) return { isSettled: false, errors: [error] };
        throw error;
      }
    }
    const run = async (...commands: readonly (() => Promise<unknown>)[]): Promise<void> => {
      try {
        for (const command of commands) await command();
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        errors.push(error);
      }
    };
    for (const name of removed) await run(() => this.#control(name, 'stop'));
    for (const name of removed) await run(() => this.#delete(name));
    for (const name of added) {
      const module = moduleOf(desired, name);
      await run(
        () => this.#prepare(name, module),
        () => this.#create(name, module),
        ...this.#starts(name, module),
      );
    }
    for (const name of updated) {
      const module = moduleOf(desired, name);
      await run(
        () => this.#prepare(name, module),
        () => this.#prepare(name, module),
        () => this.#control(name, 'stop'),
        () => this.#update(name, module),
        ...this.#starts(name, module),
      );
    }
    let isChanged = removed.length + added.length + updated.length > 0;
    for (const [name, { status = 'running' }] of Object.entries(desired)) {
      const module = current.get(name);
      if (module === undefined || updated.includes(name) || isAs(module, status)) continue;
      isChanged = true;
      await run(() => this.#control(name, status === 'running' ? 'start' : 'stop'));
    }
    if (errors.length === 0) this.#deployed = desired;
    return { isSettled: !isChanged && errors.length === 0, errors };
  }

  /** Replaces itself: it is ended by that. */
  async updateSelf(module: DesiredModule): Promise<void> {
    await this.#prepare('edgeAgent', module);
    await this.#update('edgeAgent', module, { start: 'true' });
  }

  /** The hub says that the device has moved. */
  async reprovision(): Promise<void> {
    const statuses = [200, 204];
    await this.management.call({ method: 'POST', path: '/device/reprovision', statuses });
  }

  #differs(name: string, desired: Deployment, { image }: ListedModule): boolean {
    const [{ status: _to, ...wanted }, was] = [moduleOf(desired, name), this.#deployed[name]];
    const { status: _from, ...known } = was ?? { image };
    return image !== wanted.image || JSON.stringify({ ...known, image }) !== JSON.stringify(wanted);
  }

  /** The identities of the modules; asked again only when the difference is another one. */
  async #identify(changed: readonly string[], removed: readonly string[]): Promise<void> {
    const difference = JSON.stringify([changed, removed]);
    if (difference === this.#identitiesOf) return;
    const listed = new Map((await this.identities()).map((one) => [one.moduleId, one]));
    const ofEdge = ({ managedBy: by }: ListedIdentity) => by.toLowerCase() === 'iotedge';
    await Promise.all(
      removed.map(idOf).map(async (id) => {
        const identity = listed.get(id);
        if (identity === undefined || !ofEdge(identity)) return;
        const path = `/identities/${encodeURIComponent(id)}`;
        await this.management.call({ method: 'DELETE', path, statuses: [204] });
        listed.delete(id);
      }),
    );
    const made = await Promise.all(
      changed.map(idOf).map((id) => this.#register(id, listed.get(id))),
    );
    for (const identity of made) listed.set(identity.moduleId, identity);
    this.#identities = listed;
    this.#identitiesOf = difference;
  }

  async #register(id: string, known: ListedIdentity | undefined): Promise<ListedIdentity> {
    const wanted =
      known === undefined
        ? ({ method: 'POST', path: '/identities/', json: { moduleId: id, managedBy } } as const)
        : ({
            method: 'PUT',
            path: `/identities/${encodeURIComponent(id)}`,
            json: { generationId: known.generationId, managedBy: known.managedBy },
          } as const);
    return readIdentity(await this.management.json({ ...wanted, statuses: [200] }));
  }

  async #prepare(name: string, module: DesiredModule): Promise<void> {
    const path = `/modules/${name}/prepareupdate`;
    const json = this.#spec(name, module);
    await this.management.call({ method: 'POST', path, json, statuses: [204] });
  }

  async #create(name: string, module: DesiredModule): Promise<void> {
    const json = this.#spec(name, module);
    const wanted = { method: 'POST', path: '/modules', json, statuses: [201] } as const;
    this.#checkAnswer(await this.management.json(wanted), json);
  }

  async #update(name: string, module: DesiredModule, query = {}): Promise<void> {
    const json = this.#spec(name, module);
    const wanted = { method: 'PUT', path: `/modules/${name}`, json, query } as const;
    this.#checkAnswer(await this.management.json({ ...wanted, statuses: [200, 201] }), json);
  }

  /** It repeats what was sent, but no credentials. */
  #checkAnswer(answer: unknown, spec: ModuleSpec): void {
    readModule(answer);
    const { settings } = objectOf(objectOf(answer, 'the answer')['config'], 'config');
    const { auth: _auth, ...sent } = spec.config.settings;
    if (JSON.stringify(settings) !== JSON.stringify(sent)) {
      throw new WireError(`the answer has other settings: ${JSON.stringify(settings)}`);
    }
  }

  #starts(name: string, { status = 'running' }: DesiredModule) {
    return status === 'running' ? [() => this.#control(name, 'start')] : [];
  }

  async #control(name: string, verb: 'start' | 'stop' | 'restart'): Promise<void> {
    const path = `/modules/${name}/${verb}`;
    await this.management.call({ method: 'POST', path, statuses: [204, 304] });
  }

  async #delete(name: string): Promise<void> {
    await this.management.call({ method: 'DELETE', path: `/modules/${name}`, statuses: [204] });
  }

  #spec(name: string, module: DesiredModule): ModuleSpec {
    const generationId = this.#identities.get(idOf(name))?.generationId ?? this.#generation;
    return moduleSpec({ name, generationId, environment: this.#environment }, module);
  }

  get #generation(): string {
    return this.#of('IOTEDGE_MODULEGENERATIONID');
  }

  #of(name: string): string {
    return this.#environment.get(name) ?? '';
  }

  #get(path: string): Promise<unknown> {
    return this.management.json({ method: 'GET', path, statuses: [200] });
  }

  #ask(path: string): Promise<unknown> {
    return this.workload.json({ method: 'GET', path, statuses: [200] });
  }

  #tell(path: string, json: object): Promise<unknown> {
    return this.workload.json({ method: 'POST', path, json, statuses: [200] });
  }
}

function moduleOf(deployment: Deployment, name: string): DesiredModule {
  const module = deployment[name];
  if (module === undefined) throw new TypeError(`no module ${name}`);
  return module;
}

/** Whether a module is as a deployment wants it; one that ended with a failure waits for its policy. */
function isAs({ status }: ListedModule, wanted: 'running' | 'stopped'): boolean {
  return wanted === 'running' ? status !== 'stopped' : status !== 'running';
}
