import { textOf, timeOf } from '../description.ts';

/** The properties of a module. */
export interface ModuleView {
  readonly name: string;
  readonly type: string;
  readonly image: string;
  readonly state: string;
  /** The method of the operation in progress, `` when none is. */
  readonly operation: string;
  readonly exitCode: number;
  /** Microseconds since the epoch, 0 for never. */
  readonly startedAt: number;
  readonly finishedAt: number;
  readonly restartCount: number;
  /** Why the runtime restarted it last, `` when it has not. */
  readonly restartReason: string;
  /** Of the operation in progress, 0 to 1. */
  readonly progress: number;
  readonly progressText: string;
  readonly lastError: string;
  readonly configDigest: string;
  readonly createOptions: string;
  /** All properties as they came, for `--json`. */
  readonly whole: Readonly<Record<string, unknown>>;
}

/** A module from its properties by name, of GetAll or of Describe. */
export function moduleView(whole: Readonly<Record<string, unknown>>): ModuleView {
  const text = (name: string) => textOf(whole[name]);
  const number = (name: string) => timeOf(whole[name]);
  return {
    name: text('Name'),
    type: text('Type'),
    image: text('Image'),
    state: text('State'),
    operation: text('Operation'),
    exitCode: number('ExitCode'),
    startedAt: number('StartedAt'),
    finishedAt: number('FinishedAt'),
    restartCount: number('RestartCount'),
    restartReason: text('RestartReason'),
    progress: number('Progress'),
    progressText: text('ProgressText'),
    lastError: text('LastError'),
    configDigest: text('ConfigDigest'),
    createOptions: text('CreateOptions'),
    whole,
  };
}
