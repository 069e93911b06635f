import type { Via } from '../../dbus/client/via.ts';
import { describeError, ServiceError } from '../../errors.ts';
import type { HttpsClient } from '../../https/https-client.ts';
import { HttpsFailure } from '../../https/https-failure.ts';
import type { HttpsRequest, HttpsResponse } from '../../https/https-request.ts';
import { readSystemRoots } from '../../https/system-roots.ts';
import { encodeCertificatesPem } from '../../x509/certificate.ts';
import type { CloudSettings } from '../config/config.ts';
import type { NamedCertificates } from './certificate-file.ts';
import type { CloudClient, CloudRequest, CloudResponse, RemoteCredential } from './cloud.ts';
import { readContent } from './error-bodies.ts';

/** Options of HttpsCloud. */
export interface HttpsCloudOptions {
  readonly https: HttpsClient;
  readonly settings: CloudSettings;
  /** Reads `settings.trustedCa`. */
  readonly files: NamedCertificates;
  /** Called for each request, since certificates are renewed. */
  readonly credential: (via: Via) => Promise<RemoteCredential>;
  readonly onDate: (date: Date) => void;
  readonly userAgent: string;
}

/** Sends requests over HTTPS with the certificate of the device. */
export class HttpsCloud implements CloudClient {
  readonly #options: HttpsCloudOptions;

  constructor(options: HttpsCloudOptions) {
    this.#options = options;
  }

  async send(request: CloudRequest, via: Via): Promise<CloudResponse> {
    const { settings, files, credential, onDate, userAgent } = this.#options;
    const { method, url, body, headers } = request;
    const ca = await readRoots(settings.trustedCa, files);
    const response = await this.#exchange(
      {
        method,
        url,
        headers: {
          accept: 'application/json',
          'user-agent': userAgent,
          ...(body !== undefined && { 'content-type': 'application/json; charset=utf-8' }),
          ...headers,
        },
        clientCertificate: await credential(via),
        requestId: via.requestId,
        timeoutMs: settings.timeoutMs,
        ...(body !== undefined && { body: JSON.stringify(body) }),
        ...(ca !== undefined && { ca }),
        ...(settings.proxy !== undefined && { proxy: settings.proxy }),
      },
      via.signal,
    );
    const date = dateOf(response);
    if (date !== undefined) onDate(date);
    return {
      status: response.status,
      // a date there is one of the cloud's clock, which may not be this one's
      retryAfterS: retryAfterOf(headerOf(response, 'retry-after'), (date ?? new Date()).getTime()),
      errorCode: headerOf(response, 'iothub-errorcode'),
      etag: headerOf(response, 'etag'),
      ...readContent(response.body),
    };
  }

  async #exchange(request: HttpsRequest, signal: AbortSignal): Promise<HttpsResponse> {
    try {
      return await this.#options.https.request(request, signal);
    } catch (error) {
      const cause = error instanceof ServiceError ? error.cause : undefined;
      if (!(cause instanceof HttpsFailure) || cause.kind !== 'server-certificate') throw error;
      const hint =
        'set cloud.trusted_ca to the roots of the cloud or of the gateway, if not all trust them';
      throw new ServiceError('Unavailable', `${describeError(error)}: ${hint}`);
    }
  }
}

/** PEM of the roots in these files, else of those of the system. */
async function readRoots(
  paths: readonly string[],
  files: NamedCertificates,
): Promise<string | undefined> {
  if (paths.length === 0) return readSystemRoots();
  try {
    const roots = await Promise.all(paths.map((path) => files.read(path)));
    return encodeCertificatesPem(roots.flat());
  } catch (error) {
    throw new ServiceError('Unavailable', `cloud.trusted_ca: ${describeError(error)}`);
  }
}

function headerOf({ headers }: HttpsResponse, name: string): string | undefined {
  return headers[name];
}

function dateOf(response: HttpsResponse): Date | undefined {
  const time = Date.parse(headerOf(response, 'date') ?? '');
  return Number.isNaN(time) ? undefined : new Date(time);
}

/** Seconds of a Retry-After header, which holds seconds or a date (RFC 9110 10.2.3). */
export function retryAfterOf(header: string | undefined, nowMs: number): number | undefined {
  if (header === undefined) return undefined;
  if (/^\d{1,9}$/.test(header)) return Number(header);
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, (date - nowMs) / 1000);
}
