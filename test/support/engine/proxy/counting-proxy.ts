import { EngineProxy, type EngineRequest, type Passage } from './engine-proxy.ts';

/** A proxy in front of an engine that counts requests. */
export class CountingProxy implements AsyncDisposable {
  readonly #counts = new Map<string, number>();
  /** Of all requests, as they came. */
  readonly urls: string[] = [];
  #proxy: EngineProxy | undefined;

  /** Listens on one socket and forwards to the engine's. */
  static async start(socketPath: string, engineSocket: string): Promise<CountingProxy> {
    const counting = new CountingProxy();
    const admit = (request: EngineRequest) => counting.#admit(request);
    counting.#proxy = await EngineProxy.start(socketPath, engineSocket, admit);
    return counting;
  }

  /** The number of requests for a path, such as `/info` in every version of the API. */
  count(path: string): number {
    return this.#counts.get(path) ?? 0;
  }

  #admit({ url, path }: EngineRequest): Passage {
    this.urls.push(url);
    this.#counts.set(path, this.count(path) + 1);
    return { isSent: true };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#proxy?.[Symbol.asyncDispose]();
  }
}
