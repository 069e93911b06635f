import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type ApiOptions,
  apiServer,
  type RequestRecord,
} from '../../../src/modules/api/http/http.ts';
import type { Route } from '../../../src/modules/api/http/route.ts';
import { serveSocket } from '../../../src/modules/api/http/socket.ts';
import { ownLimits } from '../workload/limits.ts';

/** Routes of a test, on a socket. */
export class RoutesServer implements AsyncDisposable {
  readonly socketPath: string;
  readonly records: RequestRecord[];
  readonly #root: string;
  readonly #server: AsyncDisposable;

  private constructor(root: string, server: AsyncDisposable, records: RequestRecord[]) {
    this.#root = root;
    this.#server = server;
    this.records = records;
    this.socketPath = join(root, 'routes.sock');
  }

  static async open(
    routes: readonly Route[],
    options: Pick<ApiOptions, 'streamStallMs'> = {},
  ): Promise<RoutesServer> {
    const root = await mkdtemp(join(tmpdir(), 'iotedge-routes-'));
    const records: RequestRecord[] = [];
    const server = apiServer(routes, {
      ...options,
      requestId: () => 'id',
      onRequest: (record) => records.push(record),
    });
    const place = { directory: root, name: 'routes.sock', mode: 0o600 };
    return new RoutesServer(root, await serveSocket(place, server, ownLimits()), records);
  }

  /** Stops serving; the directory stays. */
  close(): Promise<void> {
    return Promise.resolve(this.#server[Symbol.asyncDispose]());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
    await rm(this.#root, { recursive: true, force: true });
  }
}
