/**
 * The published state of a module. It is derived from the observed container and from the step that comes next, so that
 * it changes once for each real transition:
 *
 *   create   unknown (─► pulling) ─► created            restart  running ─► stopping ─► starting ─► running
 *   start    created ─► starting ─► running             crash    running ─► backoff ─► starting ─► running
 *   stop     running ─► stopping ─► stopped             delete   running ─► stopping ─► removed
 */
import type { Container } from '../docker/engine.ts';
import { isAbsence, type ModuleState, type ModuleStatus } from './goal.ts';

/** The state of a module; undefined where it stays the same. */
export function stateOf(status: Omit<ModuleStatus, 'state'>): ModuleState | undefined {
  switch (status.step) {
    case 'pull':
      return 'pulling';
    case 'create':
      return isToRun(status) ? 'starting' : undefined;
    case 'start':
      return 'starting';
    case 'stop':
    case 'remove':
      return isAbsence(status.goal) || status.step === 'stop' ? 'stopping' : undefined;
    case undefined:
      return betweenSteps(status);
  }
}

type Between = Pick<ModuleStatus, 'container' | 'known' | 'goal' | 'retryAt' | 'failed'>;

function betweenSteps(status: Between): ModuleState | undefined {
  const { container, known, goal } = status;
  if (goal === 'failed') return 'failed';
  if (!known) return 'unknown';
  if (container === undefined) return withoutContainer(status);
  if (isAbsence(goal)) return 'stopping';
  switch (container.state.kind) {
    case 'running':
    case 'paused':
      return whileRunning(status);
    case 'restarting':
      return 'backoff';
    case 'exited':
    case 'created':
      return isToRun(status) ? beforeStart(status) : atRest(status, container);
    case 'dead':
      return 'failed';
    case 'unknown':
    case 'removing':
      return 'unknown';
  }
}

function withoutContainer(status: Between): ModuleState | undefined {
  if (isToRun(status)) return beforeStart(status);
  return status.retryAt !== undefined && !isAbsence(status.goal) ? 'backoff' : undefined;
}

function whileRunning({ goal, retryAt }: Between): ModuleState {
  const stops = goal === 'stopped' || goal === 'restart';
  return stops && retryAt === undefined ? 'stopping' : 'running';
}

function beforeStart({ retryAt }: Between): ModuleState {
  return retryAt === undefined ? 'starting' : 'backoff';
}

function atRest({ goal, failed }: Between, { state }: Container): ModuleState {
  if (failed) return 'failed';
  if (state.kind !== 'exited') return 'created';
  return goal === 'ended' && state.exitCode !== 0 ? 'failed' : 'stopped';
}

function isToRun({ goal }: Pick<ModuleStatus, 'goal'>): boolean {
  return goal === 'restart' || goal === 'start' || goal === 'started';
}
