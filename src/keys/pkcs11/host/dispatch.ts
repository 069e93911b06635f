import { type ByteReader, MalformedMessage } from '../protocol/bytes.ts';
import { decodeAll, encodeFailure, encodeReply } from '../protocol/messages.ts';
import type { Operation, OperationName } from '../protocol/operations.ts';
import { failureOf } from './failures.ts';

/** An operation with what does it. */
export interface Served {
  readonly number: number;
  /** Returns the frame of the reply, or of the failure. Throws MalformedMessage. */
  readonly reply: (id: number, reader: ByteReader) => Buffer | Promise<Buffer>;
}

/** Ties an operation to its handler. Request and reply are wiped when they are no longer needed. */
export function serve<Request, Reply>(
  operation: Operation<Request, Reply>,
  handle: (request: Request) => Reply | Promise<Reply>,
): Served {
  const encode = (id: number, reply: Reply): Buffer => {
    try {
      return encodeReply(id, operation.reply, reply);
    } finally {
      wipe(reply);
    }
  };
  const finish = async (id: number, request: Request, running: Promise<Reply>): Promise<Buffer> => {
    try {
      return encode(id, await running);
    } catch (error) {
      return encodeFailure(id, failureOf(error));
    } finally {
      wipe(request);
    }
  };
  const reply = (id: number, reader: ByteReader): Buffer | Promise<Buffer> => {
    const request = decodeAll(operation.request, reader);
    let isLater = false;
    try {
      const result = handle(request);
      isLater = result instanceof Promise;
      return result instanceof Promise ? finish(id, request, result) : encode(id, result);
    } catch (error) {
      return encodeFailure(id, failureOf(error));
    } finally {
      if (!isLater) wipe(request);
    }
  };
  return { number: operation.number, reply };
}

/** Finds the operation of a number. */
export class Dispatcher {
  readonly #served: ReadonlyMap<number, Served>;

  constructor(handlers: Readonly<Record<OperationName, Served>>) {
    this.#served = new Map(Object.values(handlers).map((served) => [served.number, served]));
  }

  /** Throws MalformedMessage for an operation that does not exist. */
  get(number: number): Served {
    const served = this.#served.get(number);
    if (served === undefined) throw new MalformedMessage(`an operation ${number}`);
    return served;
  }
}

/** Wipes all bytes in a message, which are copies. */
function wipe(value: unknown): void {
  if (typeof value !== 'object' || value === null) return;
  if (Buffer.isBuffer(value)) value.fill(0);
  else for (const part of Object.values(value)) wipe(part);
}
