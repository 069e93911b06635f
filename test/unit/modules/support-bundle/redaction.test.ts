import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { withoutSecrets } from '../../../../src/modules/support-bundle/redaction.ts';
import { boundedWork } from '../../../support/deadline.ts';

const test = suite('redaction');
const redacted = '<redacted>';

function leaks(value: unknown): boolean {
  return JSON.stringify(withoutSecrets(value)).includes('hunter2');
}

test('keeps the names of variables and not their values', () => {
  assert.equal(
    withoutSecrets({ Config: { Env: ['PATH=/bin', 'KEY=a=hunter2\nb'], Cmd: ['sh'] } }),
    {
      Config: { Env: [`PATH=${redacted}`, `KEY=${redacted}`], Cmd: ['sh'] },
    },
  );
  assert.equal(withoutSecrets({ env: { NAME: 'hunter2', COUNT: 3 } }), {
    env: { NAME: redacted, COUNT: redacted },
  });
});

test('removes passwords, keys and what tools keep in labels', () => {
  for (const value of [
    { auth: { username: 'user', password: 'hunter2' } },
    { auth: 'aHVudGVyMg==hunter2' },
    { Labels: { 'net.azure-devices.edge.env': '{"KEY":{"value":"hunter2"}}' } },
    { Labels: { 'net.azure-devices.edge.create-options': '{"Env":["KEY=hunter2"]}' } },
    { LogConfig: { Config: { 'splunk-token': 'hunter2' } } },
    { proxy: 'http://user:hunter2@proxy:3128' },
    { Cmd: ['--password=hunter2', 'token: hunter2'] },
    { Args: ['HostName=hub;DeviceId=d;SharedAccessKey=hunter2'] },
    {
      Args: [
        'SharedAccessSignature=hunter2',
        'https://a/b?se=1&sig=hunter2&sp=r',
        'AccountKey=hunter2',
      ],
    },
    { createOptions: '{"Env":["KEY=hunter2"]}' },
    { createOptions: '{"Env":["KEY=hunter2"' },
    { Cmd: ['login', '--password', 'hunter2'] },
    { Entrypoint: ['serve', '--api-key', 'hunter2'] },
    { Cmd: ['--api-key=hunter2', 'DB_PWD=hunter2', 'pass=hunter2', 'passphrase=hunter2'] },
    { Labels: { 'com.example.settings': '{"password":"hunter2"}' } },
    new Map([['password', 'hunter2']]),
    [{ secret: 'hunter2' }],
  ]) {
    assert.not.ok(leaks(value), JSON.stringify(value));
  }
});

test('keeps what is needed to help', () => {
  const shown = {
    Labels: {
      'net.azure-devices.edge.owner': 'Microsoft.Azure.Devices.Edge.Agent',
      'net.azure-devices.edge.original-image': 'registry/hub:1',
      mine: 'x',
    },
    Image: 'registry.example:5000/hub@sha256:00',
    State: { ExitCode: 137, OOMKilled: true, Error: null },
  };
  assert.equal(withoutSecrets(shown), shown);
});

test('takes time in proportion to a hostile text', () => {
  const hostile = ['a.'.repeat(500_000), 'token'.repeat(200_000), `://${'a'.repeat(900_000)}`];
  for (const text of hostile) assert.ok(withoutSecrets({ text }));
});

test('takes no time for an argument of an image that looks like the name of very many options', () => {
  const option = `-${'key'.repeat(300_000)}=`;
  const found = boundedWork(() => withoutSecrets([option, 'x']));
  assert.ok(Array.isArray(found) && found[1] === 'x');
});

test.run();
