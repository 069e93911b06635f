/** The authorization requests of the interface tables, compared with a list written by hand. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { differing, nameOf } from '../../support/authorized/call.ts';
import {
  allowedByDefault,
  authorizedCalls,
  publicMethods,
} from '../../support/authorized/calls.ts';
import {
  authorizationRequests,
  definitionOf,
} from '../../support/polkit/authorization-requests.ts';
import { type ServiceName, services } from '../../support/rig/rig-services.ts';

const test = suite('authorization in the interface tables');
const names = Object.keys(services) as ServiceName[];

for (const service of names) {
  test(`has exactly these public methods of ${service}`, () => {
    const { methods = {} } = services[service].manager;
    const open = Object.keys(methods).filter((name) => methods[name]?.authorize === 'public');
    assert.equal(open, publicMethods[service]);
  });

  test(`is listed for every other method of ${service}, and for each request of a choice`, () => {
    const { methods = {} } = services[service].manager;
    const calls = authorizedCalls.filter((one) => one.service === service);
    const covered = new Set(calls.map(({ method }) => method));
    assert.equal(
      [...covered, ...publicMethods[service]].toSorted(),
      Object.keys(methods).toSorted(),
    );
    for (const method of covered) {
      const { authorize } = definitionOf(service, method);
      if (typeof authorize !== 'object' || !('among' in authorize)) continue;
      const operations = calls
        .filter((one) => one.method === method)
        .map(({ use }) => use.resolved?.['operation'] ?? '');
      assert.equal(operations.toSorted(), Object.keys(authorize.among).toSorted(), method);
    }
  });
}

test('is denied by default for every action but these, unless a rule allows it', () => {
  const open = Object.values(services).flatMap(({ actions }) =>
    Object.entries(actions).flatMap(([action, { defaults }]) =>
      defaults === undefined ? [] : [action],
    ),
  );
  assert.equal(open, allowedByDefault);
});

for (const call of authorizedCalls) {
  const { service, method, use, requests, others } = call;

  test(`requests this for ${nameOf(call)}`, () => {
    assert.equal(authorizationRequests(service, method, use), requests);
  });

  for (const [detail, value, difference] of others) {
    test(`requests another ${detail} for ${nameOf(call)}: ${value}`, () => {
      const expected = requests.map(({ action, details }) => ({
        action,
        details: Object.hasOwn(details, detail) ? { ...details, [detail]: value } : details,
      }));
      assert.equal(authorizationRequests(service, method, differing(use, difference)), expected);
    });
  }
}

test.run();
