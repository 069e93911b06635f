/**
 * Calls that start a service whose unit then fails. dbus-daemon learns of a failed start only where systemd refuses the
 * job at once; otherwise it fails the calls after 25 s. dbus-broker fails them at once, without a reason.
 */
import { setTimeout } from 'node:timers/promises';
import type { Bus } from '../../dbus/bus.ts';
import type { ServiceDefinition } from '../../dbus/definition.ts';
import { isServiceError, ServiceError } from '../../errors.ts';
import { unitState } from './unit-state.ts';
import { serviceUnit } from './units.ts';

/** Most services are running before the first look. */
const lookMs = 1000;

/** The reply to a call of a service; Unavailable with systemd's reason as soon as its unit has failed to start. */
export async function replyOrFailedStart<T>(
  bus: Bus,
  service: ServiceDefinition,
  reply: Promise<T>,
): Promise<T> {
  const replied = new AbortController();
  try {
    return await Promise.race([reply, failedStart(bus, service, replied.signal)]);
  } catch (error) {
    if (!isServiceError(error, 'Unavailable')) throw error;
    const problem = await startProblem(bus, service);
    throw problem === '' ? error : new ServiceError('Unavailable', problem, { cause: error });
  } finally {
    replied.abort();
    reply.catch(() => undefined); // it comes too late
  }
}

/** Rejects with Unavailable when the unit of a service that does not run has failed; never resolves. */
async function failedStart(
  bus: Bus,
  service: ServiceDefinition,
  signal: AbortSignal,
): Promise<never> {
  while (await isPassed(lookMs, signal)) {
    const problem = await startProblem(bus, service);
    if (problem !== '') throw new ServiceError('Unavailable', problem);
  }
  return new Promise(() => undefined);
}

async function isPassed(ms: number, signal: AbortSignal): Promise<boolean> {
  await setTimeout(ms, undefined, { signal }).catch(() => undefined); // replied
  return !signal.aborted;
}

/** Why a service does not run, `` for one that runs, that starts, or of which systemd knows nothing. */
async function startProblem(bus: Bus, service: ServiceDefinition): Promise<string> {
  try {
    if ((await bus.nameOwner(service.busName)) !== undefined) return '';
  } catch {
    return ''; // the failure of the call itself is reported
  }
  const state = await unitState(bus, serviceUnit(service));
  if (state?.active !== 'failed' || state.isQueued) return '';
  // a call would not: for 25 s dbus-daemon has further calls wait for the start that failed
  return `${state.problem}; 'iotedgectl system restart ${service.name}' starts it once that is mended`;
}
