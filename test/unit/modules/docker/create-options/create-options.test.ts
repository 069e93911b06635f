import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isServiceError } from '../../../../../src/errors.ts';
import {
  parseSettings,
  parseSettingsJson,
  withoutMountsOf,
} from '../../../../../src/modules/docker/create-options/create-options.ts';
import { codeOf } from '../../../../support/failure.ts';

const test = suite('create options');

test('parses settings in the form of ModuleSpec', () => {
  const settings = parseSettingsJson(
    '{"image":"reg.example/a/b:1","createOptions":{"Env":["A=b"]},"auth":{"username":"u","password":"p"}}',
  );
  assert.is(settings.image, 'reg.example/a/b:1');
  assert.equal(settings.createOptions, { Env: ['A=b'] });
  assert.equal(settings.auth, { username: 'u', password: 'p' });
});

test('parses create options from their JSON text, and missing ones as empty', () => {
  assert.equal(parseSettings({ image: 'a', createOptions: '{"User":"x"}' }).createOptions, {
    User: 'x',
  });
  assert.equal(parseSettings({ image: 'a', createOptions: '' }).createOptions, {});
  assert.equal(parseSettings({ image: 'a' }).createOptions, {});
});

test('omits null members', () => {
  const createOptions = { Cmd: null, HostConfig: { Binds: null, Memory: 1 } };
  assert.equal(parseSettings({ image: 'a', createOptions }).createOptions, {
    HostConfig: { Memory: 1 },
  });
});

test('refuses malformed settings with InvalidArgs', () => {
  const wrong = [
    '',
    'null',
    '[]',
    '{}',
    '{"image":1}',
    '{"image":""}',
    '{"image":"a b"}',
    '{"image":"../containers/x"}',
    '{"image":"a//b"}',
    '{"image":"a?x"}',
    '{"image":"a","extra":1}',
    '{"image":"a","createOptions":[]}',
    '{"image":"a","createOptions":"["}',
    '{"image":"a","auth":"x"}',
    '{"image":"a","auth":{"token":"x"}}',
    '{"image":"a","auth":{"password":1}}',
  ];
  for (const text of wrong)
    assert.is(
      codeOf(() => parseSettingsJson(text)),
      'InvalidArgs',
      text,
    );
});

test('does not quote a password in the error about broken JSON', () => {
  // the parser quotes a short text as a whole
  for (const text of ['{"auth":{"password":"hunter2"', 'hunter2']) {
    try {
      parseSettingsJson(text);
      assert.unreachable();
    } catch (error) {
      assert.ok(isServiceError(error, 'InvalidArgs'), String(error));
      assert.not.match(`${error.message} ${String(error.cause)}`, /hunter2/);
    }
  }
});

test('drops the mounts that the runtime adds itself', () => {
  const options = {
    User: 'x',
    HostConfig: {
      Memory: 1,
      Binds: ['/run/w.sock:/run/w.sock', '/elsewhere:/run/w.sock', 'data:/data'],
      Mounts: [
        { Type: 'bind', Source: '/run/w.sock', Target: '/y' },
        { Type: 'volume', Source: 'v', Target: '/v' },
      ],
    },
  };
  assert.equal(withoutMountsOf(options, new Set(['/run/w.sock'])), {
    User: 'x',
    HostConfig: {
      Memory: 1,
      Binds: ['data:/data'],
      Mounts: [{ Type: 'volume', Source: 'v', Target: '/v' }],
    },
  });
});

test('drops a mount by any spelling of its path, and leaves other members alone', () => {
  const paths = new Set(['/run/w.sock']);
  const remaining = (HostConfig: object) => withoutMountsOf({ HostConfig }, paths);
  assert.equal(remaining({ Binds: ['/run//w.sock:/a:ro'] }), { HostConfig: { Binds: [] } });
  assert.equal(remaining({ Binds: ['data:/run/x/../w.sock:ro'] }), { HostConfig: { Binds: [] } });
  assert.equal(remaining({ Binds: ['/a:/b:/run/w.sock'] }), {
    HostConfig: { Binds: ['/a:/b:/run/w.sock'] },
  });
  const mount = { Type: 'bind', Source: '/x', Target: '/run/./w.sock' };
  assert.equal(remaining({ Mounts: [mount, 'odd'] }), { HostConfig: { Mounts: ['odd'] } });
  for (const HostConfig of [{}, { Memory: 1 }, { Binds: [] }]) {
    assert.equal(remaining(HostConfig), { HostConfig });
  }
});

test('accepts up to 4096 values and 32 levels', () => {
  const parsed = (createOptions: object) => () => parseSettings({ image: 'a', createOptions });
  const values = (count: number) => ({ Cmd: Array.from({ length: count }, () => 'x') });
  assert.is(codeOf(parsed(values(4094))), 'no failure');
  assert.is(codeOf(parsed(values(4095))), 'InvalidArgs');
  const nested = (levels: number): object => {
    let value: object = {};
    for (let level = 1; level < levels; level++) value = { a: value };
    return value;
  };
  assert.is(codeOf(parsed(nested(32))), 'no failure');
  assert.is(codeOf(parsed(nested(33))), 'InvalidArgs');
});

test('refuses create options that are too expensive to check', () => {
  const codeFor = (options: string) =>
    codeOf(() => parseSettingsJson(`{"image":"a","createOptions":${options}}`));
  const members = Array.from({ length: 5000 }, (_, index) => `"k${index}":0`);
  assert.is(codeFor(`{${members.join()}}`), 'InvalidArgs');
  assert.is(codeFor(`{"HostConfig":${'['.repeat(40)}${']'.repeat(40)}}`), 'InvalidArgs');
  const deep = 200_000;
  assert.is(codeFor(`{"HostConfig":${'['.repeat(deep)}${']'.repeat(deep)}}`), 'InvalidArgs');
  assert.is(
    codeFor(`{"Env":["A=1"],"HostConfig":{"Binds":${'['.repeat(9)}${']'.repeat(9)}}}`),
    'no failure',
  );
});

test('refuses a variable without a name, and does not quote it', () => {
  for (const line of ['=hunter2', 'A=hunter2\\u0000']) {
    for (const member of ['Env', 'ENV']) {
      try {
        parseSettingsJson(`{"image":"a","createOptions":{"${member}":["${line}"]}}`);
        assert.unreachable();
      } catch (error) {
        assert.ok(isServiceError(error, 'InvalidArgs'));
        assert.not.match(error.message, 'hunter2');
      }
    }
  }
});

test.run();
