import type { Via } from '../../../dbus/client/via.ts';
import type { BundleRequest } from '../../support-bundle/bundle.ts';
import { HttpProblem } from '../http/failure.ts';
import type { Route } from '../http/route.ts';
import { parseTimeParameter } from '../time-parameter.ts';

/** Source of the responses about this machine. */
export interface SystemBackend {
  readonly machine: (signal: AbortSignal) => Promise<object>;
  readonly resources: (signal: AbortSignal) => Promise<object>;
  /** A zip file. Rejects when there are too many at once. */
  readonly supportBundle: (request: BundleRequest, via: Via) => AsyncIterable<Uint8Array>;
  readonly now: () => Date;
}

/** The routes about this machine. */
export function systemRoutes(backend: SystemBackend): readonly Route[] {
  return [
    {
      method: 'GET',
      path: '/systeminfo',
      lane: 'system',
      respond: async ({ signal }) => ({ status: 200, json: await backend.machine(signal) }),
    },
    {
      method: 'GET',
      path: '/systeminfo/resources',
      since: '2019-11-05',
      lane: 'system',
      respond: async ({ signal }) => ({ status: 200, json: await backend.resources(signal) }),
    },
    {
      method: 'GET',
      path: '/systeminfo/supportbundle',
      since: '2020-07-07',
      streams: true,
      respond: (request) => {
        const asked = bundleRequestOf(request.query, backend.now());
        const chunks = backend.supportBundle(asked, request);
        return { status: 200, stream: { type: 'application/zip', chunks } };
      },
    },
  ];
}

/** What a query asks for; `iothub_hostname` and `host` concern checks that are not part of it. */
export function bundleRequestOf(query: URLSearchParams, now: Date): BundleRequest {
  const [sinceText, untilText] = [last(query, 'since'), last(query, 'until')];
  const since = timeOf('since', sinceText, now);
  const until = timeOf('until', untilText, now);
  const flag = last(query, 'edge_runtime_only') ?? 'false';
  if (flag !== 'true' && flag !== 'false') {
    throw new HttpProblem(400, 'edge_runtime_only is neither true nor false');
  }
  // the agent's client sends `since` as `until`, too, which would leave nothing
  const isRange = untilText !== sinceText;
  return { since, until: isRange ? until : undefined, runtimeOnly: flag === 'true' };
}

function last(query: URLSearchParams, name: string): string | undefined {
  return query.getAll(name).at(-1);
}

function timeOf(name: string, text: string | undefined, now: Date): Date | undefined {
  if (text === undefined) return undefined;
  const time = parseTimeParameter(text, now);
  if (time === undefined) throw new HttpProblem(400, `${name} is not a time or a duration`);
  return time;
}
