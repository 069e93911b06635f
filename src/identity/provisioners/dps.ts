import { ServiceError } from '../../errors.ts';
import { type CloudAnswer, type CloudClient, failureOf, fieldOf, stringField } from '../cloud.ts';
import type { Assignment, Provisioner } from '../provisioner.ts';

const apiVersion = 'api-version=2021-06-01';
const defaultPollMs = 2000;
const maxPollMs = 60_000;
const deadlineMs = 10 * 60_000;
const hostPattern = /^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?$/;

/** What a registration needs. */
export interface DpsOptions {
  readonly globalEndpoint: string;
  readonly scopeId: string;
  readonly registrationId: () => Promise<string>;
  readonly cloud: CloudClient;
  readonly delay: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** Registers with the Device Provisioning Service by client certificate, and polls until it is assigned. */
export class DpsProvisioner implements Provisioner {
  readonly source = 'dps';
  readonly attestation = 'x509';
  readonly #options: DpsOptions;

  constructor(options: DpsOptions) {
    this.#options = options;
  }

  /** Unavailable when the service refuses, cannot be reached, or does not decide within 10 minutes. */
  async provision(signal: AbortSignal): Promise<Assignment> {
    const { globalEndpoint, scopeId, registrationId, cloud } = this.#options;
    const id = await registrationId();
    const base = `${globalEndpoint}/${encodeURIComponent(scopeId)}/registrations/${encodeURIComponent(id)}`;
    const limited = AbortSignal.any([signal, AbortSignal.timeout(deadlineMs)]);
    const what = `registering ${id} with ${new URL(globalEndpoint).host}`;
    const url = `${base}/register?${apiVersion}`;
    const body = { registrationId: id };
    let answer = await cloud.send({ method: 'PUT', url, body }, limited);
    for (;;) {
      if (answer.status !== 200 && answer.status !== 202) throw failureOf(what, answer);
      const assignment = assignmentOf(what, answer);
      if (assignment !== undefined) return assignment;
      const operationId = stringField(answer.body, 'operationId') ?? '';
      await this.#options.delay(pollDelayMs(answer), limited);
      const operation = `${base}/operations/${encodeURIComponent(operationId)}?${apiVersion}`;
      answer = await cloud.send({ method: 'GET', url: operation }, limited);
    }
  }
}

function pollDelayMs({ retryAfterS }: CloudAnswer): number {
  return retryAfterS === undefined ? defaultPollMs : Math.min(retryAfterS * 1000, maxPollMs);
}

/** Undefined while the service is still deciding. */
function assignmentOf(what: string, answer: CloudAnswer): Assignment | undefined {
  const status = (stringField(answer.body, 'status') ?? '').toLowerCase();
  if (status === 'assigning' || status === 'unassigned') {
    if (stringField(answer.body, 'operationId') === undefined) {
      throw new ServiceError('Unavailable', `${what}: the answer names no operation`);
    }
    return undefined;
  }
  const state = fieldOf(answer.body, 'registrationState');
  if (status !== 'assigned') {
    const reason = stringField(state, 'errorMessage') ?? 'no reason given';
    const code = stringField(state, 'errorCode') ?? 'none';
    throw new ServiceError(
      'Unavailable',
      `${what}: the service answered ${JSON.stringify(status)}: ${reason} (error ${code})`,
    );
  }
  const hubHostname = stringField(state, 'assignedHub') ?? '';
  const deviceId = stringField(state, 'deviceId') ?? '';
  if (!hostPattern.test(hubHostname) || deviceId === '') {
    throw new ServiceError('Unavailable', `${what}: the answer names no hub and device`);
  }
  return { hubHostname, deviceId };
}
