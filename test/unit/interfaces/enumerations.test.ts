import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { profiles as configuredProfiles } from '../../../src/certificates/config/certificate-rule.ts';
import type { MethodDefinition, PropertyDefinition } from '../../../src/dbus/definition.ts';
import { Method } from '../../../src/dbus/server/method.ts';
import { variant } from '../../../src/dbus/wire/variant.ts';
import { nameParsers } from '../../../src/ids.ts';
import {
  certificateInterface,
  certificatesInterface,
} from '../../../src/interfaces/certificates.ts';
import { profiles } from '../../../src/interfaces/enumerations.ts';
import { identityInterface, moduleIdentityInterface } from '../../../src/interfaces/identity.ts';
import { keyInterface, keysInterface } from '../../../src/interfaces/keys.ts';
import { moduleInterface, modulesInterface } from '../../../src/interfaces/modules.ts';
import { messageIn } from '../../support/failure.ts';
import { callWith } from '../../support/wire/messages.ts';

const test = suite('enumerations in the interface tables');
const managers = [keysInterface, certificatesInterface, identityInterface, modulesInterface];
const children = [keyInterface, certificateInterface, moduleIdentityInterface, moduleInterface];

interface Enumeration {
  readonly method: string;
  readonly definition: MethodDefinition;
  readonly name: string;
  readonly words: readonly string[];
}

const enumerations: readonly Enumeration[] = managers.flatMap(({ methods }) =>
  Object.entries<MethodDefinition>(methods).flatMap(([method, definition]) =>
    Object.entries(definition.check ?? {}).flatMap(([name, limit]) =>
      typeof limit === 'object' && 'oneOf' in limit
        ? [{ method, definition, name, words: limit.oneOf }]
        : [],
    ),
  ),
);

const plain: Readonly<Record<string, unknown>> = {
  s: 'x',
  u: 1,
  as: [],
  ay: Buffer.alloc(0),
  'a{ss}': {},
};

/** The value of an argument in a call in which one of them is `word`. */
function argument({ definition, name }: Enumeration, word: string, one: string, type: string) {
  if (one === name) return type === 'as' ? [word] : word;
  const limit = definition.check?.[one];
  const isWord = type === 's' && typeof limit === 'object' && 'oneOf' in limit;
  return isWord ? limit.oneOf[0] : plain[type];
}

/** The error of the dispatcher for a call with that word, `` when it is accepted. */
function judge(enumeration: Enumeration, word: string): string {
  const { method, definition, name } = enumeration;
  const body = Object.entries(definition.in ?? {}).map(([one, type]) =>
    argument(enumeration, word, one, type),
  );
  const type = definition.options?.[name];
  const given = type === undefined ? {} : { [name]: variant(type, word) };
  const prepared = new Method(method, definition);
  try {
    prepared.parse(callWith(prepared.signature, [...body, given]), nameParsers);
    return '';
  } catch (error) {
    return messageIn(error);
  }
}

test('exist for all four services', () => {
  assert.ok(enumerations.length > 20);
  for (const { methods } of managers) {
    const names = Object.keys(methods);
    assert.ok(enumerations.some(({ method }) => names.includes(method)));
  }
});

test('are accepted by the dispatcher, word for word', () => {
  const refused = enumerations.flatMap((one) => one.words.map((word) => judge(one, word)));
  assert.equal(
    refused.filter((text) => text !== ''),
    [],
  );
});

test('are all named in the error for another word', () => {
  for (const one of enumerations) {
    const expected = `InvalidArgs: "other" is not a value of ${one.name}: there is ${one.words.join(', ')}`;
    assert.is(judge(one, 'other'), expected, one.method);
  }
});

test('are closed: a word with other letter case or blanks is refused', () => {
  for (const one of enumerations) {
    const [word = ''] = one.words;
    for (const odd of [word.toUpperCase(), `${word} `, `${word}\n`])
      assert.match(judge(one, odd), /^InvalidArgs/, `${one.method} ${one.name}`);
  }
});

test('are declared for every property that has one', () => {
  const named =
    /^(State|Health|Kind|Store|Origin|Auth|Type|Method|Profile|Source|Attestation|Algorithm|Usages)$/;
  const open = [...managers, ...children].flatMap(({ name, properties }) =>
    Object.entries<PropertyDefinition>(properties)
      .filter(([property, { doc, values }]) => {
        const lists = /(?<!Such as )(?<!, )`[^`]+`(, `[^`]+`)* or `[^`]+`/.test(doc);
        return values === undefined && (named.test(property) || lists);
      })
      .map(([property]) => `${name}.${property}`),
  );
  assert.equal(open, []);
});

test('are documented, and so is every other argument and result, and nothing else', () => {
  for (const { name: of, methods, notes } of managers) {
    const known: Readonly<Record<string, string>> = notes;
    const used = new Set<string>();
    const unexplained = Object.entries<MethodDefinition>(methods).flatMap(
      ([method, definition]) => {
        const { in: fields = {}, options = {}, records = {}, out = {}, check = {} } = definition;
        const keys = Object.values(records).flatMap((record) => Object.keys(record));
        const results = Object.keys(out).filter((name) => !Object.hasOwn(records, name));
        return [...Object.keys({ ...fields, ...options }), ...keys, ...results].flatMap((name) => {
          const note = [`${method}.${name}`, name].find((one) => Object.hasOwn(known, one));
          if (note !== undefined) used.add(note);
          const isId = typeof check[name] === 'string';
          return note === undefined && !isId ? [`${method}.${name}`] : [];
        });
      },
    );
    assert.equal(unexplained, [], of);
    assert.equal(
      Object.keys(known).filter((note) => !used.has(note)),
      [],
      of,
    );
  }
});

test('have the same profiles as the configuration', () => {
  assert.equal(profiles, configuredProfiles);
});

test.run();
