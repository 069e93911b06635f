import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Method, type NameChecks } from '../../../src/dbus/method.ts';
import { isId } from '../../../src/ids.ts';
import { keysInterface } from '../../../src/interfaces/keys.ts';

const test = suite('interface of keys');

const names: NameChecks = {
  'key-id': isId,
  'certificate-id': isId,
  'module-id': isId,
  'module-name': isId,
};

function usagesAsked(name: 'CreateKey' | 'ImportKey', body: readonly unknown[]): unknown {
  const method = new Method(name, keysInterface.methods[name]);
  const [question] = method.ask(method.texts(method.parse([...body, {}], names)));
  return question?.details['usages'];
}

test('asks about the usages that a key gets when none are given', () => {
  const material = Buffer.alloc(32);
  assert.is(usagesAsked('CreateKey', ['k', 'aes-256', []]), 'encrypt');
  assert.is(usagesAsked('CreateKey', ['k', 'hmac-sha256', []]), 'sign');
  assert.is(usagesAsked('CreateKey', ['k', 'aes-256', ['encrypt', 'derive']]), 'encrypt,derive');
  assert.is(usagesAsked('ImportKey', ['k', 'raw', material, 'aes-256', []]), 'encrypt');
  assert.is(usagesAsked('ImportKey', ['k', 'pkcs8', material, '', []]), 'sign');
});

test.run();
