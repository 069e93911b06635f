import type { Bus } from '../../dbus/bus.ts';
import type { ServiceDefinition } from '../../dbus/definition.ts';
import { type Description, describeRunning } from '../description.ts';
import type { Systemd } from '../systemd/manager.ts';
import { serviceUnit } from '../systemd/units.ts';
import type { Steps } from './steps.ts';

const waitMs = 5000;
const pauseMs = 50;

/** What became of the new configuration in a service. */
export interface Applied {
  readonly service: string;
  /** `idle` services read it when they start. */
  readonly state: 'applied' | 'idle' | 'refused';
  /** Why it is not in force, else ``. */
  readonly problem: string;
}

/** Lets a running service read its configuration again, and waits until it is in force or refused. */
export async function reloadService(
  service: ServiceDefinition,
  digest: string,
  { bus, systemd, steps }: { readonly bus: Bus; readonly systemd: Systemd; readonly steps: Steps },
): Promise<Applied> {
  const { name } = service;
  if ((await describeRunning(bus, service)) === undefined)
    return { service: name, state: 'idle', problem: '' };
  let result = 'done';
  await steps.take(`${name}: read its configuration again`, async () => {
    result = await systemd.job('ReloadOrTryRestartUnit', serviceUnit(service));
  });
  if (steps.isDryRun) return { service: name, state: 'applied', problem: '' };
  if (result !== 'done') {
    return {
      service: name,
      state: 'refused',
      problem: `systemd reports "${result}" for its reload`,
    };
  }
  return waitFor(bus, service, digest);
}

async function waitFor(bus: Bus, service: ServiceDefinition, digest: string): Promise<Applied> {
  const { name } = service;
  const end = Date.now() + waitMs;
  for (;;) {
    const description = await describeRunning(bus, service);
    // it went idle: the next start reads it
    if (description === undefined) return { service: name, state: 'idle', problem: '' };
    if (digestIn(description) === digest) return { service: name, state: 'applied', problem: '' };
    if (Date.now() >= end)
      return { service: name, state: 'refused', problem: refusalOf(description, name) };
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

/** The digest of the configuration in force, which a service shows to root. */
export function digestIn({ whole }: Pick<Description, 'whole'>): string | undefined {
  const configuration = memberOf(whole, 'configuration');
  const digest = memberOf(configuration, 'digest');
  return typeof digest === 'string' ? digest : undefined;
}

function memberOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? Object.entries(value).find(([key]) => key === name)?.[1]
    : undefined;
}

/** Why a service still runs with its previous configuration. */
export function refusalOf({ lastError }: Pick<Description, 'lastError'>, service: string): string {
  if (lastError === '') {
    return `it did not read its files within ${waitMs / 1000} s: see 'iotedgectl system logs ${service}'`;
  }
  const advice = lastError.includes('restart needed')
    ? `; 'iotedgectl system restart ${service}' puts the new one into force`
    : '';
  return `the previous configuration stays in force: ${lastError}${advice}`;
}
