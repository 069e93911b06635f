import { setTimeout as sleep } from 'node:timers/promises';
import type { Cancellation } from '../../../cancellation.ts';
import { describeError, ServiceError } from '../../../errors.ts';
import { type ByteReader, MalformedMessage } from '../protocol/bytes.ts';
import { FrameSplitter, joinFrames } from '../protocol/frames.ts';
import {
  decodeAll,
  decodeReply,
  encodeRequest,
  type Failure,
  type ReceivedReply,
} from '../protocol/messages.ts';
import type { Operation } from '../protocol/operations.ts';
import { cancelled, LostError, Pkcs11Error } from './ckr.ts';
import type { Host } from './host-program.ts';

/** A process that sends nothing for this long while it has requests hangs: below the 25 s that D-Bus clients wait. */
const silenceMs = 20_000;
/** No call takes longer, whatever the process says: the longest is the generation of a large key. */
const longestMs = 600_000;
const checkEveryMs = 250;
/** How long the process may take to finalize its library before it is killed. */
const endMs = 500;

/** Options of a call. */
export interface CallOptions {
  /** Ends waiting for the reply; the process works on. */
  readonly signal?: Cancellation | undefined;
  /** Called when the process is done with the request, or did not get it. */
  readonly done?: () => void;
}

const noOptions: CallOptions = {};

interface PendingRequest {
  readonly call: string;
  readonly sentAt: number;
  readonly waiting: CallOptions;
  readonly receive: (reader: ByteReader) => void;
  readonly reject: (error: unknown) => void;
  /** The caller has got its answer: the reply is dropped. */
  isAbandoned: boolean;
}

/**
 * A process that owns a PKCS#11 library. Every byte that it sends is verified: the library may be hostile, or have
 * damaged the memory of its process. It is killed when it does not follow the protocol or hangs. All requests that are
 * pending when it ends fail with the reason.
 */
export class HostProcess implements AsyncDisposable {
  readonly #library: string;
  readonly #host: Host;
  readonly #pending = new Map<number, PendingRequest>();
  readonly #onEnd: (failure: ServiceError) => void;
  /** Frames that are not written yet. */
  #outgoing: Buffer[] = [];
  #lastId = 0;
  #lastHeardAt = 0;
  #watch: NodeJS.Timeout | undefined;
  #failure: ServiceError | undefined;

