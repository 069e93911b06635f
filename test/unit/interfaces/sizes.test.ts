import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { InterfaceDefinition } from '../../../src/dbus/definition.ts';
import { Method } from '../../../src/dbus/server/method.ts';
import { variant } from '../../../src/dbus/wire/variant.ts';
import { nameParsers } from '../../../src/ids.ts';
import { certificatesInterface } from '../../../src/interfaces/certificates.ts';
import { identityInterface } from '../../../src/interfaces/identity.ts';
import { keysInterface } from '../../../src/interfaces/keys.ts';
import { codeIn } from '../../support/failure.ts';
import { callWith } from '../../support/wire/messages.ts';

const test = suite('sizes in the interface tables');
const interfaces: readonly InterfaceDefinition[] = [
  keysInterface,
  certificatesInterface,
  identityInterface,
];

test('are declared for every argument and option of variable size', () => {
  const free = interfaces.flatMap(({ methods = {} }) =>
    Object.entries(methods).flatMap(([method, definition]) =>
      Object.entries({ ...definition.in, ...definition.options })
        .filter(([name, type]) => /[asgov]/.test(type) && definition.check?.[name] === undefined)
        .map(([name]) => `${method}.${name}`),
    ),
  );
  assert.equal(free, []);
});

/** The errors of a call of this method in which one argument or option has this value. */
function judge(
  { methods = {} }: InterfaceDefinition,
  method: string,
  name: string,
  value: unknown,
): string {
  const definition = methods[method];
  if (definition === undefined) throw new TypeError(`no ${method}`);
  const valid: Readonly<Record<string, unknown>> = {
    s: 'x',
    ay: Buffer.alloc(0),
    as: [],
    u: 1,
  };
  const { options = {} } = definition;
  const word = (one: string) => {
    const limit = definition.check?.[one];
    return typeof limit === 'object' && 'oneOf' in limit ? limit.oneOf[0] : undefined;
  };
  const body = Object.entries(definition.in ?? {}).map(([one, type]) =>
    one === name ? value : type === 's' ? (word(one) ?? valid[type]) : valid[type],
  );
  const given = options[name] === undefined ? {} : { [name]: variant(options[name], value) };
  try {
    const prepared = new Method(method, definition);
    prepared.parse(callWith(prepared.signature, [...body, given]), nameParsers);
    return 'ok';
  } catch (error) {
    return codeIn(error);
  }
}

test('are those of the contract, and larger ones are LimitsExceeded before authorization', () => {
  const MiB = 1 << 20;
  for (const [table, method, name, limit] of [
    [keysInterface, 'Sign', 'data', MiB],
    [keysInterface, 'Verify', 'data', MiB],
    [keysInterface, 'Encrypt', 'input', MiB],
    [keysInterface, 'Decrypt', 'input', MiB + 29],
    [keysInterface, 'ImportKey', 'material', 16 << 10],
    [keysInterface, 'Sign', 'derivation', 1024],
    [keysInterface, 'Encrypt', 'aad', 64 << 10],
    [certificatesInterface, 'Issue', 'csr', 256 << 10],
  ] as const) {
    assert.is(judge(table, method, name, Buffer.alloc(limit)), 'ok', `${method} ${name}`);
    const over = judge(table, method, name, Buffer.alloc(limit + 1));
    assert.is(over, 'LimitsExceeded', `${method} ${name}`);
  }
  assert.is(judge(keysInterface, 'GetRandom', 'count', 4096), 'ok');
  assert.is(judge(keysInterface, 'GetRandom', 'count', 4097), 'LimitsExceeded');
  assert.is(judge(keysInterface, 'Sign', 'mechanism', 'x'.repeat(65)), 'LimitsExceeded');
  const many: readonly string[] = Array.from({ length: 2000 }, () => 'sign');
  assert.is(judge(keysInterface, 'CreateKeyPair', 'usages', many), 'LimitsExceeded');
});

test.run();
