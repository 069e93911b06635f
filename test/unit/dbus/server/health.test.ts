import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { healthOf } from '../../../../src/dbus/server/health.ts';

const test = suite('healthOf');

test('is ok without a problem', () => {
  assert.equal(healthOf([]), { Health: 'ok', LastError: '' });
  assert.equal(healthOf(['', '']), { Health: 'ok', LastError: '' });
});

test('is degraded by any problem, and names all of them', () => {
  assert.equal(healthOf(['a', '', 'b']), { Health: 'degraded', LastError: 'a; b' });
});

test('limits the text to 1024 characters, or to another length', () => {
  const problem = 'x'.repeat(5000);
  assert.is(healthOf([problem]).LastError.length, 1024);
  assert.is(healthOf([problem], 4096).LastError.length, 4096);
});

test.run();
