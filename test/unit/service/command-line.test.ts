import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseCommandLine, stateDirOf, UsageError } from '../../../src/service/command-line.ts';

const test = suite('command line');

test('has defaults for everything', () => {
  assert.equal(parseCommandLine([]), {
    kind: 'serve',
    configDir: '/etc/iotedge',
    stateDir: undefined,
  });
});

test('accepts values after a blank or an equals sign', () => {
  const expected = { kind: 'serve', configDir: '/a', stateDir: '/b' };
  assert.equal(parseCommandLine(['--config-dir', '/a', '--state-dir=/b']), expected);
});

test('accepts -h, and reports unknown options as the user spelled them', () => {
  assert.equal(parseCommandLine(['-h']), { kind: 'help' });
  assert.throws(() => parseCommandLine(['--nonsense']), /^unknown option '--nonsense'/);
});

test('refuses unknown options', () => {
  for (const args of [
    ['-x'],
    ['--config'],
    ['x'],
    ['--state-dir'],
    ['--help=1'],
    ['--config-dir='],
    ['--state-dir='],
  ]) {
    assert.throws(
      () => parseCommandLine(args),
      (error: unknown) => error instanceof UsageError,
    );
  }
});

test('takes the state directory from the command line, the configuration, systemd or the default', () => {
  const environment = { STATE_DIRECTORY: '/s:/t' };
  const config = { homedir_path: '/c', homedir: '/d' };
  assert.is(stateDirOf('keys', { commandLine: '/a', config, environment }), '/a');
  assert.is(stateDirOf('keys', { commandLine: undefined, config, environment }), '/c');
  assert.is(
    stateDirOf('keys', { commandLine: undefined, config: { homedir: '/d' }, environment }),
    '/d',
  );
  assert.is(stateDirOf('keys', { commandLine: undefined, config: {}, environment }), '/s');
  const nothing = { commandLine: undefined, config: {}, environment: { STATE_DIRECTORY: '' } };
  assert.is(stateDirOf('keys', nothing), '/var/lib/iotedge/keys');
});

test.run();
