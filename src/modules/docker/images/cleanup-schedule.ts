import type { ImageCleanupConfig } from '../../config/housekeeping-config.ts';

const dayMs = 86_400_000;

/** When the clean-up after the last one is due. Those that are whole days apart have a time of day. */
export function nextCleanup(
  last: Date,
  { recurrenceMs, timeMin }: Pick<ImageCleanupConfig, 'recurrenceMs' | 'timeMin'>,
): Date {
  if (recurrenceMs % dayMs !== 0) return new Date(last.getTime() + recurrenceMs);
  const next = new Date(last);
  // in local time, where a day may have 23 or 25 hours
  next.setHours(Math.floor(timeMin / 60), timeMin % 60, 0, 0);
  if (next <= last) next.setDate(next.getDate() + 1);
  next.setDate(next.getDate() + recurrenceMs / dayMs - 1);
  return next;
}
