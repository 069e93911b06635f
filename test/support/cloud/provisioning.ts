import { randomUUID, X509Certificate } from 'node:crypto';
import {
  CloudRefusal,
  type CloudRequest,
  type CloudResponse,
  requireApiVersion,
  requireJson,
} from './exchange.ts';
import { refusalOfSas } from './sas.ts';

/** A device that may register, by client certificate or by symmetric key. */
export interface Enrollment {
  readonly deviceId: string;
  readonly symmetricKey?: Buffer;
  /** For an individual enrollment, the SHA-256 of its certificate in hex; otherwise any certificate that the roots issued. */
  readonly thumbprint?: string;
  /** Issues the device's certificate for a CSR in DER: the chain in DER, leaf first; absent: the service issues none. */
  readonly issue?: (csr: Buffer, registrationId: string) => readonly Buffer[];
  /** The payload that the enrollment returns to its device. */
  readonly payload?: unknown;
}

/** The registrations of a double. */
export interface ProvisioningOptions {
  readonly scopeId: string;
  /** By registration id, case-insensitive. */
  readonly enrollments: ReadonlyMap<string, Enrollment>;
  /** The number of polls with the status `assigning` before the outcome. */
  readonly assigningPolls: number;
  readonly retryAfterS: number;
  /** Registers the device on a hub, and returns the hub's host name. */
  readonly assign: (registrationId: string, enrollment: Enrollment) => string;
}

interface Operation {
  readonly registrationId: string;
  readonly attestation: 'x509' | 'symmetricKey';
  /** The reason when the outcome is a failure. */
  readonly failure: Failure | undefined;
  /** Members of the state that carry an issued certificate. */
  readonly issued: object;
  polls: number;
}

interface Failure {
  readonly errorCode: number;
  readonly errorMessage: string;
}

/** The member with the CSR in the previews in which the service issues certificates. */
const csrMemberOf = new Map([
  ['2021-11-01-preview', 'clientCertificateCsr'],
  ['2025-07-01-preview', 'csr'],
]);
/** The versions of the official clients, and those previews. */
const versions = ['2018-11-01', '2019-03-31', '2021-06-01', ...csrMemberOf.keys()];
const csrMembers = [...csrMemberOf.values()];
const members = ['registrationId', 'payload', ...csrMembers];

/** The provisioning service: register, then poll the operation. */
export class Provisioning {
  /** The final status of registrations; anything but `assigned` is a failure. */
  outcome: 'assigned' | 'failed' | 'disabled' = 'assigned';
  /** The error of a failed registration. */
  failure: Failure = { errorCode: 400207, errorMessage: 'no hub can take the device' };
  readonly #options: ProvisioningOptions;
  readonly #enrollments: ReadonlyMap<string, Enrollment>;
  readonly #operations = new Map<string, Operation>();

