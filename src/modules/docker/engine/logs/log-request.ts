import type Docker from 'dockerode';
import type { LogRequest } from '../../../supervisor/module-type.ts';

/**
 * The log of a container as a stream, every line with its time. The client's own `logs` reads the whole response into
 * memory and parses it when it happens to be JSON, hence this request below it.
 */
export function logStream(docker: Docker, id: string, request: LogRequest): Promise<unknown> {
  const query = {
    stdout: true,
    stderr: true,
    timestamps: true,
    tail: request.tail ?? 'all',
    ...(request.follow === true && { follow: true }),
    ...(request.since !== undefined && { since: seconds(request.since) }),
    ...(request.until !== undefined && { until: seconds(request.until) }),
  };
  return new Promise((resolve, reject) => {
    const options = {
      path: `/containers/${id}/logs?`,
      method: 'GET',
      isStream: true,
      statusCodes: { 200: true, 404: 'no such container', 500: 'server error' },
      options: query,
    };
    docker.modem.dial(options, (error: unknown, stream: unknown) => {
      if (error instanceof Error) reject(error);
      else resolve(stream);
    });
  });
}

/** `1700000000.000250000`: the engine takes a fraction of fewer digits through a floating-point number. */
function seconds(nanoseconds: bigint): string {
  return `${nanoseconds / 1_000_000_000n}.${String(nanoseconds % 1_000_000_000n).padStart(9, '0')}`;
}
