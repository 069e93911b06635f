import { readFileSync } from 'node:fs';
import { ServiceError } from '../../errors.ts';
import { quoted } from '../../quoted.ts';
import { EncodedElements, readersOf } from '../wire/codec.ts';
import type { IncomingMessage } from '../wire/inbox.ts';
import { type WireReader } from '../wire/reader.ts';
import type { Reply } from './call.ts';
import type { Caller } from './caller.ts';
import { refusal } from './method.ts';
import type { ObjectTree, ServedInterface, ServedObject } from './object-tree.ts';

/** A call of a standard method. */
export interface StandardCall {
  readonly message: IncomingMessage;
  readonly caller: Caller;
  readonly tree: ObjectTree;
  readonly object: ServedObject | undefined;
}

/** The largest body: arguments are names and the value of one property. */
export const standardBodyBytes = 64 << 10;

/** One method of a standard interface. */
export interface StandardMethod {
  readonly signature: string;
  readonly maxBodyBytes: number;
  /** Whether it exists on objects only, also on the nodes above them, or on every path. */
  readonly where: 'object' | 'node' | 'anywhere';
  /** Whether a call has an effect besides its reply. */
  readonly hasEffect: boolean;
  readonly handle: (call: StandardCall) => Reply;
}

const none: Reply = { signature: '', body: [] };

function standard(
  signature: string,
  where: StandardMethod['where'],
  handle: StandardMethod['handle'],
): StandardMethod {
  const hasEffect = handle === setProperty;
  return { signature, where, hasEffect, handle, maxBodyBytes: standardBodyBytes };
}

/** Standard interfaces. Reading is public; `Properties.Set` checks the caller itself. */
export const standardMethods: ReadonlyMap<string, ReadonlyMap<string, StandardMethod>> = new Map([
  [
    'org.freedesktop.DBus.Peer',
    new Map<string, StandardMethod>([
      ['Ping', standard('', 'anywhere', () => none)],
      ['GetMachineId', standard('', 'anywhere', machineId)],
    ]),
  ],
  [
    'org.freedesktop.DBus.Introspectable',
    new Map<string, StandardMethod>([['Introspect', standard('', 'node', introspect)]]),
  ],
  [
    'org.freedesktop.DBus.Properties',
    new Map<string, StandardMethod>([
      ['Get', standard('ss', 'object', getProperty)],
      ['GetAll', standard('s', 'object', getAllProperties)],
      ['Set', standard('ssv', 'object', setProperty)],
    ]),
  ],
  [
    'org.freedesktop.DBus.ObjectManager',
    new Map<string, StandardMethod>([
      ['GetManagedObjects', standard('', 'object', getManagedObjects)],
    ]),
  ],
]);

let machine: string | undefined;

function machineId(): Reply {
  machine ??= readMachineId();
  return { signature: 's', body: [machine] };
}

function readMachineId(): string {
  for (const file of ['/etc/machine-id', '/var/lib/dbus/machine-id']) {
    try {
      const id = readFileSync(file, 'latin1').trim();
      if (/^[0-9a-f]{32}$/.test(id)) return id;
    } catch {
      // the next file may have it
    }
  }
  throw new ServiceError('Unavailable', 'this machine has no machine id');
}

function introspect({ tree, message }: StandardCall): Reply {
  const { path = '/' } = message.header;
  const xml = tree.introspect(path);
  if (xml === undefined) throw unknownObject(path);
  return { signature: 's', body: [xml] };
}

/** Decodes arguments without containers; InvalidArgs when they are malformed. */
function read<T>(message: IncomingMessage, decode: (reader: WireReader) => T): T {
  try {
    const reader = message.reader(0);
    const values = decode(reader);
    reader.expectEnd();
    return values;
  } catch (error) {
    throw refusal(message.header.member ?? '', error);
  }
}

function getProperty({ message, object }: StandardCall): Reply {
  const [interfaceName, name] = read(message, (reader) => [reader.string(), reader.string()]);
  const value = interfaceWith(object, interfaceName, name).properties.get(name);
  if (value === undefined) throw unknownProperty(interfaceName, name);
  return { signature: 'v', body: [value] };
}

