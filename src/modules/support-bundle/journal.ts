import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describeError } from '../../errors.ts';

/** A part of the time; both ends may be open. */
export interface TimeRange {
  readonly since: Date | undefined;
  readonly until: Date | undefined;
}

const program = '/usr/bin/journalctl';
/** The newest records of a unit. */
const maxRecords = 50_000;
const maxComplaint = 1024;

/** The arguments of journalctl for the records of a unit. */
export function journalArguments(unit: string, { since, until }: TimeRange): readonly string[] {
  const seconds = (time: Date): string => `@${time.getTime() / 1000}`;
  return [
    '--no-pager',
    '--quiet',
    '--output=short-iso-precise',
    `--lines=${maxRecords}`,
    `--unit=${unit}`,
    ...(since === undefined ? [] : [`--since=${seconds(since)}`]),
    ...(until === undefined ? [] : [`--until=${seconds(until)}`]),
  ];
}

/** The reason that stands in place of an empty journal. */
function noRecords(unit: string, { since, until }: TimeRange): string {
  const from = since === undefined ? '' : ` since ${since.toISOString()}`;
  const to = until === undefined ? '' : ` until ${until.toISOString()}`;
  const reasons = 'it did not run, or the journal is not kept or not readable for this service';
  return `(no records of ${unit}${from}${to}: ${reasons})\n`;
}

/** The journal of a unit as text, the reason where it is empty, and at its end what journalctl complains of. The process ends with the iteration. */
export async function* journal(
  unit: string,
  range: TimeRange,
  { signal, executable = program }: { readonly signal: AbortSignal; readonly executable?: string },
): AsyncGenerator<Uint8Array> {
  signal.throwIfAborted();
  const child = spawn(executable, journalArguments(unit, range), {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: '/usr/bin:/bin', LC_ALL: 'C.UTF-8' },
  });
  const failed = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(`${describeError(error)}\n`));
  });
  const ended = once(child, 'close').catch(() => undefined);
  const kill = (): void => void child.kill('SIGKILL');
  signal.addEventListener('abort', kill, { once: true });
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(0, maxComplaint);
  });
  try {
    let isEmpty = true;
    for await (const chunk of child.stdout as AsyncIterable<Uint8Array>) {
      isEmpty = false;
      yield chunk; // no encoding is set
    }
    signal.throwIfAborted();
    const problem = await Promise.race([failed, ended.then(() => complaint)]);
    if (problem !== '') yield Buffer.from(problem);
    else if (isEmpty) yield Buffer.from(noRecords(unit, range));
  } finally {
    signal.removeEventListener('abort', kill);
    kill();
    await Promise.race([failed, ended]);
  }
}
