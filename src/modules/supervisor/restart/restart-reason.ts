/** Why modules are restarted, for their properties and the journal. */

/** The cause of a start that no caller requested, or of a requested restart. */
export type RestartCause =
  | 'exited'
  | 'unhealthy'
  | 'engine-restart'
  | 'not-running'
  | 'removed'
  | 'damaged'
  | 'changed'
  | 'drifted'
  | 'refused'
  | 'updated'
  | 'rolled-back'
  | 'requested';

/** A cause with what the last run left. */
export interface RestartReason {
  readonly cause: RestartCause;
  /** Of `exited`. */
  readonly exitCode?: number;
}

/** The reason as a text for users. */
export function reasonText({ cause, exitCode }: RestartReason): string {
  switch (cause) {
    case 'exited':
      return `ended with exit code ${exitCode}`;
    case 'unhealthy':
      return 'its health check failed';
    case 'engine-restart':
      return 'the container engine was restarted';
    case 'not-running':
      return 'was not running when the service started';
    case 'removed':
      return 'its container was removed';
    case 'damaged':
      return 'its container was damaged';
    case 'changed':
      return 'its configuration changed';
    case 'drifted':
      return 'another process changed its container';
    case 'refused':
      return 'is allowed to run again';
    case 'updated':
      return 'updated';
    case 'rolled-back':
      return 'its update was rolled back';
    case 'requested':
      return 'requested';
  }
}

/** What follows from a request or a configuration. */
const wanted: ReadonlySet<RestartCause> = new Set([
  'requested',
  'changed',
  'refused',
  'updated',
  'rolled-back',
]);

/** Whether a restart for this cause counts as one: what follows from a request or a configuration does not. */
export function isCounted({ cause }: RestartReason): boolean {
  return !wanted.has(cause);
}
