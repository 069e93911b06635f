import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { MethodDefinition } from '../../../src/dbus/definition.ts';
import { Method } from '../../../src/dbus/server/method.ts';
import { variant } from '../../../src/dbus/wire/variant.ts';
import { ServiceError } from '../../../src/errors.ts';
import { nameParsers } from '../../../src/ids.ts';
import { certificatesInterface } from '../../../src/interfaces/certificates.ts';
import { identityInterface } from '../../../src/interfaces/identity.ts';
import { keysInterface } from '../../../src/interfaces/keys.ts';
import { modulesInterface } from '../../../src/interfaces/modules.ts';
import { codeIn } from '../../support/failure.ts';
import { callWith } from '../../support/wire/messages.ts';

const test = suite('integer options in the interface tables');
const managers = [keysInterface, certificatesInterface, identityInterface, modulesInterface];

/** Smallest and largest value of each type. */
const ranges: Readonly<Record<string, readonly [bigint, bigint]>> = {
  y: [0n, 255n],
  n: [-32768n, 32767n],
  q: [0n, 65535n],
  i: [-(2n ** 31n), 2n ** 31n - 1n],
  u: [0n, 2n ** 32n - 1n],
  x: [-(2n ** 63n), 2n ** 63n - 1n],
  t: [0n, 2n ** 64n - 1n],
};

interface IntegerOption {
  readonly method: string;
  readonly definition: MethodDefinition;
  readonly name: string;
  readonly declared: string;
}

const integerOptions: readonly IntegerOption[] = managers.flatMap(({ methods }) =>
  Object.entries<MethodDefinition>(methods).flatMap(([method, definition]) =>
    Object.entries(definition.options ?? {}).flatMap(([name, declared]) =>
      ranges[declared] === undefined ? [] : [{ method, definition, name, declared }],
    ),
  ),
);

/** The value that a handler receives, or the code of the refusal. */
function read(option: IntegerOption, type: string, value: bigint): unknown {
  const { method, definition, name } = option;
  const prepared = new Method(method, definition);
  const texts: Readonly<Record<string, unknown>> = { s: 'x', ay: Buffer.alloc(0) };
  const body = Object.values(definition.in ?? {}).map((one) => texts[one]);
  const written = type === 'x' || type === 't' ? value : Number(value);
  const given = { [name]: variant(type, written) };
  try {
    const message = callWith(prepared.signature, [...body, given]);
    const found = prepared.parse(message, nameParsers).values.options[name];
    return typeof found === 'number' || typeof found === 'bigint' ? BigInt(found) : found;
  } catch (error) {
    return codeIn(error);
  }
}

test('exist', () => {
  const names = integerOptions.map(({ method, name }) => `${method}.${name}`);
  for (const known of ['Issue.lifetime_s', 'Stop.timeout_s', 'GetLogs.tail', 'GetLogs.since'])
    assert.ok(names.includes(known), known);
});

test('accept every integer type at the ends of its range, and refuse what does not fit', () => {
  for (const option of integerOptions) {
    const [least = 0n, most = 0n] = ranges[option.declared] ?? [];
    for (const [type, [lowest, highest]] of Object.entries(ranges)) {
      for (const value of [lowest, highest, 1n, least > lowest ? least : lowest]) {
        const expected = value >= least && value <= most ? value : 'InvalidArgs';
        const what = `${option.method}.${option.name} ${type} ${value}`;
        assert.is(read(option, type, value), expected, what);
      }
    }
  }
});

test('accept no other type', () => {
  for (const option of integerOptions) {
    const { method, definition, name } = option;
    const prepared = new Method(method, definition);
    const body = Object.values(definition.in ?? {}).map((one) =>
      one === 'ay' ? Buffer.alloc(0) : 'x',
    );
    for (const [type, value] of [
      ['d', 1],
      ['s', '1'],
      ['b', true],
      ['v', variant('u', 1)],
    ] as const) {
      const message = callWith(prepared.signature, [...body, { [name]: variant(type, value) }]);
      assert.throws(
        () => prepared.parse(message, nameParsers),
        (error: unknown) => error instanceof ServiceError && error.code === 'InvalidArgs',
        `${method}.${name} ${type}`,
      );
    }
  }
});

test.run();
