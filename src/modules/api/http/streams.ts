import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { unlessAborted } from '../../../service/operations/unless-aborted.ts';
import { HttpProblem } from './failure.ts';
import type { StreamBody } from './route.ts';

/** A followed log may stay open for days; each occupies a connection and what produces it. */
export const maxStreams = 16;
/** How long a client may read nothing of what waits for it: longer than a pager is left alone, and no place is lost for ever. */
export const streamStallMs = 300_000;

/** The responses of a socket that are streams. */
export class Streams {
  readonly #stallMs: number;
  readonly #open = new Set<ServerResponse>();
  #reserved = 0;
  #isClosed = false;

  constructor(stallMs: number = streamStallMs) {
    this.#stallMs = stallMs;
  }

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

  /**
   * Writes a body after its head; rejects when it cannot be produced, or the connection is closed before its end, as it is
   * when the client stops reading.
   */
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
        if (response.write(next.value)) continue;
        await this.whileRead(response, () => once(response, 'drain', { signal: closed }));
      }
      isWhole = true;
    } finally {
      this.#open.delete(response);
      // not awaited: a producer that waits for its source returns later
      if (!isWhole) void abandon(iterator);
    }
  }

  /** Waits for a client to read; closes its connection, and rejects, when it does not. */
  async whileRead(response: ServerResponse, wait: () => Promise<unknown>): Promise<void> {
    let isStalled = false;
    const timer = setTimeout(() => {
      isStalled = true;
      response.socket?.destroy();
    }, this.#stallMs);
    try {
      await wait();
    } catch (error) {
      if (!isStalled) throw error;
    } finally {
      clearTimeout(timer);
    }
    // the end of a response that was cut off looks like one that was sent
    const text = `the client has read nothing for ${this.#stallMs / 1000} s`;
    if (isStalled) throw new HttpProblem(408, text);
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
