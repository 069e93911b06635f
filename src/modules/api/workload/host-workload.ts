import type { Socket } from 'node:net';
import type { Repeats } from '../../../service/log/repeats.ts';
import { Backlog } from '../../callers/backlog.ts';
import type { Callers } from '../../callers/callers.ts';
import { type Peer, peerOf, sinceBootMs } from '../../callers/process-cgroup.ts';
import type { Exchange, ExchangeServer } from '../http/exchange.ts';
import { HttpProblem } from '../http/failure.ts';
import { refusingServer } from '../http/http.ts';
import type { WorkloadServers } from './workload-servers.ts';

/** Dependencies of the host's workload socket. */
export interface HostWorkloadParts {
  readonly callers: Pick<Callers, 'find' | 'moduleOf'>;
  readonly servers: Pick<WorkloadServers, 'of'>;
  readonly requests: Repeats;
}

const refusing = refusingServer(new HttpProblem(403, 'only processes of modules are served here'));

/** Serves each module that calls on the host's workload socket as on its own, and refuses every other process. */
export class HostWorkload implements ExchangeServer {
  readonly #parts: HostWorkloadParts;
  readonly #peers = new WeakMap<Socket, Peer>();
  readonly #backlog = new Backlog(sinceBootMs);

  constructor(parts: HostWorkloadParts) {
    this.#parts = parts;
  }

  /** Looks at the process as early as possible: its pid is another's when it has ended. */
  groupOf(socket: Socket): string {
    const peer = peerOf(socket, this.#backlog.accepted());
    if (peer === undefined) return '';
    this.#peers.set(socket, peer);
    // of the others each user has a group: a module that is not recognized yet waits for no other user's
    return this.#parts.callers.find(peer.cgroup) ?? `uid ${peer.uid}`;
  }

  async serve(exchange: Exchange): Promise<void> {
    const { callers, servers } = this.#parts;
    const peer = this.#peers.get(exchange.request.socket);
    // not once for the connection: a module that starts is recognized later, one that ended no longer
    const module = peer && (await callers.moduleOf(peer.cgroup));
    if (module !== undefined) {
      await servers.of(module).serve(exchange);
      return;
    }
    this.#noteStranger(peer);
    await refusing.serve(exchange);
  }

  refused(): void {
    // of whom it is not known
  }

  close(): void {
    // the servers of modules end with their own sockets
  }

  #noteStranger(peer: Peer | undefined): void {
    const uid = peer?.uid;
    this.#parts.requests.note(`host ${uid}`, {
      level: 'info',
      message: 'workload request refused: the process is of no module',
      cause: ['uid', uid],
      fields: () => ({ uid, pid: peer?.pid }),
    });
  }
}
