import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Method } from '../../../src/dbus/method.ts';
import { variant } from '../../../src/dbus/variant.ts';
import { keysInterface } from '../../../src/interfaces/keys.ts';

const test = suite('interface of the Keys service');

const yes = (): boolean => true;
const names = { 'key-id': yes, 'certificate-id': yes, 'module-id': yes, 'module-name': yes };

/** What authorization is shown of the options `exportable` and `export_derived`. */
function exportableDetail(options: Readonly<Record<string, boolean>>): string | undefined {
  const method = new Method('CreateKey', keysInterface.methods.CreateKey);
  const given = Object.entries(options).map(([name, value]) => [name, variant('b', value)]);
  const body = ['id', 'hmac-sha256', ['sign', 'derive'], Object.fromEntries(given)];
  const [question] = method.ask(method.texts(method.parse(body, names)));
  return question?.details['exportable'];
}

test('shows a key as exportable when it or what is derived from it may leave', () => {
  assert.is(exportableDetail({}), 'false');
  assert.is(exportableDetail({ exportable: true }), 'true');
  assert.is(exportableDetail({ exportable: false, export_derived: true }), 'true');
  assert.is(exportableDetail({ export_derived: false }), 'false');
});

test.run();
