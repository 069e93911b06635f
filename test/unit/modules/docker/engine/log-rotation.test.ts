import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { memberObject } from '../../../../../src/modules/docker/create-options/create-options.ts';
import { withLogLimits } from '../../../../../src/modules/docker/engine/log-rotation.ts';

const test = suite('limits of logs');
const options = { 'max-size': '10m', 'max-file': '3' };
const defaults = { driver: 'json-file', options };

function logConfig(body: object, driver = 'json-file'): unknown {
  const limited = withLogLimits({ ...body }, { driver, options });
  return memberObject(limited, 'HostConfig')['LogConfig'];
}
const withLog = (LogConfig: object) => ({ HostConfig: { Memory: 1, LogConfig } });

test('are added for the driver of the engine and that of the module when they write files', () => {
  assert.equal(logConfig({}), { Type: 'json-file', Config: options });
  assert.equal(logConfig({}, 'local'), { Type: 'local', Config: options });
  assert.equal(logConfig(withLog({ Type: 'local' }), 'journald'), {
    Type: 'local',
    Config: options,
  });
  assert.equal(logConfig(withLog({ Type: '', Config: { labels: 'a' } })), {
    Type: 'json-file',
    Config: { ...options, labels: 'a' },
  });
});

test('are not added for other drivers, and not to those of the module', () => {
  assert.is(logConfig({}, 'journald'), undefined);
  assert.is(logConfig({}, ''), undefined);
  const own = [
    { Type: 'journald' },
    { Type: 'none', Config: {} },
    { Config: { 'max-size': '1k' } },
    { Type: 'json-file', Config: { 'max-file': '2', 'max-size': '1k' } },
  ];
  for (const given of own) assert.equal(logConfig(withLog(given)), given);
});

test('leave a request alone that names the log in other letters', () => {
  const bodies = [
    { hostconfig: { LogConfig: { Type: 'journald' } } },
    { HostConfig: { logConfig: { Type: 'journald' } } },
  ];
  for (const body of bodies) assert.equal(withLogLimits(body, defaults), body);
});

test.run();
