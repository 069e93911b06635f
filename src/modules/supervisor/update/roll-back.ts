import type { Configured } from '../desired-state.ts';

/** The state in which the new instance of an update that is rolled back gets another name. */
export function rejected({ source, state }: Configured, badId: string): Configured {
  const { update } = state;
  if (update?.phase !== 'rollback') return { source, state };
  return { source, state: { ...state, update: { ...update, badId } } };
}
