import type { MethodDefinition } from '../../../src/dbus/definition.ts';
import type { AuthorizationRequest } from '../../../src/dbus/server/authorization-gate.ts';
import { Method } from '../../../src/dbus/server/method.ts';
import { variant } from '../../../src/dbus/wire/variant.ts';
import { nameParsers } from '../../../src/ids.ts';
import type { Use } from '../authorized/call.ts';
import { type ServiceName, services } from '../rig/rig-services.ts';
import { callWith } from '../wire/messages.ts';

/** A method in the interface table of a service. */
export function definitionOf(service: ServiceName, method: string): MethodDefinition {
  const definition = services[service].manager.methods?.[method];
  if (definition === undefined) throw new TypeError(`${service} has no method ${method}`);
  return definition;
}

/** The body of a call: named arguments and options in the order and types of the wire. */
export function bodyOf({ in: fields = {}, options = {} }: MethodDefinition, use: Use): unknown[] {
  const given = Object.entries(use.options ?? {}).filter(([, value]) => value !== undefined);
  const variants = given.map(([name, value]) => [name, variant(options[name] ?? '', value)]);
  return [...Object.keys(fields).map((name) => use.args?.[name]), Object.fromEntries(variants)];
}

/** The authorization requests of the dispatcher for a call, by the interface table of the service. */
export function authorizationRequests(
  service: ServiceName,
  member: string,
  use: Use,
): readonly AuthorizationRequest[] {
  const definition = definitionOf(service, member);
  const method = new Method(member, definition);
  const args = method.parse(callWith(method.signature, bodyOf(definition, use)), nameParsers);
  return method.requests.about({ ...method.requests.texts(args.values), ...use.resolved });
}
