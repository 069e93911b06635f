import type { Fields, InterfaceDefinition, MethodDefinition } from '../../dbus/definition.ts';
import {
  errorsOf,
  fieldText,
  listOf,
  methodText,
  type Place,
  propertyText,
  resultText,
} from './definition-texts.ts';

/** The documentation of an interface, its members and their arguments in the installed interface files. */
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
      const place = { definition, member, name };
      return member in methods ? argumentDocumentation(place) : '';
    },
  };
}

function methodDocumentation(method: MethodDefinition): string {
  const errors = errorsOf(method).map(([name, when]) => `${name}: ${when}`);
  const text = methodText(method);
  return errors.length === 0 ? text : `${text} Fails with ${errors.join('; ')}.`;
}

function argumentDocumentation(place: Place): string {
  const { definition, member, name } = place;
  const { in: fields = {}, options = {}, records = {} } = definition.methods?.[member] ?? {};
  if (Object.hasOwn(fields, name)) return fieldText(place, fields[name] ?? '');
  if (name === 'options') return dictionary({ ...options, request_id: 's' }, place, fieldText);
  const record = records[name];
  return record === undefined ? resultText(place) : dictionary(record, place, resultText);
}

/** The keys of a dictionary, one by one. */
function dictionary(
  fields: Fields,
  place: Place,
  textOf: (place: Place, type: string) => string,
): string {
  const texts = Object.entries(fields).flatMap(([name, type]) => {
    const text = textOf({ ...place, name }, type);
    return text === '' ? [] : [`${name}: ${text}`];
  });
  return [`Keys: ${listOf(fields)}.`, ...texts].join(' ');
}
