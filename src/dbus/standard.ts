import { readFileSync } from 'node:fs';
import { ServiceError } from '../errors.ts';
import type { Caller } from './caller.ts';
import type { IncomingMessage } from './message.ts';
import {
  managedInterfaces,
  type ObjectTree,
  type ServedInterface,
  type ServedObject,
} from './object-tree.ts';
import { Variant } from './variant.ts';

/** What a standard method answers. */
export interface StandardReply {
  readonly signature: string;
  readonly body: readonly unknown[];
}

/** What a standard method needs. */
export interface StandardCall {
  readonly message: IncomingMessage;
  readonly caller: Caller;
  readonly tree: ObjectTree;
  readonly object: ServedObject | undefined;
}

/** One method of a standard interface. */
export interface StandardMethod {
  readonly signature: string;
  /** Whether it is there on objects only, on the nodes between them too, or on every path there may be. */
  readonly where: 'object' | 'node' | 'anywhere';
  readonly answer: (call: StandardCall) => StandardReply;
}

const none: StandardReply = { signature: '', body: [] };

/** Standard interfaces. Everybody may read; `Properties.Set` looks at the caller itself. */
export const standardMethods: ReadonlyMap<string, ReadonlyMap<string, StandardMethod>> = new Map([
  [
    'org.freedesktop.DBus.Peer',
    new Map<string, StandardMethod>([
      ['Ping', { signature: '', where: 'anywhere', answer: () => none }],
      ['GetMachineId', { signature: '', where: 'anywhere', answer: machineId }],
    ]),
  ],
  [
    'org.freedesktop.DBus.Introspectable',
    new Map<string, StandardMethod>([
      ['Introspect', { signature: '', where: 'node', answer: introspect }],
    ]),
  ],
  [
    'org.freedesktop.DBus.Properties',
    new Map<string, StandardMethod>([
      ['Get', { signature: 'ss', where: 'object', answer: getProperty }],
      ['GetAll', { signature: 's', where: 'object', answer: getAllProperties }],
      ['Set', { signature: 'ssv', where: 'object', answer: setProperty }],
    ]),
  ],
  [
    'org.freedesktop.DBus.ObjectManager',
    new Map<string, StandardMethod>([
      ['GetManagedObjects', { signature: '', where: 'object', answer: getManagedObjects }],
    ]),
  ],
]);

function machineId(): StandardReply {
  for (const file of ['/etc/machine-id', '/var/lib/dbus/machine-id']) {
    try {
      const id = readFileSync(file, 'latin1').trim();
      if (/^[0-9a-f]{32}$/.test(id)) return { signature: 's', body: [id] };
    } catch {
      // the next place may have it
    }
  }
  throw new ServiceError('Unavailable', 'this machine has no machine id');
}

function introspect({ tree, message: { path = '/' } }: StandardCall): StandardReply {
  const xml = tree.introspect(path);
  if (xml === undefined) throw unknownObject(path);
  return { signature: 's', body: [xml] };
}

function getProperty({ message, object }: StandardCall): StandardReply {
  const [interfaceName, name] = message.body.map(String);
  const value = servedInterface(object, interfaceName ?? '').properties.get(name ?? '');
  if (value === undefined) {
    throw new ServiceError('UnknownProperty', `${interfaceName} has no property ${name}`);
  }
  return { signature: 'v', body: [value] };
}

function getAllProperties({ message, object }: StandardCall): StandardReply {
  const interfaceName = String(message.body[0]);
  if (standardMethods.has(interfaceName)) return { signature: 'a{sv}', body: [{}] };
  return {
    signature: 'a{sv}',
    body: [servedInterface(object, interfaceName).properties.all()],
  };
}

function getManagedObjects({ tree, message, object }: StandardCall): StandardReply {
  if (object?.managesObjects !== true) {
    throw new ServiceError('UnknownInterface', `${message.path} is no object manager`);
  }
  const objects = tree.below(object.path).map((child) => [child.path, managedInterfaces(child)]);
  return { signature: 'a{oa{sa{sv}}}', body: [Object.fromEntries(objects)] };
}

/** Everything but what is declared writable is PropertyReadOnly, and that is for root and the service itself. */
function setProperty({ message, object, caller: { uid } }: StandardCall): StandardReply {
  const [interfaceName, name, value] = message.body;
  const served = servedInterface(object, String(interfaceName));
  const definition = writableProperty(served, String(name));
  if (uid !== 0 && uid !== process.getuid?.()) {
    throw new ServiceError('AccessDenied', 'only root and the service may set this property');
  }
  if (!(value instanceof Variant) || value.signature !== definition.type) {
    throw new ServiceError('InvalidArgs', `${String(name)} has type ${definition.type}`);
  }
  served.write?.(String(name), value.value);
  return none;
}

/** The definition of a property if it may be written; UnknownProperty or PropertyReadOnly if not. */
function writableProperty(served: ServedInterface, name: string): { readonly type: string } {
  const properties = served.definition.properties ?? {};
  const definition = Object.hasOwn(properties, name) ? properties[name] : undefined;
  if (definition === undefined) {
    throw new ServiceError('UnknownProperty', `${served.definition.name} has no property ${name}`);
  }
  if (definition.write === undefined || served.write === undefined) {
    throw new ServiceError('PropertyReadOnly', `property ${name} cannot be written`);
  }
  return definition;
}

function servedInterface(object: ServedObject | undefined, name: string): ServedInterface {
  const served = object?.interfaces.get(name);
  if (served === undefined) {
    throw new ServiceError(
      'UnknownInterface',
      `no interface ${JSON.stringify(name)} on this object`,
    );
  }
  return served;
}

/** No object is at that path. */
export function unknownObject(path: string): ServiceError {
  return new ServiceError('UnknownObject', `no object ${path}`);
}
