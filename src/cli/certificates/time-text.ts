const minute = 60;
const hour = 60 * minute;
const day = 24 * hour;
const year = 365 * day;
/** The unit of a duration: the largest of which there are at least two. */
const units = [
  { name: 'year', seconds: year },
  { name: 'day', seconds: day },
  { name: 'hour', seconds: hour },
  { name: 'minute', seconds: minute },
] as const;

/** The time from now to a time property: `in 3 days`, `2 hours ago`; `-` for none. */
export function relativeTime(microseconds: number, now: Date): string {
  if (microseconds === 0) return '-';
  const seconds = (microseconds / 1000 - now.getTime()) / 1000;
  const text = durationText(Math.abs(seconds));
  return seconds >= 0 ? `in ${text}` : `${text} ago`;
}

/** When a certificate expires or has expired: `expires in 3 days`. */
export function expiryText(notAfter: number, now: Date): string {
  const isOver = notAfter / 1000 < now.getTime();
  return `${isOver ? 'expired' : 'expires'} ${relativeTime(notAfter, now)}`;
}

/** Whole units, rounded down, so that no time is shown that is not left. */
function durationText(seconds: number): string {
  const unit = units.find((one) => seconds >= 2 * one.seconds);
  if (unit !== undefined) return `${Math.floor(seconds / unit.seconds)} ${unit.name}s`;
  return seconds >= minute ? '1 minute' : 'less than a minute';
}
