import { type CommandContext, textOption, UsageError } from '../../command.ts';
import { bareNumberNote, parseLogTime } from './log-time.ts';

/** The options of a verb that reads a log. */
export const logOptions = {
  follow: {
    type: 'boolean',
    short: 'f',
    help: 'go on with new lines until it ends or you interrupt',
  },
  tail: { type: 'string', short: 'n', value: 'COUNT', help: 'only the last lines' },
  since: {
    type: 'string',
    value: 'TIME',
    help: 'only lines after a time (2026-01-31T12:00:00Z), or of the last 10m, 1h30m, 2d',
  },
  until: { type: 'string', value: 'TIME', help: 'only lines before a time, or older than 10m' },
  timestamps: { type: 'boolean', short: 't', help: 'begin each line with its time' },
} as const;

/** The options of the methods that read a log. */
export interface LogRequest {
  readonly tail?: number;
  readonly since?: bigint;
  readonly until?: bigint;
  readonly timestamps: boolean;
  readonly follow: boolean;
}

/** What to note about the times that a command line states. */
export function logTimeNotes(context: Pick<CommandContext, 'options'>): readonly string[] {
  return ['since', 'until'].flatMap(
    (option) => bareNumberNote(option, textOption(context, option) ?? '') ?? [],
  );
}

/** The request that a command line states. */
export function logRequest(context: Pick<CommandContext, 'options'>, now: Date): LogRequest {
  const tail = textOption(context, 'tail');
  const since = textOption(context, 'since');
  const until = textOption(context, 'until');
  const isAll = tail === undefined || tail === 'all' || tail === '-1';
  if (!isAll && !/^\d{1,9}$/.test(tail))
    throw new UsageError('--tail takes a count of lines, or all');
  return {
    ...(!isAll && { tail: Number(tail) }),
    ...(since !== undefined && { since: parseLogTime('since', since, now) }),
    ...(until !== undefined && { until: parseLogTime('until', until, now) }),
    timestamps: context.options['timestamps'] === true,
    follow: context.options['follow'] === true,
  };
}
