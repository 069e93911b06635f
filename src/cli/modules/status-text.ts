import type { ModuleView } from './module-view.ts';

/** The status of a module in the words of `docker ps`: `Up 3 seconds`, `Exited (1) 2 hours ago`. */
export function statusText(module: ModuleView, now: Date): string {
  const { state, exitCode, startedAt, finishedAt } = module;
  const since = (micros: number) => durationText((now.getTime() - micros / 1000) / 1000);
  const ended = `(${exitCode}) ${since(finishedAt)} ago`;
  switch (state) {
    case 'running':
      return startedAt === 0 ? 'Up' : `Up ${since(startedAt)}`;
    case 'stopped':
    case 'failed':
      return finishedAt === 0 ? capitalized(state) : `Exited ${ended}`;
    case 'backoff':
      return finishedAt === 0 ? 'Waiting to start' : `Restarting ${ended}`;
    case 'pulling':
      return `Pulling ${percent(module)}`;
    default:
      return capitalized(state);
  }
}

/** What the operation in progress does at present: `pulling 45%: Downloading`, `stopping`. */
export function progressText(module: ModuleView): string {
  const { state, operation, progress, progressText: step } = module;
  // nothing else has a progress
  if (state === 'pulling' || step === 'pull' || progress > 0) {
    return `pulling ${percent(module)}${step === '' || step === 'pull' ? '' : `: ${step}`}`;
  }
  return steps.get(step) ?? operations.get(operation) ?? state;
}

const steps: ReadonlyMap<string, string> = new Map([
  ['create', 'creating'],
  ['start', 'starting'],
  ['stop', 'stopping'],
  ['remove', 'removing'],
  ['keep', 'keeping the image of the old container'],
  ['park', 'setting the old container aside'],
  ['trial', 'watching the new container'],
  ['unpark', 'bringing the old container back'],
]);

const operations: ReadonlyMap<string, string> = new Map([
  ['CreateModule', 'creating'],
  ['UpdateModule', 'updating'],
  ['Start', 'starting'],
  ['Stop', 'stopping'],
  ['Restart', 'restarting'],
  ['DeleteModule', 'deleting'],
]);

function percent({ progress }: ModuleView): string {
  return `${Math.round(Math.min(Math.max(progress, 0), 1) * 100)}%`;
}

const minute = 60;
const hour = 60 * minute;
const day = 24 * hour;
/** Units from days on: used while there are fewer than `below` of them. */
const units = [
  { name: 'day', seconds: day, below: 14 },
  { name: 'week', seconds: 7 * day, below: 60 / 7 },
  { name: 'month', seconds: 30 * day, below: (2 * 365) / 30 },
] as const;

/** Seconds in docker's words: `Less than a second`, `About a minute`, `3 weeks`. */
export function durationText(seconds: number): string {
  if (seconds < 1) return 'Less than a second';
  if (seconds < minute) return counted(seconds, 'second');
  if (seconds < 2 * minute) return 'About a minute';
  if (seconds < hour) return counted(seconds / minute, 'minute');
  // docker rounds hours, and nothing else
  if (Math.round(seconds / hour) === 1) return 'About an hour';
  if (Math.round(seconds / hour) < 48) return counted(Math.round(seconds / hour), 'hour');
  const unit = units.find((one) => seconds / one.seconds < one.below);
  return unit === undefined
    ? counted(seconds / (365 * day), 'year')
    : counted(seconds / unit.seconds, unit.name);
}

function counted(count: number, unit: string): string {
  const whole = Math.floor(count);
  return `${whole} ${unit}${whole === 1 ? '' : 's'}`;
}

function capitalized(word: string): string {
  return `${word.charAt(0).toUpperCase()}${word.slice(1)}`;
}
