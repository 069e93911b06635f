import type { InterfaceDefinition, MethodDefinition } from '../dbus/definition.ts';
import {
  errorsOf,
  listOf,
  methodText,
  propertyText,
  restrictionOf,
  resultWords,
} from './definition-texts.ts';

/** What the installed interface files say about an interface, its members and their arguments. */
export interface InterfaceDocumentation {
  readonly interface: string;
  member(name: string): string;
  argument(member: string, name: string): string;
}

/** The documentation of an interface, from its table. */
export function documentationOf(definition: InterfaceDefinition): InterfaceDocumentation {
  const { methods = {}, properties = {}, signals = {} } = definition;
  return {
    interface: definition.doc,
    member(name) {
      const [method, property] = [methods[name], properties[name]];
      if (method !== undefined) return methodDocumentation(method);
      return property === undefined ? (signals[name]?.doc ?? '') : propertyText(property);
    },
    argument(member, name) {
      const method = methods[member];
      return method === undefined ? '' : argumentDocumentation(method, name);
    },
  };
}

function methodDocumentation(method: MethodDefinition): string {
  const errors = errorsOf(method).map(([name, when]) => `${name}: ${when}`);
  const text = methodText(method);
  return errors.length === 0 ? text : `${text} Fails with ${errors.join('; ')}.`;
}

function argumentDocumentation(method: MethodDefinition, name: string): string {
  const type = method.in?.[name];
  if (type !== undefined) return restrictionOf(method, name, type);
  if (name === 'options') return optionsDocumentation(method);
  const record = method.records?.[name];
  if (record === undefined) return '';
  const words = Object.keys(record).flatMap((key) => {
    const text = resultWords(method, key);
    return text === '' ? [] : [`${key}: ${text}`];
  });
  return [`Keys: ${listOf(record)}.`, ...words].join(' ');
}

function optionsDocumentation(method: MethodDefinition): string {
  const { options = {} } = method;
  const texts = Object.entries(options).map(([name, type]) => {
    const restriction = restrictionOf(method, name, type);
    return restriction === '' ? '' : `${name}: ${restriction}`;
  });
  const keys = listOf({ ...options, request_id: 's' });
  return [`Keys: ${keys}.`, ...texts.filter((text) => text !== '')].join(' ');
}
