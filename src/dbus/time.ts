/** A time as D-Bus properties carry it: microseconds since the epoch, 0 for none. */
export function microseconds(time: Date | undefined): bigint {
  return time === undefined ? 0n : BigInt(time.getTime()) * 1000n;
}
