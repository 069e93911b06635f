/**
 * Requests while the engine is away, of a device with a module `probe` that ran: reads go on with what was known last, and a
 * change that needs the engine is 503, which an agent repeats; refusals need no engine.
 */
import type { Endpoint } from './endpoint.ts';
import { anyTimes, identity, type ManagementFacts, module, specs } from './management.ts';

const away: Pick<Endpoint, 'status' | 'answer'> = { status: 503, answer: /cannot be reached/ };

/** What changes nothing comes first. */
export function managementInOutage(facts: ManagementFacts): readonly Endpoint[] {
  const spec = specs(facts);
  const shown = module(/^running$/, anyTimes);
  const changed = spec({ env: [] });
  const update = { generationId: facts.generationId, managedBy: 'IotEdge' };
  return [
    { request: 'GET /modules', status: 200, answer: { modules: [shown] } },
    { request: 'GET /modules/probe', status: 200, answer: shown },
    { request: 'GET /modules/absent', status: 404 },
    { request: 'GET /modules/a%20b', status: 400 },
    { request: 'GET /modules/probe/logs', ...away },
    { request: 'GET /modules/probe/logs?follow=true', ...away },
    { request: 'GET /modules/probe/logs?tail=x', status: 400 },
    { request: 'GET /modules/absent/logs', status: 404 },
    { request: 'GET /systeminfo', ...away, status: 500 },
    { request: 'GET /systeminfo/resources', status: 200 },
    { request: 'GET /systeminfo/supportbundle', status: 200, answer: /^PK/ },
    { request: 'POST /modules', status: 422, body: '{' },
    { request: 'POST /modules', status: 409, body: spec() },
    { request: 'POST /modules', status: 400, body: spec({ name: 'other', type: 'unknown' }) },
    { request: 'POST /modules', ...away, body: spec({ name: 'other' }) },
    // it is created when the engine is back
    { request: 'GET /modules/other', status: 200 },
    { request: 'POST /modules/probe/prepareupdate', ...away, body: spec() },
    { request: 'PUT /modules/absent', status: 404, body: spec({ name: 'absent' }) },
    { request: 'PUT /modules/probe', ...away, body: changed },
    ...['start', 'stop', 'restart'].flatMap((action) => [
      { request: `POST /modules/absent/${action}`, status: 404 },
      { request: `POST /modules/probe/${action}`, ...away },
    ]),
    { request: 'DELETE /modules/absent', status: 404 },
    { request: 'DELETE /modules/probe', ...away },
    { request: 'GET /identities', status: 200, answer: { identities: [identity] } },
    { request: 'POST /identities', status: 200, answer: identity, body: { moduleId: 'late' } },
    { request: 'PUT /identities/%24edgeAgent', status: 200, answer: identity, body: update },
    { request: 'DELETE /identities/late', status: 204 },
    { request: 'POST /device/reprovision', status: 204 },
  ];
}
