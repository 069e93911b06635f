import type { Via } from '../../dbus/client/via.ts';
import { ServiceError } from '../../errors.ts';
import {
  type CloudClient,
  type CloudResponse,
  failureOf,
  fieldOf,
  nameField,
  wordsField,
} from '../cloud/cloud.ts';
import { joinWords, wordsOf } from '../cloud/error-bodies.ts';
import { isHostAndPort } from '../config/host-and-port.ts';
import type { CertificateOrder, IssuedCertificate } from './issued-certificate.ts';
import type { AssignedDevice, Assignment, Provisioner } from './provisioner.ts';

const apiVersion = '2021-06-01';
const defaultPollMs = 2000;
const minPollMs = 1000;
const maxPollMs = 60_000;
/** A service that is busy for longer has lost the registration, or is down. */
const maxBusyPolls = 10;

/** Options of DpsProvisioner. */
export interface DpsOptions {
  readonly endpoint: string;
  readonly scopeId: string;
  readonly registrationId: (via: Via) => Promise<string>;
  readonly cloud: CloudClient;
  /** Undefined when the service does not issue the device's certificate. */
  readonly issuance?: Pick<IssuedCertificate, 'apiVersion' | 'order' | 'store'> | undefined;
  readonly delay: (ms: number, signal: AbortSignal) => Promise<void>;
  /** Creates the signal that limits the time for the service to decide. */
  readonly deadline: () => AbortSignal;
}

interface Registration {
  readonly base: string;
  readonly what: string;
  readonly id: string;
  readonly order: CertificateOrder | undefined;
}

interface Registered {
  readonly assigned: AssignedDevice;
  /** The object with the details of the service. */
  readonly state: unknown;
}

/** Registers with the Device Provisioning Service by client certificate, and polls until it is assigned. */
export class DpsProvisioner implements Provisioner {
  readonly source = 'dps';
  readonly attestation = 'x509';
  readonly #options: DpsOptions;

  constructor(options: DpsOptions) {
    this.#options = options;
  }

  /** Unavailable when the service refuses, is unreachable, or does not decide in time. */
  async provision(via: Via): Promise<Assignment> {
    const { endpoint, issuance, scopeId, registrationId } = this.#options;
    const id = await registrationId(via);
    const base = `${endpoint}/${encodeURIComponent(scopeId)}/registrations/${encodeURIComponent(id)}`;
    const what = `registering ${id} with ${new URL(endpoint).host}`;
    const late = this.#options.deadline();
    try {
      const signal = AbortSignal.any([via.signal, late]);
      const limited = { requestId: via.requestId, signal };
      const order = await issuance?.order(id, limited);
      const { assigned, state } = await this.#register({ base, what, id, order }, limited);
      const registered = { ...assigned, registrationId: id };
      if (issuance === undefined || order === undefined) return registered;
      const renewAt = await issuance.store(order, { registrationId: id, state }, limited);
      return { ...registered, renewAt: renewAt.toISOString() };
    } catch (error) {
      if (!late.aborted || via.signal.aborted) throw error;
      throw new ServiceError('Unavailable', `${what}: it was not decided in time`);
    }
  }

  async #register({ base, what, id, order }: Registration, via: Via): Promise<Registered> {
    const { cloud, issuance } = this.#options;
    const version = `api-version=${issuance?.apiVersion ?? apiVersion}`;
    const url = `${base}/register?${version}`;
    const body = { registrationId: id, ...(order && { [order.member]: order.csr }) };
    let response = await cloud.send({ method: 'PUT', url, body }, via);
    let operationId = '';
    // an accepted registration continues while the service is too busy to report its state
    for (let busy = 0; ; busy = isBusy(response) ? busy + 1 : 0) {
      const isDecided = !isBusy(response) || operationId === '' || busy >= maxBusyPolls;
      if (isDecided && response.status !== 200 && response.status !== 202)
        throw failureOf(what, response);
      const assignment = isDecided ? assignmentOf(what, response) : undefined;
      if (assignment !== undefined) {
        return { assigned: assignment, state: fieldOf(response.body, 'registrationState') };
      }
      operationId = nameField(response.body, 'operationId') ?? operationId;
      await this.#options.delay(pollDelayMs(response), via.signal);
      const operation = `${base}/operations/${encodeURIComponent(operationId)}?${version}`;
      response = await cloud.send({ method: 'GET', url: operation }, via);
    }
  }
}

function isBusy({ status }: CloudResponse): boolean {
  return status === 429 || status === 503;
}

function pollDelayMs({ retryAfterS }: CloudResponse): number {
  const delayMs = retryAfterS === undefined ? defaultPollMs : retryAfterS * 1000;
  return Math.min(Math.max(delayMs, minPollMs), maxPollMs);
}

/** Undefined while the service is still deciding. */
function assignmentOf(what: string, response: CloudResponse): AssignedDevice | undefined {
  const status = (wordsField(response.body, 'status') ?? '').toLowerCase();
  if (status === 'assigning' || status === 'unassigned') {
    if (nameField(response.body, 'operationId') === undefined) {
      throw new ServiceError('Unavailable', `${what}: the response has no operation id`);
    }
    return undefined;
  }
  if (status !== 'assigned') {
    throw new ServiceError('Unavailable', `${what}: ${refusalOf(status, response)}`);
  }
  const state = fieldOf(response.body, 'registrationState');
  const hubHostname = nameField(state, 'assignedHub') ?? '';
  const deviceId = nameField(state, 'deviceId') ?? '';
  if (!isHostAndPort(hubHostname) || deviceId === '') {
    throw new ServiceError('Unavailable', `${what}: the response has no hub or device`);
  }
  return { hubHostname, deviceId };
}

/** Why the device is not assigned, with advice for the operator. */
function refusalOf(status: string, response: CloudResponse): string {
  const words = joinWords(wordsOf(response));
  if (status === 'disabled') {
    const detail = words === '' ? '' : ` (${words})`;
    return `the enrollment is disabled: enable it in the service${detail}`;
  }
  return `the service returned status ${JSON.stringify(status)}: ${words || 'it gave no reason'}`;
}
