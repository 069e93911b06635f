import { ServiceError } from '../../errors.ts';
import type { IncomingMessage } from '../wire/inbox.ts';
import type { MessageHeader } from '../wire/message.ts';
import { isLargeHeader } from '../wire/reader.ts';
import type { Method } from './method.ts';
import { largeHeader, tooLarge } from './method.ts';
import type { ObjectTree, ServedObject } from './object-tree.ts';
import { type StandardMethod, standardMethods, unknownObject } from './standard.ts';

/** The target of a call: a standard method of an object, or a method of the service. */
export type Route = StandardRoute | { readonly kind: 'own'; readonly method: Method };

/** A standard method, of an object or of a node without one. */
export interface StandardRoute {
  readonly kind: 'standard';
  readonly method: StandardMethod;
  readonly object?: ServedObject;
}

/** Finds the target of a call and checks that its body fits; throws UnknownObject, InvalidArgs and the like. */
export function routeOf(message: IncomingMessage, tree: ObjectTree): Route {
  const { path = '/', member = '' } = message.header;
  if (isLargeHeader(message.header)) throw largeHeader();
  const object = tree.get(path);
  const interfaceName = message.header.interface ?? interfaceOf(object, member);
  const standard = standardMethods.get(interfaceName);
  const route =
    standard === undefined
      ? ownRoute(object, interfaceName, message.header)
      : standardRoute(standard.get(member), interfaceName, { message, tree, object });
  checkBody(message, route.method);
  return route;
}

function ownRoute(
  object: ServedObject | undefined,
  interfaceName: string,
  { path = '/', member = '' }: MessageHeader,
): Route {
  if (object === undefined) throw unknownObject(path);
  const served = object.interfaces.get(interfaceName);
  if (served === undefined) {
    throw new ServiceError('UnknownInterface', `${path} has no interface ${interfaceName}`);
  }
  const method = served.methods.get(member);
  if (method === undefined) throw unknownMethod(interfaceName, member);
  return { kind: 'own', method };
}

function standardRoute(
  method: StandardMethod | undefined,
  interfaceName: string,
  {
    message: {
      header: { path = '/', member = '' },
    },
    tree,
    object,
  }: { message: IncomingMessage; tree: ObjectTree; object: ServedObject | undefined },
): Route {
  if (method === undefined) throw unknownMethod(interfaceName, member);
  if (object !== undefined) return { kind: 'standard', method, object };
  const there = method.where === 'anywhere' || (method.where === 'node' && tree.hasNode(path));
  if (!there) throw unknownObject(path);
  return { kind: 'standard', method };
}

/** The interface of a call that names none: the only one that has the member. */
function interfaceOf(object: ServedObject | undefined, member: string): string {
  const own = [...(object?.interfaces ?? [])].filter(([, { methods }]) => methods.has(member));
  const standard = [...standardMethods].filter(([, methods]) => methods.has(member));
  const names = [...own, ...standard].map(([name]) => name);
  const [only] = names;
  if (only === undefined) throw unknownMethod('', member);
  if (names.length > 1) {
    throw new ServiceError('UnknownMethod', `${member} is in ${names.join(' and ')}: name one`);
  }
  return only;
}

function unknownMethod(interfaceName: string, member: string): ServiceError {
  const where = interfaceName === '' ? '' : ` in ${interfaceName}`;
  return new ServiceError('UnknownMethod', `no method ${member}${where}`);
}

/** Rejects a body that the method does not accept, without decoding it. */
function checkBody(message: IncomingMessage, method: StandardMethod | Method): void {
  const { signature, member = '' } = message.header;
  if (signature !== method.signature) {
    const wanted = `${member} takes (${method.signature})`;
    throw new ServiceError('InvalidArgs', `${wanted}, not (${signature})`);
  }
  if (message.isSkipped) throw tooLarge(member, message, method.maxBodyBytes);
}
