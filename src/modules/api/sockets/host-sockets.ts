/**
 * The sockets of `listen`, for programs of this machine. Their socket units are named after the APIs; without them the
 * service binds the sockets itself. Every request on a socket that a unit holds elsewhere is refused: closed here only, it
 * would have its clients wait for ever.
 */
import { chown, lstat } from 'node:fs/promises';
import { connect } from 'node:net';
import { basename, dirname } from 'node:path';
import { describeError, ServiceError, systemCode } from '../../../errors.ts';
import { SystemAccounts } from '../../../service/accounts.ts';
import type { Log } from '../../../service/log/log.ts';
import type { PassedSocket, SystemdSockets } from '../../../service/systemd/sockets.ts';
import type { ApiPaths } from '../../config/config.ts';
import type { ConnectionLimits } from '../http/connections.ts';
import type { ExchangeServer } from '../http/exchange.ts';
import { HttpProblem } from '../http/failure.ts';
import { refusingServer } from '../http/http.ts';
import { servePassedSocket, serveSocket } from '../http/socket.ts';
import { isModuleSocketName } from './module-socket-store.ts';

/** Where sockets come from, and the journal. */
export interface HostSocketParts {
  readonly sockets: Pick<SystemdSockets, 'take' | 'takeAll'>;
  readonly log: Log;
  readonly connections: ConnectionLimits;
  /** Of each API; every request for one without is refused. */
  readonly servers?: Readonly<Partial<Record<Api, ExchangeServer>>>;
  /** Where the group is looked up. */
  readonly accounts?: Pick<SystemAccounts, 'gid'>;
}

type Api = keyof ApiPaths;

const apis = ['management', 'workload'] as const;
const modes = { management: 0o660, workload: 0o666 } as const;
/** Whose members may manage modules over the socket. */
const managers = 'iotedge-admin';

/** Serves both sockets, and those that `listen` does not name, until it is disposed of; reports failures in the journal. */
export async function serveHostSockets(
  paths: ApiPaths,
  parts: HostSocketParts,
): Promise<AsyncDisposable> {
  const served: AsyncDisposable[] = [];
  for (const api of apis) {
    try {
      served.push(await serveApi(api, paths[api], parts));
    } catch (error) {
      const advice = `systemctl start iotedge-modules-${api}.socket`;
      const reason = { error: describeError(error), advice };
      parts.log.warn('socket for programs of this machine not available', { api, ...reason });
    }
  }
  for (const passed of parts.sockets.takeAll((name) => !isModuleSocketName(name))) {
    try {
      served.push(await refuseAll(passed, parts));
    } catch (error) {
      const { name, path } = passed;
      parts.log.warn('passed socket not served', { name, path, error: describeError(error) });
    }
  }
  return {
    [Symbol.asyncDispose]: async () => {
      await Promise.all(served.map(async (socket) => socket[Symbol.asyncDispose]()));
    },
  };
}

/** Serves a socket of a unit that listens where `listen` does not say. */
function refuseAll(
  passed: PassedSocket,
  { connections, log }: HostSocketParts,
): Promise<AsyncDisposable> {
  const { name, path } = passed;
  // others are units of an administrator, which it does not change
  const advice = apis.some((api) => api === name) ? 'iotedgectl config apply' : undefined;
  log.warn('passed socket refuses all requests: listen of modules.yaml does not name it', {
    name,
    path,
    advice,
  });
  const reason = 'listen of modules.yaml does not name this socket';
  const message = advice === undefined ? reason : `${reason}: run '${advice}'`;
  return servePassedSocket(passed, refusingServer(new HttpProblem(503, message)), connections);
}

async function serveApi(api: Api, path: string, parts: HostSocketParts): Promise<AsyncDisposable> {
  const { connections, servers, sockets } = parts;
  const problem = new HttpProblem(503, `the ${api} API is not served here`);
  const server = servers?.[api] ?? refusingServer(problem);
  const passed = sockets.take(api, path);
  if (passed !== undefined) return servePassedSocket(passed, server, connections);
  await refuseTaken(path);
  const place = { directory: dirname(path), name: basename(path), mode: modes[api] };
  const socket = await serveSocket(place, server, connections);
  if (api === 'management') await giveToManagers(path, parts);
  return { [Symbol.asyncDispose]: () => socket.remove() };
}

/** Needs a process of root's or of a member of the group: without it, root alone may connect. */
async function giveToManagers(
  path: string,
  { accounts = new SystemAccounts({ getent: false }), log }: HostSocketParts,
): Promise<void> {
  try {
    const gid = await accounts.gid(managers);
    if (gid === undefined) throw new ServiceError('NotFound', 'no such group');
    await chown(path, -1, gid);
  } catch (error) {
    const reason = { group: managers, error: describeError(error) };
    log.warn('the management socket is not accessible to its group', reason);
  }
}

/** Throws AlreadyExists for a path at which something else is, or another process listens. */
async function refuseTaken(path: string): Promise<void> {
  const stats = await lstat(path).catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  });
  if (stats === undefined) return;
  if (!stats.isSocket()) throw new ServiceError('AlreadyExists', `${path} is no socket`);
  if (await isServed(path)) {
    throw new ServiceError('AlreadyExists', `another process listens on ${path}`);
  }
}

function isServed(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const end = (result: boolean): void => {
      socket.destroy();
      resolve(result);
    };
    socket.once('connect', () => end(true));
    // one that is busy, or closed to this user, is served all the same
    socket.once('error', (error) =>
      end(!['ECONNREFUSED', 'ENOENT'].includes(systemCode(error) ?? '')),
    );
  });
}
