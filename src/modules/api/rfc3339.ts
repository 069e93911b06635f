const timePattern =
  /^(?<date>\d{4}-\d{2}-\d{2})[Tt ](?<clock>\d{2}:\d{2}:\d{2})(?<fraction>\.\d+)?(?:[Zz]|(?<sign>[+-])(?<offset>\d{2}:\d{2}))$/;

/** Parses a complete RFC 3339 time; undefined for any other text, such as a local time. */
export function parseRfc3339(text: string): Date | undefined {
  const {
    date = '',
    clock = '',
    fraction = '',
    sign,
    offset = '00:00',
  } = {
    ...timePattern.exec(text)?.groups,
  };
  const [year = 0, month = 0, day = 0] = numbers(date, '-');
  const [hour = 0, minute = 0, second = 0] = numbers(clock, ':');
  const [offsetHour = 0, offsetMinute = 0] = numbers(offset, ':');
  // second 60 is a leap second
  if (hour > 23 || minute > 59 || second > 60 || offsetHour > 23 || offsetMinute > 59) {
    return undefined;
  }
  const time = new Date(0);
  time.setUTCFullYear(year, month - 1, day);
  // setUTCFullYear moves a day that does not exist, such as 30 February, to the next month
  if (time.getUTCMonth() !== month - 1 || time.getUTCDate() !== day) return undefined;
  const minutesEast = (sign === '-' ? -1 : 1) * (offsetHour * 60 + offsetMinute);
  const milliseconds = Math.floor(Number(`0${fraction}`) * 1000);
  time.setUTCHours(hour, minute - minutesEast, second, milliseconds);
  return time;
}

function numbers(text: string, separator: string): readonly number[] {
  return text.split(separator).map(Number);
}
