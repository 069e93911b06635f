import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Method } from '../../../src/dbus/server/method.ts';
import { variant } from '../../../src/dbus/wire/variant.ts';
import { nameParsers } from '../../../src/ids.ts';
import { keysInterface } from '../../../src/interfaces/keys.ts';
import { callWith } from '../../support/wire/messages.ts';

const test = suite('interface of the Keys service');

/** The details of a new key that authorization receives. */
function detailsOf(
  name: 'CreateKey' | 'ImportKey',
  body: readonly unknown[],
  options: Readonly<Record<string, boolean>> = {},
): Readonly<Record<string, string>> {
  const method = new Method(name, keysInterface.methods[name]);
  const given = Object.entries(options).map(([option, value]) => [option, variant('b', value)]);
  const args = method.parse(
    callWith(method.signature, [...body, Object.fromEntries(given)]),
    nameParsers,
  );
  const [request] = method.requests.about(method.requests.texts(args.values));
  return request?.details ?? {};
}

test('passes a key as exportable when it or what is derived from it may be exported', () => {
  const exportable = (options: Readonly<Record<string, boolean>>) =>
    detailsOf('CreateKey', ['id', 'hmac-sha256', ['sign', 'derive']], options)['exportable'];
  assert.is(exportable({}), 'false');
  assert.is(exportable({ exportable: true }), 'true');
  assert.is(exportable({ exportable: false, export_derived: true }), 'true');
  assert.is(exportable({ export_derived: false }), 'false');
});

test('wipes the secrets of every result', () => {
  const methods = Object.entries(keysInterface.methods);
  const secret = methods.flatMap(([name, method]) => ('secret' in method ? [name] : []));
  assert.equal(secret.toSorted(), ['Decrypt', 'ExportKey', 'GetRandom']);
});

test('passes the default usages of a key when none are given', () => {
  const usages = (name: 'CreateKey' | 'ImportKey', body: readonly unknown[]) =>
    detailsOf(name, body)['usages'];
  const material = Buffer.alloc(32);
  assert.is(usages('CreateKey', ['k', 'aes-256', []]), 'encrypt');
  assert.is(usages('CreateKey', ['k', 'hmac-sha256', []]), 'sign');
  assert.is(usages('CreateKey', ['k', 'aes-256', ['encrypt', 'derive']]), 'encrypt,derive');
  assert.is(usages('ImportKey', ['k', 'raw', material, 'aes-256', []]), 'encrypt');
  assert.is(usages('ImportKey', ['k', 'pkcs8', material, '', []]), 'sign');
});

test.run();
