import { randomUUID } from 'node:crypto';
import {
  CloudRefusal,
  type CloudRequest,
  type CloudResponse,
  requireApiVersion,
  requireJson,
} from './exchange.ts';
import { refusalOfSas } from './sas.ts';

/** A device that may register: by client certificate, or by symmetric key. */
export interface Enrollment {
  readonly deviceId: string;
  readonly symmetricKey?: Buffer;
}

/** How registrations go. */
export interface ProvisioningOptions {
  readonly scopeId: string;
  /** By registration id. */
  readonly enrollments: ReadonlyMap<string, Enrollment>;
  /** Polls answered with `assigning` before the outcome. */
  readonly assigningPolls: number;
  readonly retryAfterS: number;
  readonly assignedHub: () => string;
}

interface Operation {
  readonly registrationId: string;
  polls: number;
}

/** The registration half: register, then poll the operation. */
export class Provisioning {
  /** The status that registrations end with; anything but `assigned` is a failure. */
  outcome: 'assigned' | 'failed' | 'disabled' = 'assigned';
  /** Devices that were assigned, by id. */
  readonly assigned = new Set<string>();
  readonly #options: ProvisioningOptions;
  readonly #operations = new Map<string, Operation>();

  constructor(options: ProvisioningOptions) {
    this.#options = options;
  }

  /** Whether a path is this half's. */
  static serves(path: readonly string[]): boolean {
    return path[1] === 'registrations';
  }

  answer(request: CloudRequest): CloudResponse {
    requireApiVersion(request, '2021-06-01');
    const [scopeId, , registrationId = '', verb, operationId = ''] = request.path;
    if (scopeId !== this.#options.scopeId) throw new CloudRefusal(401, 'unknown id scope', 401002);
    const enrollment = this.#authenticate(request, registrationId);
    if (verb === 'register' && request.path.length === 4) {
      if (request.method !== 'PUT') throw new CloudRefusal(405, 'use PUT');
      return this.#register(request, registrationId);
    }
    if (verb === 'operations' && request.path.length === 5) {
      if (request.method !== 'GET') throw new CloudRefusal(405, 'use GET');
      return this.#poll(operationId, registrationId, enrollment);
    }
    throw new CloudRefusal(404, 'no such resource');
  }

  #authenticate(request: CloudRequest, registrationId: string): Enrollment {
    const enrollment = this.#options.enrollments.get(registrationId);
    if (enrollment === undefined) throw new CloudRefusal(404, 'device not found', 404201);
    if (enrollment.symmetricKey === undefined) {
      if (request.clientName === undefined) {
        throw new CloudRefusal(401, 'a client certificate of an enrolled root is needed', 401002);
      }
      if (request.clientName !== registrationId) {
        throw new CloudRefusal(401, 'the certificate is not for this registration', 401002);
      }
      return enrollment;
    }
    const refusal = refusalOfSas(request.headers.authorization ?? '', {
      resource: `${this.#options.scopeId}/registrations/${registrationId}`,
      key: enrollment.symmetricKey,
      now: request.now,
      keyName: 'registration',
    });
    if (refusal !== undefined) throw new CloudRefusal(401, refusal, 401002);
    return enrollment;
  }

  #register(request: CloudRequest, registrationId: string): CloudResponse {
    const body = requireJson(request);
    if (body['registrationId'] !== registrationId) {
      throw new CloudRefusal(400, 'registrationId is not that of the path', 400004);
    }
    const operationId = `4.${randomUUID()}`;
    this.#operations.set(operationId, { registrationId, polls: 0 });
    return this.#assigning(operationId);
  }

  #assigning(operationId: string): CloudResponse {
    return {
      status: 202,
      headers: { 'retry-after': String(this.#options.retryAfterS) },
      body: { operationId, status: 'assigning' },
    };
  }

  #poll(operationId: string, registrationId: string, { deviceId }: Enrollment): CloudResponse {
    const operation = this.#operations.get(operationId);
    if (operation?.registrationId !== registrationId) {
      throw new CloudRefusal(404, 'operation not found', 404202);
    }
    if (operation.polls++ < this.#options.assigningPolls) return this.#assigning(operationId);
    const now = new Date().toISOString();
    const status = this.outcome;
    const state = { registrationId, status, createdDateTimeUtc: now, lastUpdatedDateTimeUtc: now };
    if (status === 'failed') {
      const failure = { ...state, errorCode: 400207, errorMessage: 'no hub can take the device' };
      return { status: 200, body: { operationId, status, registrationState: failure } };
    }
    if (status === 'disabled') {
      return { status: 200, body: { operationId, status, registrationState: state } };
    }
    this.assigned.add(deviceId);
    const assignedHub = this.#options.assignedHub();
    const substatus = 'initialAssignment';
    const registrationState = { ...state, assignedHub, deviceId, substatus, etag: 'IjAi' };
    return { status: 200, body: { operationId, status, registrationState } };
  }
}
