/**
 * The Identity service in the process of a test, with the Keys service, without a bus and without TLS: a test inspects
 * its requests to the cloud and to the Keys service, its properties and its log, and sets the clock.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Bus } from '../../../src/dbus/bus.ts';
import type { CallContext } from '../../../src/dbus/server/call.ts';
import type { Variant } from '../../../src/dbus/wire/variant.ts';
import { ServiceError } from '../../../src/errors.ts';
import type { HttpsClient } from '../../../src/https/https-client.ts';
import type { HttpsRequest, HttpsResponse } from '../../../src/https/https-request.ts';
import {
  type IdentityConfig,
  identitySchema,
  parseIdentityConfig,
} from '../../../src/identity/config/config.ts';
import { moduleBaseKey } from '../../../src/identity/hub/module-keys.ts';
import { startIdentity } from '../../../src/identity/start.ts';
import { parseModuleId } from '../../../src/ids.ts';
import { identityService } from '../../../src/interfaces/identity.ts';
import { Cleanup } from '../../../src/service/cleanup.ts';
import { loadConfig } from '../../../src/service/config/config.ts';
import type { StartedService } from '../../../src/service/service-program.ts';
import { SystemdSockets } from '../../../src/service/systemd/sockets.ts';
import { encodeCertificatesPem } from '../../../src/x509/certificate.ts';
import { CloudRefusal, type CloudRequest, type CloudResponse } from '../cloud/exchange.ts';
import { Provisioning } from '../cloud/provisioning.ts';
import { Registry } from '../cloud/registry.ts';
import { FileKeys } from '../keys/file-keys.ts';
import { type LogLine, recordingLog } from '../log.ts';
import { ShownObjects } from '../wire/shown-objects.ts';
import { makeCa, makeKey } from '../x509/openssl.ts';

type Identity = StartedService<typeof identityService, IdentityConfig>;
type Handlers = Identity['handlers'];

export const hubName = 'hub.example:8883';
export const registrationId = 'pump-1';
const scopeId = '0ne1';

/** A call of another service. */
export interface OutgoingCall {
  readonly member: string;
  readonly args: readonly unknown[];
  readonly requestId: string | undefined;
  /** The reply with the callee's own buffers. */
  readonly reply: readonly unknown[];
}

/** The cloud at its two hosts, which assigns a registration at once. */
export class PlainCloud {
  readonly requests: HttpsRequest[] = [];
  readonly registry = new Registry(() => hubName);
  /** Responds in place of the cloud services; undefined leaves the request to them. */
  interfere:
    | ((request: HttpsRequest) => CloudResponse | undefined | Promise<CloudResponse | undefined>)
    | undefined;
  /** The hub that devices are assigned to. */
  hub = hubName;
  /** The value of the Date header; no header when undefined. */
  date: Date | undefined;
  readonly #provisioning: Provisioning;

  constructor() {
    this.#provisioning = new Provisioning({
      scopeId,
      enrollments: new Map([
        [registrationId, { deviceId: registrationId }],
        ['pump-2', { deviceId: 'pump-2' }],
      ]),
      assigningPolls: 0,
      retryAfterS: 1,
      assign: (id, { deviceId }) => {
        this.registry.assign(deviceId, { certificateName: id });
        return this.hub;
      },
    });
  }

  async request(request: HttpsRequest, signal: AbortSignal): Promise<HttpsResponse> {
    this.requests.push(request);
    const {
      status,
      headers = {},
      body,
    } = (await unlessAborted(signal, this.interfere?.(request))) ?? this.#respond(request);
    const text = body === undefined ? '' : JSON.stringify(body);
    const date = this.date === undefined ? {} : { date: this.date.toUTCString() };
    return { status, headers: { ...date, ...headers }, body: Buffer.from(text) };
  }

  registrations(): number {
    return this.requests.filter(({ url }) => url.includes('/register?')).length;
  }

  #respond(request: HttpsRequest): CloudResponse {
    const url = new URL(request.url);
    const cloudRequest: CloudRequest = {
      method: request.method,
      path: url.pathname.slice(1).split('/').map(decodeURIComponent),
      query: url.searchParams,
      headers: { ...request.headers },
      body: request.body === undefined ? undefined : JSON.parse(String(request.body)),
      certificate: {
        commonName: decodeURIComponent(
          /registrations\/([^/]+)/.exec(request.url)?.[1] ?? registrationId,
        ),
        thumbprint: '',
        trusted: request.clientCertificate !== undefined,
      },
      now: new Date(),
    };
    try {
      if (!Provisioning.serves(cloudRequest.path)) return this.registry.respond(cloudRequest);
      const accepted = this.#provisioning.respond(cloudRequest);
      const { operationId } = accepted.body as { readonly operationId: string };
      const path = [...cloudRequest.path.slice(0, 3), 'operations', operationId];
      return this.#provisioning.respond({ ...cloudRequest, method: 'GET', path });
    } catch (error) {
      if (error instanceof CloudRefusal) return error.response;
      throw error;
    }
  }
}

