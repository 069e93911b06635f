import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ServiceError } from '../../../src/errors.ts';
import { parseModuleName } from '../../../src/ids.ts';
import type { ConnectionLimits } from '../../../src/modules/api/http/connections.ts';
import type { HoldLimits } from '../../../src/modules/api/http/hold.ts';
import { apiServer, type RequestRecord } from '../../../src/modules/api/http/http.ts';
import { createSocketDirectory, serveSocket } from '../../../src/modules/api/http/socket.ts';
import type { SendLimits } from '../../../src/modules/api/http/unsent.ts';
import { type ModuleSummary, moduleList } from '../../../src/modules/api/module-list.ts';
import {
  type WorkloadBackend,
  workloadRoutes,
} from '../../../src/modules/api/workload/workload.ts';
import { ownLimits } from './limits.ts';

/** The end of validity of all certificates. */
export const notAfter = new Date('2026-02-01T00:00:00Z');
/** The query of a supported version. */
export const version = 'api-version=2018-06-28';
/** The path of the resources that depend on the generation of the module's identity. */
export const genid = '/modules/%24edgeAgent/genid/gen%2F1';

const modules: readonly ModuleSummary[] = [
  {
    name: 'hub',
    type: 'docker',
    image: 'hub:1',
    labels: { mine: 'x', 'net.azure-devices.edge.env': 'SECRET=1' },
    status: { runtimeStatus: 'failed', startTime: notAfter, exit: { code: 3, time: notAfter } },
  },
];

/** A backend whose results contain the arguments. */
export const plainBackend: WorkloadBackend = {
  identity: (moduleId) => Promise.resolve({ moduleId, generationId: 'gen/1' }),
  modules: () => Promise.resolve(Buffer.from(JSON.stringify(moduleList(modules)))),
  trustBundle: () => Promise.resolve('BUNDLE'),
  manifestTrustBundle: () => Promise.resolve(''),
  sign: (moduleId, data) => Promise.resolve(Buffer.from(`${moduleId} signs ${data.toString()}`)),
  encrypt: (plaintext, aad) => Promise.resolve(Buffer.concat([plaintext, aad])),
  decrypt: (ciphertext, aad) => {
    if (ciphertext.length === 0) throw new ServiceError('InvalidArgs', 'cannot be decrypted');
    return Promise.resolve(Buffer.concat([ciphertext, aad]));
  },
  certificate: (_module, wish) => {
    if (wish.commonName === 'other') throw new ServiceError('AccessDenied', 'not its name');
    if (wish.commonName === 'broken') throw new Error('private detail');
    if (wish.commonName === 'later') throw new ServiceError('Unavailable', 'not now');
    if (wish.commonName === 'many') throw new ServiceError('LimitsExceeded', 'too many calls');
    return Promise.resolve({
      chainPem: `${wish.purpose} ${wish.commonName} ${wish.notAfter?.toISOString() ?? ''}`,
      notAfter,
      privateKeyPem: Buffer.from('KEY\nLINE\n'),
    });
  },
};

/** A response with a JSON body. */
export interface WorkloadResponse {
  readonly status: number;
  readonly reason: string;
  readonly type: string;
  readonly json: Readonly<Record<string, unknown>>;
}

/** Deviations from the default backend and limits. */
export interface WorkloadApiOptions {
  readonly backend?: Partial<WorkloadBackend>;
  readonly connections?: ConnectionLimits;
  readonly hold?: HoldLimits;
  readonly send?: SendLimits;
}

/** The workload API of the agent on a socket, on a backend of the test. */
export class WorkloadApi implements AsyncDisposable {
  readonly socketPath: string;
  readonly records: RequestRecord[];
  readonly #root: string;
  readonly #server: AsyncDisposable;

  private constructor(root: string, server: AsyncDisposable, records: RequestRecord[]) {
    this.#root = root;
    this.#server = server;
    this.records = records;
    this.socketPath = join(root, 'm/edgeAgent/w.sock');
  }

  static async open(options: WorkloadApiOptions = {}): Promise<WorkloadApi> {
    const { backend, connections, hold, send } = options;
    const root = await mkdtemp(join(tmpdir(), 'iotedge-workload-'));
    const directory = await createSocketDirectory(join(root, 'm'), 'edgeAgent');
    const records: RequestRecord[] = [];
    const routes = workloadRoutes(parseModuleName('edgeAgent'), { ...plainBackend, ...backend });
    const server = apiServer(routes, {
      requestId: () => 'id-1',
      onRequest: (record) => records.push(record),
      ...(hold !== undefined && { holdLimits: hold }),
      ...(send !== undefined && { sendLimits: send }),
    });
    const place = { directory, name: 'w.sock', mode: 0o666 };
    return new WorkloadApi(
      root,
      await serveSocket(place, server, connections ?? ownLimits()),
      records,
    );
  }

  request(method: string, path: string, body?: unknown): Promise<WorkloadResponse> {
    return requestOn(this.socketPath, method, path, body);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]();
    await rm(this.#root, { recursive: true, force: true });
  }
}

/** The response to a request on a socket; text bodies are sent unchanged, others as JSON. */
export function requestOn(
  socketPath: string,
  method: string,
  path: string,
  body?: unknown,
): Promise<WorkloadResponse> {
  const text = typeof body === 'string' ? body : body === undefined ? '' : JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, method, path, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          reason: response.statusMessage ?? '',
          type: response.headers['content-type'] ?? '',
          // 204 has none; checked by each test
          json: JSON.parse(Buffer.concat(chunks).toString() || '{}') as WorkloadResponse['json'],
        }),
      );
    });
    call.on('error', reject);
    call.end(text);
  });
}
