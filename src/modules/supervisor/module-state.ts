/**
 * The one word for how a module is. It follows from what the engine said last and from what is about to be done about
 * it, so that it changes once for each thing that really happens:
 *
 *   create   unknown (─► pulling) ─► created            restart  running ─► stopping ─► starting ─► running
 *   start    created ─► starting ─► running             crash    running ─► backoff ─► starting ─► running
 *   stop     running ─► stopping ─► stopped             delete   running ─► stopping ─► gone
 */
import type { moduleStates } from '../../interfaces/words.ts';
import type { Container } from '../docker/engine.ts';
import { isAbsence, type Report } from './goal.ts';

export type ModuleState = (typeof moduleStates)[number];

/** The word for a module; undefined where it has no other one than before. */
export function stateOf(report: Omit<Report, 'state'>): ModuleState | undefined {
  switch (report.step) {
    case 'pull':
      return 'pulling';
    case 'create':
      return isToRun(report) ? 'starting' : undefined;
    case 'start':
      return 'starting';
    case 'stop':
    case 'remove':
      return isAbsence(report.goal) || report.step === 'stop' ? 'stopping' : undefined;
    case undefined:
      return betweenSteps(report);
  }
}

type Between = Pick<Report, 'container' | 'known' | 'goal' | 'retryAt' | 'failed'>;

function betweenSteps(report: Between): ModuleState | undefined {
  const { container, known, goal } = report;
  if (goal === 'failed') return 'failed';
  if (!known) return 'unknown';
  if (container === undefined) return withoutContainer(report);
  if (isAbsence(goal)) return 'stopping';
  switch (container.state.kind) {
    case 'running':
    case 'paused':
      return whileRunning(report);
    case 'restarting':
      return 'backoff';
    case 'exited':
    case 'created':
      return isToRun(report) ? beforeStart(report) : atRest(report, container);
    case 'dead':
      return 'failed';
    case 'unknown':
    case 'removing':
      return 'unknown';
  }
}

/** One that is made, started or removed next. */
function withoutContainer(report: Between): ModuleState | undefined {
  if (isToRun(report)) return beforeStart(report);
  return report.retryAt !== undefined && !isAbsence(report.goal) ? 'backoff' : undefined;
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

function isToRun({ goal }: Pick<Report, 'goal'>): boolean {
  return goal === 'restart' || goal === 'start' || goal === 'started';
}