function getAllProperties({ message, object }: StandardCall): Reply {
  const interfaceName = read(message, (reader) => reader.string());
  if (standardMethods.has(interfaceName)) return { signature: 'a{sv}', body: [{}] };
  const all =
    interfaceName === '' ? everyInterface(object) : [servedInterface(object, interfaceName)];
  const values = all.map(({ properties }) => properties.all());
  return { signature: 'a{sv}', body: [Object.assign({}, ...values)] };
}

function getManagedObjects({ tree, message, object }: StandardCall): Reply {
  if (object?.managesObjects !== true) {
    throw new ServiceError('UnknownInterface', `${message.header.path} is not an object manager`);
  }
  const objects = new EncodedElements(tree.encodedBelow(object.path));
  return { signature: 'a{oa{sa{sv}}}', body: [objects] };
}

/**
 * Sets a property. Only root and the service itself may set one that is declared writable; all others are
 * PropertyReadOnly. The value is decoded last, and only when it has the type of the property.
 */
function setProperty({ message, object, caller: { uid } }: StandardCall): Reply {
  const write = read(message, (reader) => {
    const [interfaceName, name] = [reader.string(), reader.string()];
    const served = interfaceWith(object, interfaceName, name);
    const definition = writableProperty(served, name);
    if (uid !== 0 && uid !== process.getuid?.()) {
      throw new ServiceError('AccessDenied', 'only root and the service may set this property');
    }
    if (reader.signature() !== definition.type) {
      throw new ServiceError('InvalidArgs', `${name} has type ${definition.type}`);
    }
    const [value] = readersOf(definition.type).map((readValue) => readValue(reader));
    return () => served.write?.(name, value);
  });
  write();
  return none;
}

/** The definition of a writable property; UnknownProperty or PropertyReadOnly when it is not one. */
function writableProperty(served: ServedInterface, name: string): { readonly type: string } {
  const properties = served.definition.properties ?? {};
  const definition = Object.hasOwn(properties, name) ? properties[name] : undefined;
  if (definition === undefined) {
    throw unknownProperty(served.definition.name, name);
  }
  if (definition.write === undefined || served.write === undefined) {
    throw new ServiceError('PropertyReadOnly', `property ${name} cannot be written`);
  }
  return definition;
}

function unknownProperty(interfaceName: string, name: string): ServiceError {
  const message = `${interfaceName || 'the object'} has no property ${quoted(name)}`;
  return new ServiceError('UnknownProperty', message);
}

function everyInterface(object: ServedObject | undefined): readonly ServedInterface[] {
  return [...(object?.interfaces.values() ?? [])];
}

/**
 * The interface of a property. Without a name it is the one that has the property, as the specification allows; a
 * property of several interfaces needs the name.
 */
function interfaceWith(
  object: ServedObject | undefined,
  interfaceName: string,
  name: string,
): ServedInterface {
  if (standardMethods.has(interfaceName)) throw unknownProperty(interfaceName, name);
  if (interfaceName !== '') return servedInterface(object, interfaceName);
  const [only, another] = everyInterface(object).filter(({ definition }) =>
    Object.hasOwn(definition.properties ?? {}, name),
  );
  if (only === undefined) throw unknownProperty('', name);
  if (another === undefined) return only;
  const both = `${only.definition.name} and ${another.definition.name}`;
  throw new ServiceError('InvalidArgs', `${name} is a property of ${both}: name one`);
}

function servedInterface(object: ServedObject | undefined, name: string): ServedInterface {
  const served = object?.interfaces.get(name);
  if (served === undefined) {
    throw new ServiceError('UnknownInterface', `no interface ${quoted(name)} on this object`);
  }
  return served;
}

/** UnknownObject for a path without an object. */
export function unknownObject(path: string): ServiceError {
  return new ServiceError('UnknownObject', `no object ${path}`);
}
