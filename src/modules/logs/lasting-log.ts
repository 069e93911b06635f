import { JoinedSignal } from '../../service/joined-signal.ts';
import type { LogRequest, ModuleLog, ModuleType } from '../supervisor/module-type.ts';

/** A module whose log is read. */
export interface LoggedModule {
  readonly type: Pick<ModuleType, 'log'>;
  readonly name: string;
  /** Aborted when there is no such module any more. */
  readonly ended: AbortSignal;
}

/** A log that ends with its module. */
export interface LastingLog extends ModuleLog {
  /** Aborted with the log, until it is read to its end. */
  readonly ended: AbortSignal;
}

/** The log of a module, which ends with Cancelled when the signal is aborted or the module is gone. */
export async function lastingLog(
  { type, name, ended }: LoggedModule,
  request: LogRequest,
  signal: AbortSignal,
): Promise<LastingLog> {
  const ending = new JoinedSignal([signal, ended]);
  try {
    const { isTerminal, entries } = await type.log(name, request, ending.signal);
    return { isTerminal, entries: disposing(entries, ending), ended: ending.signal };
  } catch (error) {
    ending[Symbol.dispose]();
    throw error;
  }
}

async function* disposing<T>(items: AsyncIterable<T>, until: Disposable): AsyncGenerator<T> {
  using _ = until;
  yield* items;
}