  /** `onEnd` is called once, when the process ends by itself or is killed, but not when it is disposed. */
  constructor(library: string, host: Host, onEnd: (failure: ServiceError) => void) {
    this.#library = library;
    this.#host = host;
    this.#onEnd = onEnd;
    void host.ended.then((how) => this.#fail(`${how}${this.#inOldestCall()}`));
    this.#receive();
  }

  /** Why it has ended, undefined while it has not. */
  get failure(): ServiceError | undefined {
    return this.#failure;
  }

  /** Sends a request. Throws Pkcs11Error or LostError as the process reports, Unavailable when it ends. */
  call<Request, Reply>(
    operation: Operation<Request, Reply>,
    request: Request,
    waiting: CallOptions = noOptions,
  ): Promise<Reply> {
    return new Promise<Reply>((resolve, reject) => {
      try {
        if (this.#failure !== undefined) throw this.#failure;
        const id = this.#nextId();
        const frame = encodeRequest(id, operation, request);
        const receive = (reader: ByteReader): void => resolve(decodeAll(operation.reply, reader));
        const { call } = operation;
        const sentAt = performance.now();
        this.#pending.set(id, { call, sentAt, waiting, receive, reject, isAbandoned: false });
        this.#send(frame);
      } catch (error) {
        waiting.done?.();
        reject(error);
      }
    });
  }

  /** Kills the process if it has requests, which fail: nothing can wait for the library any longer. */
  abandon(): void {
    if (this.#pending.size > 0) this.#fail(`was ended${this.#inOldestCall()}: the service stops`);
  }

  /** Lets the process finalize its library, or kills it when that takes too long. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#end(this.#unavailable('was closed'));
    const { ended, socket } = this.#host;
    socket.end();
    await Promise.race([ended, sleep(endMs, undefined, { ref: false })]);
    this.#host.kill();
    socket.destroy();
  }

  #nextId(): number {
    this.#lastId = (this.#lastId % 0xffff_ffff) + 1;
    return this.#lastId;
  }

  #send(frame: Buffer): void {
    const isFirst = this.#pending.size === 1;
    if (isFirst) this.#lastHeardAt = performance.now();
    this.#watch ??= setInterval(() => this.#check(), checkEveryMs).unref();
    this.#outgoing.push(frame);
    // an idle process begins at once; what the same messages of the bus lead to goes out in one write
    if (isFirst) this.#flush();
    else if (this.#outgoing.length === 1) process.nextTick(() => this.#flush());
  }

  #flush(): void {
    const frames = this.#outgoing;
    this.#outgoing = [];
    if (frames.length === 0) return;
    const bytes = joinFrames(frames);
    this.#host.socket.write(bytes, () => bytes.fill(0));
  }

  #receive(): void {
    const { socket } = this.#host;
    const splitter = new FrameSplitter((frame) => this.#take(decodeReply(frame)));
    socket.on('data', (chunk) => {
      this.#lastHeardAt = performance.now();
      try {
        splitter.push(chunk);
      } catch (error) {
        this.#fail(`sent a reply that is malformed: ${describeError(error)}`);
      }
    });
    socket.on('error', () => undefined); // the end follows
    socket.on('close', () => {
      // its exit, which says more, may not have been seen yet
      setTimeout(() => this.#fail('closed its connection'), checkEveryMs).unref();
    });
  }

  #take(reply: ReceivedReply): void {
    if (reply.kind === 'alive') return;
    const request = this.#pending.get(reply.id);
    if (request === undefined) throw new MalformedMessage('it replies to nothing');
    this.#pending.delete(reply.id);
    request.waiting.done?.();
    if (request.isAbandoned) return;
    if (reply.kind === 'failed') {
      request.reject(this.#errorOf(reply.failure));
      return;
    }
    try {
      request.receive(reply.reader);
    } catch (error) {
      request.reject(this.#unavailable(`sent a malformed reply to ${request.call}`));
      throw error;
    }
  }

  #errorOf(failure: Failure): Error {
    switch (failure.kind) {
      case 'ckr':
        return new Pkcs11Error(failure.ckr, failure.call);
      case 'lost':
        return new LostError('session');
      case 'other':
        return this.#unavailable(`: ${failure.message}`);
    }
  }

  /** Ends waiting for callers that are gone, and kills a process that hangs. */
  #check(): void {
    for (const request of this.#pending.values()) {
      if (request.isAbandoned || request.waiting.signal?.aborted !== true) continue;
      request.isAbandoned = true;
      request.reject(cancelled());
    }
    const [oldest] = this.#pending.values();
    const now = performance.now();
    if (oldest === undefined) this.#stopWatch();
    else if (now - this.#lastHeardAt > silenceMs) this.#hangs(silenceMs);
    else if (now - oldest.sentAt > longestMs) this.#hangs(longestMs);
  }

  #hangs(forMs: number): void {
    this.#fail(`hangs${this.#inOldestCall()}: nothing has returned for ${forMs / 1000} s`);
  }

  #stopWatch(): void {
    clearInterval(this.#watch);
    this.#watch = undefined;
  }

  /** Where the process probably was when it ended. */
  #inOldestCall(): string {
    const [oldest] = this.#pending.values();
    return oldest === undefined ? '' : ` in ${oldest.call}`;
  }

  #fail(reason: string): void {
    if (this.#failure !== undefined) return;
    const failure = this.#unavailable(reason);
    this.#end(failure);
    this.#host.kill();
    this.#host.socket.destroy();
    this.#onEnd(failure);
  }

  #end(failure: ServiceError): void {
    this.#failure ??= failure;
    this.#stopWatch();
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { reject, waiting } of pending) {
      reject(failure);
      waiting.done?.();
    }
  }

  #unavailable(what: string): ServiceError {
    const text = what.startsWith(':') ? what : ` ${what}`;
    return new ServiceError('Unavailable', `PKCS#11 library ${this.#library}${text}`);
  }
}
