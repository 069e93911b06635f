import { constants } from 'node:os';
import type { EngineEvent } from './event.ts';

/** A container as it is, for the cause of its end. */
export interface EndedContainer {
  readonly id: string;
  readonly exitCode: number;
  /** The signal that asks it to end, by its name or number, where that is not SIGTERM. */
  readonly stopSignal: string | undefined;
}

const { SIGINT, SIGKILL, SIGQUIT, SIGTERM } = constants.signals;
/** A process that ends after one of these may do so with any exit code. */
const endingSignals: readonly number[] = [SIGINT, SIGQUIT, SIGKILL, SIGTERM];
/** What shells and engines add to the number of the signal that ended a process. */
const signalled = 128;
const noSignal = 0;

/** The signals that clients of the engine have sent to containers since their start. */
export class KillRequests {
  readonly #signals = new Map<string, Set<number>>();

  note({ id, isRemoval, request, signal = noSignal }: EngineEvent): void {
    if (request === 'end') this.#signals.set(id, (this.#signals.get(id) ?? new Set()).add(signal));
    else if (isRemoval || request === 'start') this.#signals.delete(id);
  }

  /**
   * Whether a client ended the container, or asked it to end: not by a signal such as SIGHUP, by which programs read their
   * configuration again, unless that ended it.
   */
  ended({ id, exitCode, stopSignal }: EndedContainer): boolean {
    const stopNumber = numberOf(stopSignal);
    return [...(this.#signals.get(id) ?? [])].some(
      (signal) =>
        signal === noSignal ||
        endingSignals.includes(signal) ||
        signal === stopNumber ||
        exitCode === signalled + signal,
    );
  }
}

/** The number of a signal by its name, with or without SIG, or its number. */
function numberOf(text = ''): number | undefined {
  if (/^\d+$/.test(text)) return Number(text);
  const name = `SIG${text.toUpperCase().replace(/^SIG/, '')}`;
  return new Map<string, number>(Object.entries(constants.signals)).get(name);
}
