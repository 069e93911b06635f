import type { LongHandler } from '../../dbus/definition.ts';
import { type CallContext, callerLeft } from '../../dbus/server/call.ts';
import { ServiceError } from '../../errors.ts';
import type { Operation } from './operation.ts';
import type { OperationKind, Operations, Request } from './operations.ts';

/** Converts the calls of a method to an operation, and its results to replies. */
export interface LongMethod<Input, Output, Args, Result, Id extends string> {
  /** Parses a call. One that comes with a `result` needs no operation. */
  readonly request: (
    input: Input,
    call: CallContext,
  ) => Asked<Args, Result, Id> | Promise<Asked<Args, Result, Id>>;
  /** The reply; without a result when the caller does not wait for it. */
  readonly reply: (result: Result | undefined, id: Id) => Output;
}

type Asked<Args, Result, Id> = Omit<Request<Args>, 'requestId'> & {
  readonly id: Id;
  readonly result?: Result;
};

/** The handler of a long operation: replies when the operation has ended or, with `wait` false, when it is accepted. */
export function longHandler<Input, Output, Args, Result, Id extends string>(
  operations: Operations,
  kind: OperationKind<Args, Result>,
  { request, reply }: LongMethod<Input, Output, Args, Result, Id>,
): LongHandler<(input: Input, call: CallContext) => Promise<Output>> {
  const handle = async (input: Input, call: CallContext): Promise<Output> => {
    const { result, ...asked } = await request(input, call);
    if (result !== undefined) return reply(result, asked.id);
    const operation = await operations.begin(kind, { ...asked, requestId: call.requestId });
    return reply(asked.wait ? await waitForEnd(operation, call) : undefined, asked.id);
  };
  const { persist, remove } = kind;
  return Object.assign(handle, { persistence: { persist, remove } });
}

/**
 * Waits until the operation ends, the caller leaves or the service stops; the operation continues when only the caller
 * leaves.
 */
async function waitForEnd<Args, Result>(
  operation: Operation<Args, Result>,
  { signal }: CallContext,
): Promise<Result> {
  let leave = (): void => {};
  const left = new Promise<never>((_resolve, reject) => {
    leave = () => {
      if (signal.reason === callerLeft) operation.leave();
      reject(new ServiceError('Unavailable', 'the service is stopping'));
    };
  });
  if (signal.aborted) leave();
  signal.addEventListener('abort', leave, { once: true });
  try {
    return await Promise.race([operation.outcome, left]);
  } finally {
    signal.removeEventListener('abort', leave);
  }
}
