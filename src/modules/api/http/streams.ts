import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { unlessAborted } from '../../../service/operations/unless-aborted.ts';
import { HttpProblem } from './failure.ts';
import type { StreamBody } from './route.ts';

/** A followed log may stay open for days; each occupies a connection and what produces it. */
const maxStreams = 16;

/** The responses of a socket that are streams. */
export class Streams {
  readonly #open = new Set<ServerResponse>();
  #reserved = 0;
  #isClosed = false;

  /** A place for one stream until it is disposed of. Throws HttpProblem when there are too many. */
  reserve(): Disposable {
    if (this.#reserved >= maxStreams) {
      throw new HttpProblem(503, `the limit of ${maxStreams} streams on this socket is reached`);
    }
    this.#reserved++;
    return {
      [Symbol.dispose]: () => {
        this.#reserved--;
      },
    };
  }

  /** Writes a body after its head; rejects when it cannot be produced, or the connection is closed before its end. */
  async write(
    response: ServerResponse,
    { chunks }: StreamBody,
    closed: AbortSignal,
  ): Promise<void> {
    const iterator = chunks[Symbol.asyncIterator]();
    let isWhole = false;
    this.#open.add(response);
    if (this.#isClosed) response.destroy();
    try {
      for (;;) {
        const next = await unlessAborted(() => iterator.next(), closed);
        if (next.done === true) break;
        if (!response.write(next.value)) await once(response, 'drain', { signal: closed });
      }
      isWhole = true;
    } finally {
      this.#open.delete(response);
      // not awaited: a producer that waits for its source returns later
      if (!isWhole) void abandon(iterator);
    }
  }

  /** Closes their connections, also of those that begin later: they may never end by themselves. */
  close(): void {
    this.#isClosed = true;
    for (const response of this.#open) response.destroy();
  }
}

/** Ends a body that is not sent. Never rejects. */
export async function abandon(iterator: AsyncIterator<Uint8Array>): Promise<void> {
  try {
    await iterator.return?.();
  } catch {
    // there is no one left to report it to
  }
}