  constructor(options: ProvisioningOptions) {
    this.#options = options;
    this.#enrollments = new Map(
      [...options.enrollments].map(([id, enrollment]) => [id.toLowerCase(), enrollment]),
    );
  }

  /** Whether a path belongs to this service. */
  static serves(path: readonly string[]): boolean {
    return path[1] === 'registrations';
  }

  respond(request: CloudRequest): CloudResponse {
    requireApiVersion(request, versions, (message) => new CloudRefusal(400, message, 400002));
    const [scopeId, , registrationId = '', verb, operationId = ''] = request.path;
    if (scopeId !== this.#options.scopeId) throw new CloudRefusal(401, 'unknown id scope', 401002);
    const enrollment = this.#authenticate(request, registrationId);
    if (verb === 'register' && request.path.length === 4) {
      if (request.method !== 'PUT') throw new CloudRefusal(405, 'use PUT');
      return this.#register(request, registrationId, enrollment);
    }
    if (verb === 'operations' && request.path.length === 5) {
      if (request.method !== 'GET') throw new CloudRefusal(405, 'use GET');
      return this.#poll(operationId, registrationId, enrollment);
    }
    throw new CloudRefusal(404, 'no such resource');
  }

  /** The refusal is the same whether the registration or its proof is unknown. */
  #authenticate(request: CloudRequest, registrationId: string): Enrollment {
    const enrollment = this.#enrollments.get(registrationId.toLowerCase());
    const refusal =
      enrollment?.symmetricKey === undefined
        ? refusalOfCertificate(request, registrationId, enrollment)
        : refusalOfKey(request, this.#options.scopeId, registrationId, enrollment.symmetricKey);
    if (enrollment === undefined || refusal !== undefined) {
      throw new CloudRefusal(401, refusal ?? 'Unauthorized', 401002);
    }
    return enrollment;
  }

  #register(
    request: CloudRequest,
    registrationId: string,
    { symmetricKey, issue }: Enrollment,
  ): CloudResponse {
    const body = requireJson(request, members);
    const named = body['registrationId'];
    if (typeof named !== 'string' || named.toLowerCase() !== registrationId.toLowerCase()) {
      throw new CloudRefusal(400, 'registrationId is not that of the path', 400004);
    }
    const version = request.query.get('api-version') ?? '';
    const csr = csrIn(body, version);
    const failure =
      csr !== undefined && issue === undefined
        ? { errorCode: 400000, errorMessage: 'Device sent CSR but it is not configured.' }
        : undefined;
    const chain = (csr && issue?.(csr, registrationId)) ?? [];
    const issued = chain.length === 0 ? {} : issuedMembers(chain, version);
    const operationId = `4.${randomUUID().replaceAll('-', '')}.${randomUUID()}`;
    const attestation = symmetricKey === undefined ? 'x509' : 'symmetricKey';
    this.#operations.set(operationId, { registrationId, attestation, failure, issued, polls: 0 });
    return this.#assigning(operationId);
  }

  #assigning(operationId: string): CloudResponse {
    return {
      status: 202,
      headers: { 'retry-after': String(this.#options.retryAfterS) },
      body: { operationId, status: 'assigning' },
    };
  }

  #poll(operationId: string, registrationId: string, enrollment: Enrollment): CloudResponse {
    const operation = this.#operations.get(operationId);
    if (operation?.registrationId.toLowerCase() !== registrationId.toLowerCase()) {
      throw new CloudRefusal(404, 'operation not found', 404202);
    }
    if (operation.polls++ < this.#options.assigningPolls) return this.#assigning(operationId);
    const status = operation.failure === undefined ? this.outcome : 'failed';
    const registrationState = this.#stateOf(operation, enrollment, status);
    return { status: 200, body: { operationId, status, registrationState } };
  }

  #stateOf(
    { registrationId, attestation, failure, issued }: Operation,
    enrollment: Enrollment,
    status: string,
  ) {
    const now = new Date().toISOString();
    const state = {
      [attestation]: attestation === 'x509' ? { enrollmentGroupId: 'devices' } : {},
      registrationId: registrationId.toLowerCase(),
      createdDateTimeUtc: now,
      lastUpdatedDateTimeUtc: now,
      status,
      etag: 'IjVmMDAwMDAwLTAwMDAtMDcwMC0wMDAwLTVmMDAwMDAwMDAwMCI=',
    };
    if (status === 'failed') return { ...state, ...(failure ?? this.failure) };
    if (status === 'disabled') return state;
    const { deviceId, payload } = enrollment;
    const assignedHub = this.#options.assign(registrationId, enrollment);
    const substatus = 'initialAssignment';
    const assigned = { ...state, assignedHub, deviceId, substatus, ...issued };
    return payload === undefined ? assigned : { ...assigned, payload };
  }
}

/** The CSR in a registration: base64 of DER in one line, in the member of this version. */
function csrIn(body: Readonly<Record<string, unknown>>, version: string): Buffer | undefined {
  const sent = csrMembers.filter((name) => name in body);
  if (sent.length === 0) return undefined;
  const text = body[csrMemberOf.get(version) ?? ''];
  const csr = Buffer.from(typeof text === 'string' ? text : '', 'base64');
  const isDer = csr[0] === 0x30 && csr.toString('base64') === text;
  if (sent.length > 1 || !isDer) throw new CloudRefusal(400, 'the CSR is malformed', 400004);
  return csr;
}

function issuedMembers(chain: readonly Buffer[], version: string): object {
  if (version === '2025-07-01-preview') {
    return { issuedCertificateChain: chain.map((der) => der.toString('base64')) };
  }
  const pem = chain.map((der) => new X509Certificate(der).toString());
  return { issuedClientCertificate: pem.join('') };
}

function refusalOfCertificate(
  { certificate }: CloudRequest,
  registrationId: string,
  enrollment: Enrollment | undefined,
): string | undefined {
  if (certificate === undefined) return 'Unauthorized';
  const thumbprint = enrollment?.thumbprint;
  if (thumbprint !== undefined) {
    return certificate.thumbprint === thumbprint.toLowerCase() ? undefined : 'Invalid certificate.';
  }
  if (!certificate.trusted || enrollment === undefined) return 'CA certificate not found.';
  const named = certificate.commonName.toLowerCase() === registrationId.toLowerCase();
  return named ? undefined : 'Invalid certificate.';
}

function refusalOfKey(
  { headers, now }: CloudRequest,
  scopeId: string,
  registrationId: string,
  key: Buffer,
): string | undefined {
  const resource = `${scopeId}/registrations/${registrationId}`;
  const expected = { resource, key, now, keyName: 'registration' };
  return refusalOfSas(headers.authorization ?? '', expected) && 'Unauthorized';
}
