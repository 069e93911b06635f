import type { Cleanup } from '../../src/service/cleanup.ts';
import type { Rig } from '../support/rig/rig.ts';
import type { Account } from './account.ts';

/** What a step of the demonstration works with. */
export interface Scene {
  readonly rig: Rig;
  readonly account: Account;
  readonly cleanup: Cleanup;
  /** Aborted when the demonstration is told to stop. */
  readonly signal: AbortSignal;
}
