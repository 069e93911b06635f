import type { Via } from '../../dbus/client/via.ts';
import { describeError } from '../../errors.ts';

/** Sources of the checks. */
export interface CheckParts {
  /** The result of Describe, by the name of the service. */
  readonly descriptions: Readonly<Record<string, (via: Via) => Promise<string>>>;
  /** What is known of this machine. */
  readonly machine: (signal: AbortSignal) => Promise<object>;
  readonly now: () => Date;
}

interface CheckResult {
  readonly result: 'ok' | 'warning' | 'error';
  readonly details?: readonly string[];
}

/** One check for each service, in the form in which Azure's `iotedge check -o json` reports its own. */
export async function checks(
  { descriptions, machine, now }: CheckParts,
  via: Via,
): Promise<object> {
  const results = Object.entries(descriptions).map(
    async ([service, describe]) => [`iotedge-${service}`, await checkOf(describe, via)] as const,
  );
  const [found, system] = await Promise.all([
    Promise.all(results),
    machine(via.signal).catch(() => ({})),
  ]);
  return {
    additional_info: { now: now().toISOString(), ...system },
    checks: Object.fromEntries(found),
  };
}

async function checkOf(describe: (via: Via) => Promise<string>, via: Via): Promise<CheckResult> {
  try {
    const description: unknown = JSON.parse(await describe(via));
    const members = new Map<string, unknown>(Object.entries(description ?? {}));
    if (members.get('health') === 'ok') return { result: 'ok' };
    const reason = members.get('last_error');
    return { result: 'warning', details: typeof reason === 'string' ? [reason] : [] };
  } catch (error) {
    via.signal.throwIfAborted();
    return { result: 'error', details: [describeError(error)] };
  }
}
