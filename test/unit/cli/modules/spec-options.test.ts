import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { UsageError } from '../../../../src/cli/command.ts';
import { emptySpec, withChanges } from '../../../../src/cli/modules/spec/spec.ts';
import { bind, changesOf, publishedPort } from '../../../../src/cli/modules/spec/spec-options.ts';

const test = suite('options that describe a module');
const isUsage = (error: unknown) => error instanceof UsageError;

test('read ports as docker does', () => {
  const port = (text: string) => Object.values(publishedPort(text)).join(' ');
  assert.is(port('8080:80'), '80/tcp  8080');
  assert.is(port('127.0.0.1:8080:80/udp'), '80/udp 127.0.0.1 8080');
  assert.is(port('[::1]:8080:80'), '80/tcp ::1 8080');
  assert.is(port('127.0.0.1::80'), '80/tcp 127.0.0.1 ');
  assert.is(port('80'), '80/tcp  ');
  for (const wrong of ['', 'a', '0:80', '80:', '70000:80', '1:2:3:4', '80/icmp', '8000-8010:80']) {
    assert.throws(() => publishedPort(wrong), isUsage, wrong);
  }
});

test('read mounts as docker does, and refuse what is none', () => {
  for (const good of ['data:/data', '/dev/log:/dev/log:ro', 'a.b_c-d:/x:rw']) {
    assert.is(bind(good), good);
  }
  for (const wrong of ['data', '/data', './a:/b', 'a:b', 'a:/b:z', 'a:/b:ro:x', '../a:/b']) {
    assert.throws(() => bind(wrong), isUsage, wrong);
  }
});

const changes = (options: object, command: readonly string[] = []) =>
  changesOf({ options: { ...options } }, command);

test('become a configuration', async () => {
  const { config, env, type } = withChanges(
    emptySpec,
    await changes(
      {
        image: 'registry.example/a:1',
        port: ['8080:80', '127.0.0.1:8081:80', '5000:5000/udp'],
        volume: ['data:/data'],
        env: ['A=1=2', 'B='],
        restart: 'on-failure',
        'start-after': ['broker', 'store'],
        pull: 'never',
      },
      ['sh', '-c', 'true'],
    ),
  );
  assert.is(type, 'docker');
  assert.equal(env, { A: '1=2', B: '' });
  assert.equal(config, {
    image: 'registry.example/a:1',
    createOptions: {
      Cmd: ['sh', '-c', 'true'],
      ExposedPorts: { '80/tcp': {}, '5000/udp': {} },
      HostConfig: {
        PortBindings: {
          '80/tcp': [
            { HostIp: '', HostPort: '8080' },
            { HostIp: '127.0.0.1', HostPort: '8081' },
          ],
          '5000/udp': [{ HostIp: '', HostPort: '5000' }],
        },
        Binds: ['data:/data'],
      },
    },
    restart_policy: 'on-failure',
    start_after: ['broker', 'store'],
    imagePullPolicy: 'never',
  });
});

test('change only what they name', async () => {
  const before = {
    type: 'docker',
    config: {
      image: 'a:1',
      digest: 'sha256:1',
      auth: { username: 'user' },
      restart_policy: 'never',
      createOptions: {
        Hostname: 'h',
        exposedPorts: { '80/tcp': {}, '9/tcp': {} },
        hostConfig: { Memory: 5, PortBindings: { '80/tcp': [{ HostPort: '1' }] }, Binds: ['a:/a'] },
      },
    },
    env: { A: '1', B: '2' },
  };
  assert.equal(withChanges(before, await changes({})), before);
  const image = withChanges(before, await changes({ image: 'a:2', env: ['B=3'] }));
  const { digest: _, ...others } = before.config;
  assert.equal(image, { ...before, config: { ...others, image: 'a:2' }, env: { A: '1', B: '3' } });
  const port = withChanges(before, await changes({ port: ['2:81'] }));
  assert.equal(port.config['createOptions'], {
    Hostname: 'h',
    exposedPorts: { '9/tcp': {}, '81/tcp': {} },
    hostConfig: {
      Memory: 5,
      PortBindings: { '81/tcp': [{ HostIp: '', HostPort: '2' }] },
      Binds: ['a:/a'],
    },
  });
});

test('take a variable from the environment, which the list of processes does not show', async () => {
  process.env['IOTEDGE_TEST_SECRET'] = 'vermilion';
  assert.equal((await changes({ env: ['IOTEDGE_TEST_SECRET'] })).env, {
    IOTEDGE_TEST_SECRET: 'vermilion',
  });
  delete process.env['IOTEDGE_TEST_SECRET'];
  const missing = await changes({ env: ['IOTEDGE_TEST_SECRET'] }).catch((error: unknown) => error);
  assert.ok(isUsage(missing));
});

test('need a user for a password, and a password for a user', async () => {
  for (const options of [
    { username: 'user' },
    { 'password-file': '/dev/null' },
    { 'password-stdin': true },
    { username: 'user', 'password-file': '/dev/null' },
    { username: 'user', 'password-file': '/nowhere' },
    { username: 'user', 'password-file': '/etc/hostname', 'password-stdin': true },
    { username: 'user', 'password-stdin': true, file: '-' },
  ]) {
    assert.ok(isUsage(await changes(options).catch((error: unknown) => error)));
  }
});

test.run();
