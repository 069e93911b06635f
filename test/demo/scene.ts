import type { Cleanup } from '../../src/service/cleanup.ts';
import type { Rig } from '../support/rig/rig.ts';
import type { Account } from './account.ts';

/** The context of a step of the demonstration. */
export interface Scene {
  readonly rig: Rig;
  readonly account: Account;
  readonly cleanup: Cleanup;
  /** Aborted when the demonstration is stopped. */
  readonly signal: AbortSignal;
}
