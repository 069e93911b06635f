import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  childEnvironment,
  takeManagerEnvironment,
} from '../../../../src/service/systemd/manager-environment.ts';

const test = suite('environment of the service manager');

const ofManager = {
  NOTIFY_SOCKET: '/run/systemd/notify',
  WATCHDOG_USEC: '180000000',
  WATCHDOG_PID: '1',
  LISTEN_FDS: '2',
  LISTEN_FDNAMES: 'a:b',
  LISTEN_PID: '1',
  LISTEN_PIDFDID: '7',
  FDSTORE: '64',
};
const others = { PATH: '/usr/bin', INVOCATION_ID: 'a', STATE_DIRECTORY: '/var/lib/a' };

test('is taken away, and nothing else', () => {
  const environment: NodeJS.ProcessEnv = { ...ofManager, ...others };
  assert.equal(takeManagerEnvironment(environment), ofManager);
  assert.equal(environment, others);
  assert.equal(takeManagerEnvironment(environment), {});
});

test('is no part of the environment of a child', () => {
  const environment = { ...ofManager, ...others };
  assert.equal(childEnvironment(environment), others);
  assert.is(environment.NOTIFY_SOCKET, '/run/systemd/notify');
});

test.run();
