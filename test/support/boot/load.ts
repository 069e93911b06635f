import type { BootedSystem } from './booted-system.ts';

/** Calls beside which something happens. */
export interface Load {
  readonly count: number;
  /** Seconds between two calls, in turn. A call does not wait for the one before. */
  readonly pauses: readonly number[];
}

const script = `
count=$1 pauses=$2
shift 2
directory=$(mktemp -d)
number=0
while :; do
  for pause in $pauses; do
    [ "$number" -lt "$count" ] || break 2
    number=$((number + 1))
    "$@" >"$directory/$number" 2>&1 || echo "call $number: $(cat "$directory/$number")" &
    sleep "$pause"
  done
done
wait
rm -r "$directory"
`;

const keys = ['org.iotedge.Keys1', '/org/iotedge/Keys1', 'org.iotedge.Keys1'];
/** A call that every user may make. */
export const openCall = [
  'busctl',
  '--timeout=30',
  'call',
  ...keys,
  'GetRandom',
  'ua{sv}',
  '8',
  '0',
];

/** Calls the Keys service again and again; resolves with what busctl said of the calls that failed. */
export async function failedCalls(
  system: BootedSystem,
  { count, pauses }: Load,
): Promise<readonly string[]> {
  const longestMs = count * Math.max(...pauses) * 1000;
  const command = ['sh', '-c', script, 'load', String(count), pauses.join(' '), ...openCall];
  const text = await system.output(command, { timeoutMs: 60_000 + 3 * longestMs });
  return text.split('\n').filter((line) => line !== '');
}
