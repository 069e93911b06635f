import type Docker from 'dockerode';
import { JoinedSignal } from '../../../../service/joined-signal.ts';
import { openClient } from './client.ts';
import { translate } from './translate.ts';

/** How long most requests may take. */
export const responseMs = 60_000;
/** How long requests may take that find out whether the engine is reachable. */
export const noticeMs = 10_000;

/** A request to the engine. */
export interface EngineRequest {
  /** Such as `starting "hub"`, for messages. */
  readonly action: string;
  /** The deadline; `responseMs` when it is undefined. */
  readonly limitMs?: number;
}

/** Requests to an engine on a unix socket. */
export class EngineConnection {
  #socketPath: string;

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  get socketPath(): string {
    return this.#socketPath;
  }

  /** Uses an engine on another socket from now on; pending requests complete on the previous one. */
  use(socketPath: string): void {
    this.#socketPath = socketPath;
  }

  /** Runs requests that share a deadline: the client has none. Their failures are those of this service. */
  async request<T>(
    { action, limitMs = responseMs }: EngineRequest,
    signal: AbortSignal,
    run: (docker: Docker) => Promise<T>,
  ): Promise<T> {
    using limited = JoinedSignal.within(limitMs, signal);
    const socketPath = this.#socketPath;
    try {
      return await run(await openClient(socketPath, limited.signal));
    } catch (error) {
      throw translate(error, { action, socketPath }, limited.signal);
    }
  }
}
