import type { CallContext } from '../../dbus/server/call.ts';
import type { Operation } from './operation.ts';
import type { Operations } from './operations.ts';

/**
 * Calls of Cancel between their authorization and their handler: a verdict covers the operation that it was about, and
 * no other.
 */
export class Cancellations {
  readonly #judged = new WeakMap<CallContext, Operation<unknown, unknown>>();

  /** Records the operation that a call is authorized for; returns its verb, `` for none. */
  resolve(call: CallContext, operation: Operation<unknown, unknown> | undefined): string {
    if (operation !== undefined) this.#judged.set(call, operation);
    return operation?.verb ?? '';
  }

  /** Cancels the operation that the call was authorized for; NotFound when there was none or it has ended. */
  cancel(operations: Operations, id: string, call: CallContext): void {
    operations.cancel(id, this.#judged.get(call));
  }
}
