import { type Bus, BusError } from '../../dbus/bus.ts';
import type { ServiceDefinition } from '../../dbus/definition.ts';
import { describeError, isServiceError } from '../../errors.ts';
import { certificatesService } from '../../interfaces/certificates.ts';
import { type Description, describeService } from '../description.ts';
import { services, serviceUnit } from '../systemd/units.ts';
import { certificateChecks } from './certificate-checks.ts';
import { allIsWell, type Check } from './check-result.ts';

/** The checks on the four services, which are started for it, and on what they hold. */
export async function serviceChecks(bus: Bus, now: Date): Promise<readonly Check[]> {
  const found = await Promise.all(services.map((service) => checksOf(bus, service, now)));
  return found.flat();
}

async function checksOf(
  bus: Bus,
  service: ServiceDefinition,
  now: Date,
): Promise<readonly Check[]> {
  const name = `${service.name} service`;
  try {
    const description = await describeService(bus, service);
    const own = { name, ...healthOf(service, description) };
    return service === certificatesService ? [own, ...certificateChecks(description, now)] : [own];
  } catch (error) {
    // a failure of one service must not hide the others
    if (!isServiceError(error) && !(error instanceof BusError)) throw error;
    const advice = [`journalctl -u ${serviceUnit(service)} shows why`];
    const details = [describeError(error)];
    return [{ name, outcome: 'not available', result: 'error', details, advice }];
  }
}

function healthOf(
  { name }: ServiceDefinition,
  { health, lastError }: Description,
): Omit<Check, 'name'> {
  if (health === 'ok') return { outcome: 'healthy', ...allIsWell };
  const advice = [
    `'iotedgectl ${name === 'identity' ? 'identity show' : `${name} list`}' shows more`,
  ];
  return { outcome: health, result: 'warning', details: [lastError], advice };
}
