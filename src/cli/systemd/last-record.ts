import { setTimeout } from 'node:timers/promises';
import { printable } from '../output.ts';
import type { Properties } from './manager.ts';

const timeoutMs = 5000;
/** A service that ends at once has ended before journald has stored its last record. */
const attempts = 5;
const pauseMs = 200;

/** The last record that a unit's latest process wrote to the journal; `` when there is none that this user may read. */
export async function lastRecord(unit: string, properties: Properties): Promise<string> {
  const { spawnSync } = await import('node:child_process'); // nothing failed, usually
  const args = lastRecordArguments(unit, properties.get('InvocationID'));
  for (let attempt = 1; ; attempt++) {
    const { status, stdout } = spawnSync('journalctl', args, {
      encoding: 'utf8',
      timeout: timeoutMs,
    });
    const record = status === 0 ? printable(stdout.trim()) : '';
    if (record !== '' || attempt === attempts) return record;
    await setTimeout(pauseMs);
  }
}

/** The arguments for journalctl: records of the service itself, not of systemd about it. */
export function lastRecordArguments(unit: string, invocation: unknown): readonly string[] {
  const one =
    Buffer.isBuffer(invocation) && invocation.length > 0
      ? [`_SYSTEMD_INVOCATION_ID=${invocation.toString('hex')}`]
      : [];
  const shown = ['--quiet', '--no-pager', '--output=cat', '--lines=1'];
  return [...shown, `_SYSTEMD_UNIT=${unit}`, ...one];
}