/** The value, unless the request is aborted first. */
function unlessAborted<T>(signal: AbortSignal, value: T | Promise<T>): Promise<T> {
  const abandoned = new Promise<never>((_resolve, reject) => {
    const abandon = (): void => reject(new ServiceError('Cancelled', 'the request was given up'));
    if (signal.aborted) abandon();
    signal.addEventListener('abort', abandon, { once: true });
  });
  return Promise.race([value, abandoned]);
}

/** The Keys service in the same process, on keys in files, and the calls that it received. */
class RecordingKeys implements AsyncDisposable {
  readonly calls: OutgoingCall[] = [];
  readonly #keys: FileKeys;

  constructor(keys: FileKeys) {
    this.#keys = keys;
  }

  /** The key derived from the base key of the modules. */
  derived(derivation: string): Promise<Buffer> {
    return this.#keys.export(moduleBaseKey, 'raw', { derivation: Buffer.from(derivation) });
  }

  async call({ member, body }: { readonly member: string; readonly body: readonly unknown[] }) {
    const options = Object.entries(body.at(-1) as Record<string, Variant>); // type a{sv}
    const plain = Object.fromEntries(options.map(([name, { value }]) => [name, value]));
    const reply = await this.#keys.call(member, body);
    const requestId = plain['request_id'] as string | undefined; // typed by the interface table
    this.calls.push({ member, args: [...body.slice(0, -1), plain], requestId, reply });
    return reply;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#keys[Symbol.asyncDispose]();
  }
}

/** A currently valid certificate with this common name, in PEM. */
export async function certificateOf(name: string): Promise<string> {
  return encodeCertificatesPem([await makeCa({ name: `CN=${name}`, key: makeKey('ec-p256') })]);
}

export interface IdentityInProcessOptions {
  /** Top-level YAML, appended to identity.yaml. */
  readonly yaml?: string;
  /** Members of `provisioning`. */
  readonly provisioning?: string;
  /** Whether the file contains only `yaml`. */
  readonly bare?: boolean;
  /** Whether the name is acquired, so that due work begins; default true. */
  readonly live?: boolean;
}

/** A device whose service can be stopped and restarted. */
export class IdentityInProcess implements AsyncDisposable {
  readonly directory: string;
  readonly cloud = new PlainCloud();
  readonly keys: RecordingKeys;
  readonly log: LogLine[] = [];
  shown = new ShownObjects(identityService);
  /** The device's clock. */
  clock: () => number = Date.now;
  /** The random numbers of its back-off. */
  random: () => number = Math.random;
  #running: Identity | undefined;
  #current: Pick<Identity, 'handlers'> | undefined;
  #cleanup = new Cleanup();
  #working = new AbortController();

  private constructor(directory: string, keys: RecordingKeys) {
    this.directory = directory;
    this.keys = keys;
  }

  /** A device whose service has not started yet, with a certificate in a file. */
  static async create(): Promise<IdentityInProcess> {
    const directory = await mkdtemp(join(tmpdir(), 'iotedge-identity-'));
    const device = new IdentityInProcess(directory, new RecordingKeys(await FileKeys.start()));
    await writeFile(device.rootFile, await certificateOf('root'));
    await device.certify(registrationId);
    return device;
  }

  get rootFile(): string {
    return join(this.directory, 'root.pem');
  }

  get certificateFile(): string {
    return join(this.directory, 'device.cer');
  }

  get stateDir(): string {
    return join(this.directory, 'state');
  }

