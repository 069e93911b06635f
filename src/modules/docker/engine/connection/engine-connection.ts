import type Docker from 'dockerode';
import { JoinedSignal } from '../../../../service/joined-signal.ts';
import { apiVersionFor } from './api-version.ts';
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
  /** Of the API, undefined until the engine has described itself. */
  #version: string | undefined;

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  get socketPath(): string {
    return this.#socketPath;
  }

  /** Uses an engine on another socket from now on; pending requests complete on the previous one. */
  use(socketPath: string): void {
    this.#socketPath = socketPath;
    this.#version = undefined;
  }

  /** The engine's description of itself; requests use the version of the API that it names from then on. */
  describe(request: EngineRequest, signal: AbortSignal): Promise<Docker.DockerVersion> {
    return this.#within(request, signal, (limited) => this.#negotiate(limited));
  }

  /** A client for the engine, whose requests end with the signal. */
  async open(signal: AbortSignal): Promise<Docker> {
    const socketPath = this.#socketPath;
    if (this.#version === undefined) await this.#negotiate(signal);
    return openClient({ socketPath, version: this.#version ?? '' }, signal);
  }

  /** Runs requests that share a deadline: the client has none. Their failures are those of this service. */
  request<T>(
    request: EngineRequest,
    signal: AbortSignal,
    run: (docker: Docker) => Promise<T>,
  ): Promise<T> {
    return this.#within(request, signal, async (limited) => run(await this.open(limited)));
  }

  async #negotiate(signal: AbortSignal): Promise<Docker.DockerVersion> {
    const socketPath = this.#socketPath;
    const docker = await openClient({ socketPath }, signal);
    const info = await docker.version();
    if (socketPath === this.#socketPath) this.#version = apiVersionFor(info);
    return info;
  }

  async #within<T>(
    { action, limitMs = responseMs }: EngineRequest,
    signal: AbortSignal,
    run: (limited: AbortSignal) => Promise<T>,
  ): Promise<T> {
    using limited = JoinedSignal.within(limitMs, signal);
    const socketPath = this.#socketPath;
    try {
      return await run(limited.signal);
    } catch (error) {
      throw translate(error, { action, socketPath }, limited.signal);
    }
  }
}