  /** Issues another certificate to the device. */
  async certify(name: string): Promise<string> {
    const certificate = await certificateOf(name);
    await writeFile(this.certificateFile, certificate);
    return certificate;
  }

  readonly now = (): Date => new Date(this.clock());

  async config({ yaml = '', provisioning = '', bare = false }: IdentityInProcessOptions = {}) {
    const dir = this.directory;
    const text = bare
      ? yaml
      : `provisioning:
  source: dps
  scope_id: '${scopeId}'
  attestation:
    method: x509
    identity_cert: 'file://${this.certificateFile}'
    identity_pk: 'key://device-id'
${provisioning}
${yaml.includes('cloud:') ? '' : `cloud: { trusted_ca: '${this.rootFile}' }`}
${yaml}
`;
    await writeFile(join(dir, 'identity.yaml'), text);
    const source = { dir, service: 'identity', schema: identitySchema };
    return loadConfig({ ...source, parse: parseIdentityConfig });
  }

  /** Starts or restarts the service. */
  async start(options: IdentityInProcessOptions = {}): Promise<Identity> {
    const log = recordingLog((line) => this.log.push(line));
    this.#cleanup = new Cleanup();
    this.#working = new AbortController();
    this.shown = new ShownObjects(identityService, '1.2.3');
    const running = await startIdentity(
      {
        // only `call` is used
        objects: this.shown,
        bus: { call: async (message: never) => this.keys.call(message) } as unknown as Bus,
        config: await this.config(options),
        stateDir: this.stateDir,
        log,
        signal: this.#working.signal,
        cleanup: this.#cleanup,
        now: this.now,
        startedAt: new Date(),
        version: '1.2.3',
        sockets: new SystemdSockets({}, { notify: () => false, log }),
      },
      // only `request` is used
      this.cloud as unknown as HttpsClient,
      () => this.random(),
    );
    this.#running = running;
    this.#current = running;
    if (options.live !== false) running.onNameAcquired?.();
    return running;
  }

  get running(): Identity {
    if (this.#running === undefined) throw new TypeError('the service is not started');
    return this.#running;
  }

  /** Applies another configuration, as on SIGHUP; returns the disposal due after the last earlier call. */
  async reload(options: IdentityInProcessOptions): Promise<() => Promise<void> | void> {
    const { retire, ...changed } = (await this.running.reload?.(await this.config(options))) ?? {};
    this.#current = { ...this.running, ...changed };
    return retire ?? (() => undefined);
  }

  /** Stops the service in an orderly way. */
  async stop(): Promise<void> {
    await this.#cleanup[Symbol.asyncDispose]();
    this.#working.abort();
    this.#running = undefined;
  }

  /** Calls a method with validated arguments, as authorized. */
  async call<Name extends keyof Handlers>(
    name: Name,
    args: object = {},
    context: Partial<CallContext> & { readonly uid?: number } = {},
  ): Promise<Awaited<ReturnType<Handlers[Name]>>> {
    const call = this.#context(context);
    // the dispatcher parses the ids that the table checks
    if (name !== 'CreateSasToken' && 'module_id' in args) parseModuleId(String(args.module_id));
    const handler = (this.#current ?? this.running).handlers[name] as (
      args: object,
      call: object,
    ) => Promise<Awaited<ReturnType<Handlers[Name]>>>;
    return handler({ options: {}, ...args }, call);
  }

  #context({
    uid = 0,
    ...rest
  }: Partial<CallContext> & { readonly uid?: number } = {}): CallContext {
    const caller = { sender: ':1.7', uid, gids: [], pid: undefined };
    const signal = new AbortController().signal;
    const more = { interactive: false, startedAt: performance.now() };
    return {
      caller,
      member: '',
      requestId: 'asked',
      signal,
      cancellation: signal,
      ...more,
      ...rest,
    };
  }

  /** Cancels an operation, as an authorized call of Cancel does. */
  async cancel(id: string): Promise<void> {
    const call = this.#context();
    const { resolvers } = this.running;
    await resolvers.Cancel({ id, options: {} }, call);
    await this.#current?.handlers.Cancel({ id, options: {} }, call);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#running !== undefined) await this.stop();
    await this.keys[Symbol.asyncDispose]();
    await rm(this.directory, { recursive: true, force: true });
  }
}
