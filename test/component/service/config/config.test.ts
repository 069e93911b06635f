import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type CommonConfig,
  commonProperties,
} from '../../../../src/service/config/common-config.ts';
import { loadConfig, placedConfig } from '../../../../src/service/config/config.ts';
import { ConfigError, type Problem } from '../../../../src/service/config/config-problem.ts';
import type { ParseContext } from '../../../../src/service/config/parse-context.ts';
import { deadline } from '../../../support/deadline.ts';

const test = suite<{ dir: string }>('configuration');

const schema = {
  $id: 'https://example.invalid/test.schema.json',
  type: 'object',
  properties: {
    ...commonProperties,
    agent: {
      type: 'object',
      properties: {
        name: { type: 'string' },
        type: { type: 'string', enum: ['docker', 'systemd'] },
        engine: { type: 'string', enum: ['moby'] },
      },
      required: ['name'],
      additionalProperties: false,
    },
    trusted: {
      anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'string' } }],
    },
    certificates: {
      type: 'object',
      additionalProperties: {
        type: 'object',
        properties: { method: { type: 'string' } },
        additionalProperties: false,
      },
    },
  },
  patternProperties: { '^preloaded_key:.+$': { type: 'string' } },
  additionalProperties: false,
} as const;

test.before.each(async (context) => {
  context.dir = await mkdtemp(join(tmpdir(), 'service-config-'));
});
test.after.each(async ({ dir }) => {
  await rm(dir, { recursive: true });
});

type Loose = CommonConfig & Readonly<Record<string, unknown>>;

function load(
  dir: string,
  parse: (value: unknown, context: ParseContext) => unknown = (value) => value,
): Promise<Loose> {
  return loadConfig({ dir, service: 'keys', schema, parse: parse as () => Loose });
}

async function problems(dir: string, text: string): Promise<readonly Problem[]> {
  await writeFile(join(dir, 'keys.yaml'), text);
  const error: unknown = await load(dir).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  assert.instance(error, ConfigError);
  return error instanceof ConfigError ? error.problems : [];
}

function brief({ line, column, path, suggestion }: Problem): unknown[] {
  return [line, column, path, suggestion];
}

test('lists the allowed values, and no list of a single one', async ({ dir }) => {
  const [choice, single] = await problems(dir, 'agent: {name: a, type: x, engine: x}');
  assert.is(choice?.message, '"agent.type" must be one of "docker", "systemd"');
  assert.is(single?.message, '"agent.engine" must be "moby"');
});

test('reads a missing file, an empty one and one of comments as empty, with all defaults', async ({
  dir,
}) => {
  const expected = {
    log_level: 'info',
    idle_exit_s: 60,
    authorization: { backend: 'polkit', cache_s: 10, acl: [] },
    grants: [],
  };
  assert.equal(await load(dir), expected);
  for (const text of ['', '\n', '# nothing\n', '---\n# nothing\n']) {
    await writeFile(join(dir, 'keys.yaml'), text);
    assert.equal(await load(dir), expected);
  }
});

test('freezes the result deeply', async ({ dir }) => {
  const config = await load(dir);
  assert.ok(Object.isFrozen(config));
  assert.ok(Object.isFrozen(config.authorization.acl));
});

test('merges maps of drop-ins in the order of their names and replaces everything else', async ({
  dir,
}) => {
  await writeFile(
    join(dir, 'keys.yaml'),
    "agent: {name: a, type: docker}\ntrusted: [x, y]\n'preloaded_key:k': a\n",
  );
  await mkdir(join(dir, 'keys.d'));
  await writeFile(join(dir, 'keys.d/20.yaml'), 'agent: {name: last}\n');
  await writeFile(join(dir, 'keys.d/10.yaml'), 'agent: {name: first}\ntrusted: [z]\n');
  await writeFile(join(dir, 'keys.d/30.yaml.bak'), 'nonsense: 1\n');
  const config = await load(dir);
  assert.equal(config['agent'], { name: 'last', type: 'docker' });
  assert.equal(config['trusted'], ['z']);
  assert.is(config['preloaded_key:k'], 'a');
});

test('reports the place and the nearest key of every unknown key, all at once', async ({ dir }) => {
  const found = await problems(
    dir,
    "log_level: info\n'preloded_key:x': a\nagent:\n  nme: a\n  name: b\n  type: dcker\nidle_exits: 1\n",
  );
  assert.equal(found.map(brief), [
    [2, 1, 'preloded_key:x', 'preloaded_key:x'],
    [4, 3, 'agent.nme', 'name'],
    [6, 9, 'agent.type', 'docker'],
    [7, 1, 'idle_exits', 'idle_exit_s'],
  ]);
  assert.ok(found.every(({ file }) => file === join(dir, 'keys.yaml')));
});

test('suggests nothing when nothing is near', async ({ dir }) => {
  const [problem] = await problems(dir, 'zzzzzzzz: 1\n');
  assert.is(problem?.suggestion, undefined);
});

test('finds unknown keys in maps with arbitrary keys', async ({ dir }) => {
  const found = await problems(dir, "certificates:\n  'a*':\n    metod: est\n");
  assert.equal(found.map(brief), [[3, 5, 'certificates.a*.metod', 'method']]);
});

test('reports a value of the wrong type, a missing key and an empty value once each', async ({
  dir,
}) => {
  const found = await problems(dir, 'trusted: 5\nagent: {}\ncertificates:\n');
  assert.equal(found.map(brief), [
    [1, 10, 'trusted', undefined],
    [2, 1, 'agent', undefined],
    [3, 1, 'certificates', undefined],
  ]);
});

test('requires a user or a group in a rule', async ({ dir }) => {
  const found = await problems(dir, 'authorization: {acl: [{actions: ["*"]}]}\n');
  assert.equal(found.map(brief), [[1, 23, 'authorization.acl[0]', undefined]]);
});

test('names the drop-in that a wrong value came from', async ({ dir }) => {
  await mkdir(join(dir, 'keys.d'));
  await writeFile(join(dir, 'keys.d/a.yaml'), '\nlog_level: loud\n');
  const [problem] = await problems(dir, 'log_level: info\n');
  assert.is(problem?.file, join(dir, 'keys.d/a.yaml'));
  assert.equal(problem && brief(problem), [2, 12, 'log_level', undefined]);
});

test('refuses misleading constructs of YAML', async ({ dir }) => {
  const lines: readonly (readonly [string, number, number])[] = [
    ['log_level: info\nlog_level: warn\n', 2, 1],
    ['agent: &a {name: x}\ncertificates: {b: {<<: *a}}\n', 2, 20],
    ['log_level: info\n---\nlog_level: warn\n', 1, 1],
    ['agent: {name: x\n', 2, 1],
    ['- a\n', 1, 1],
    ['? [a]\n: b\n', 1, 3],
    ['trusted: !!binary aGk=\n', 1, 10],
    ['trusted: *nowhere\n', 1, 10],
  ];
  for (const [text, line, column] of lines) {
    const found = await problems(dir, text);
    assert.ok(
      found.some((problem) => problem.line === line && problem.column === column),
      `${text}: ${JSON.stringify(found)}`,
    );
  }
});

test('accepts aliases but not a bomb of them', async ({ dir }) => {
  await writeFile(join(dir, 'keys.yaml'), 'agent: {name: &n x}\ntrusted: *n\n');
  assert.is((await load(dir))['trusted'], 'x');
  const levels = Array.from(
    { length: 20 },
    (_, level) => `l${level + 1}: &l${level + 1} [*l${level}, *l${level}, *l${level}]`,
  );
  const found = await problems(dir, `l0: &l0 [x]\n${levels.join('\n')}\n`);
  assert.is(found.length, 1);
});

test('never quotes a value', async ({ dir }) => {
  const found = await problems(
    dir,
    "'preloaded_key:a': [s3cret]\nagent: s3cret\nlog_level: s3cret\n",
  );
  assert.is(found.length, 3);
  assert.not.match(JSON.stringify(found), 's3cret');
});

test('treats __proto__ as an ordinary key', async ({ dir }) => {
  const found = await problems(dir, '__proto__: {name: x}\n');
  assert.equal(found.map(brief), [[1, 1, '__proto__', undefined]]);
});

test('reports a file that is a directory, not UTF-8 or too deep', async ({ dir }) => {
  await mkdir(join(dir, 'keys.d/x.yaml'), { recursive: true });
  await writeFile(join(dir, 'keys.d/y.yaml'), Buffer.from([0xff, 0xfe, 0x00]));
  const found = await problems(dir, `trusted: ${'['.repeat(1000)}\n`);
  assert.is(found.length, 3);
});

test('locates the problems that parse reports and those that it throws', async ({ dir }) => {
  await writeFile(join(dir, 'keys.yaml'), 'agent:\n  name: x\n');
  const error: unknown = await load(dir, (_, context) => {
    context.report(['agent', 'name'], 'is taken');
    context.report(['agent', 'type'], 'is needed');
    context.report(['agent', 'name', 'first'], 'has no parts');
    throw new Error('no luck');
  }).catch((thrown: unknown) => thrown);
  assert.instance(error, ConfigError);
  assert.equal(
    error instanceof ConfigError && error.problems.map(({ line, column }) => [line, column]),
    [
      [1, 1],
      [1, 1],
      [2, 3],
      [2, 9],
    ],
  );
});

test('returns the existing files and their permissions', async ({ dir }) => {
  await writeFile(join(dir, 'keys.yaml'), 'trusted: a\n');
  await mkdir(join(dir, 'keys.d'));
  const dropIn = join(dir, 'keys.d/a.yaml');
  await writeFile(dropIn, 'trusted: b\n');
  await chmod(dropIn, 0o640);
  let seen: ParseContext | undefined;
  await load(dir, (value, context) => {
    seen = context;
    return value;
  });
  assert.equal(
    seen?.sources.map(({ path }) => path),
    [join(dir, 'keys.yaml'), dropIn],
  );
  assert.is(seen?.sources[1]?.mode, 0o640);
});

test('reports texts with the file that contains them, including keys and overridden texts', async ({
  dir,
}) => {
  await writeFile(join(dir, 'keys.yaml'), 'log_level: info\ntrusted: [a, bad]\n');
  await mkdir(join(dir, 'keys.d'));
  await writeFile(join(dir, 'keys.d/a.yaml'), 'trusted: b\ncertificates: {bad: {method: x}}\n');
  const error: unknown = await load(dir, (value, context) => {
    context.reportTexts((text) => text === 'bad', 'is bad');
    return value;
  }).catch((thrown: unknown) => thrown);
  assert.instance(error, ConfigError);
  assert.equal(
    error instanceof ConfigError &&
      error.problems.map(({ file, line, column, path }) => [file, line, column, path]),
    [
      [join(dir, 'keys.yaml'), 2, 14, 'trusted[1]'],
      [join(dir, 'keys.d/a.yaml'), 2, 16, 'certificates.bad'],
    ],
  );
});

test('reads regular files only: it does not block on others, or treat them as missing', async ({
  dir,
}) => {
  const file = join(dir, 'keys.yaml');
  const found = async (): Promise<readonly string[]> => {
    const error: unknown = await load(dir).catch((thrown: unknown) => thrown);
    return error instanceof ConfigError ? error.problems.map(({ message }) => message) : [];
  };
  execFileSync('mkfifo', [file]);
  try {
    assert.equal(await deadline(10_000, found(), 'a result'), [
      'cannot be read: it is not a regular file',
    ]);
  } finally {
    closeSync(openSync(file, 'r+')); // a reader that waits for a writer would block this process
  }
  await rm(file);
  await symlink(join(dir, 'elsewhere'), file);
  assert.equal(await found(), ['cannot be read: it is a symbolic link to nothing']);
  await rm(file);
  await mkdir(join(dir, 'keys.d'));
  await symlink('elsewhere', join(dir, 'keys.d/a.yaml'));
  assert.equal(await found(), ['cannot be read: it is a symbolic link to nothing']);
  await rm(join(dir, 'keys.d/a.yaml'));
  // the documented way to disable a drop-in
  await symlink('/dev/null', join(dir, 'keys.d/a.yaml'));
  assert.equal(await found(), []);
  assert.is((await load(dir)).log_level, 'info');
});

test('has limits for the settings of all services, at which values are still valid', async ({
  dir,
}) => {
  const wrong = [
    'idle_exit_s: -0.1',
    'idle_exit_s: 86400.5',
    'authorization: {cache_s: -1}',
    'authorization: {cache_s: 300.5}',
    'authorization: {backend: pam}',
    'authorization: {acl: [{user: "", actions: [a]}]}',
    'authorization: {acl: [{group: "", actions: [a]}]}',
    'authorization: {acl: [{user: a, actions: []}]}',
    'authorization: {acl: [{user: a, actions: [""]}]}',
    'authorization: {acl: [{user: a}]}',
    'authorization: {acl: [{user: a, actions: [a], match: {a: 1}}]}',
    'authorization: {acl: [{user: a, actions: [a], mtch: {}}]}',
    'authorization: {acls: []}',
    'grants: [{user: root, actions: [a]}]',
    'grants: [{actions: [a]}]',
    'grants: [{user: iotedge-keys}]',
    'grants: [{user: iotedge-keys, actions: []}]',
    'grants: [{user: iotedge-keys, group: a, actions: [a]}]',
    'homedir: relative',
    'homedir_path: ./a',
    'log_level: trace',
    'log_level: warning',
  ];
  for (const text of wrong) assert.is((await problems(dir, `${text}\n`)).length, 1, text);
  const good = [
    'idle_exit_s: 0',
    'idle_exit_s: 86400',
    'idle_exit_s: 0.5',
    'authorization: {cache_s: 0}',
    'authorization: {cache_s: 300}',
    'authorization: {backend: acl, acl: [{user: root, group: root, actions: [a, "*"], match: {a: b}}]}',
    'grants: [{user: iotedge-modules, actions: [a]}]',
    'homedir: /a',
    'log_level: warn',
  ];
  for (const text of good) {
    await writeFile(join(dir, 'keys.yaml'), `${text}\n`);
    const config: Readonly<Record<string, unknown>> = await load(dir);
    assert.ok(Object.hasOwn(config, text.split(':', 1)[0] ?? ''), text);
  }
});

test('reads drop-ins that end in .yaml and are not hidden', async ({ dir }) => {
  await mkdir(join(dir, 'keys.d'));
  for (const name of ['.a.yaml', 'a.yml', 'a.yaml~', 'a.conf', 'yaml']) {
    await writeFile(join(dir, 'keys.d', name), 'nonsense: 1\n');
  }
  await writeFile(join(dir, 'other.yaml'), 'nonsense: 1\n');
  await load(dir);
  await writeFile(join(dir, 'keys.d/B.yaml'), 'trusted: B\n');
  await writeFile(join(dir, 'keys.d/a.yaml'), 'trusted: a\n');
  await writeFile(join(dir, 'keys.d/10.yaml'), 'trusted: "10"\n');
  await writeFile(join(dir, 'keys.d/9.yaml'), 'trusted: "9"\n');
  assert.is((await load(dir))['trusted'], 'a');
  await rm(join(dir, 'keys.d/a.yaml'));
  assert.is((await load(dir))['trusted'], 'B');
  await rm(join(dir, 'keys.d/B.yaml'));
  assert.is((await load(dir))['trusted'], '9');
});

test('merges maps within maps, and preserves what a later file does not name', async ({ dir }) => {
  const text = 'authorization: {backend: acl, cache_s: 5}\ncertificates: {a: {method: x}, b: {}}\n';
  await writeFile(join(dir, 'keys.yaml'), text);
  await mkdir(join(dir, 'keys.d'));
  await writeFile(
    join(dir, 'keys.d/a.yaml'),
    'authorization: {cache_s: 7}\ncertificates: {b: {method: y}, c: {method: z}}\n',
  );
  const config = await load(dir);
  assert.equal(config.authorization, { backend: 'acl', cache_s: 7, acl: [] });
  const methods = { a: { method: 'x' }, b: { method: 'y' }, c: { method: 'z' } };
  assert.equal(config['certificates'], methods);
});

test('refuses a file that is larger than 4 MiB, and accepts one of exactly 4 MiB', async ({
  dir,
}) => {
  const text = 'trusted: a\n';
  const most = 4 << 20;
  await writeFile(join(dir, 'keys.yaml'), `${text}#${'x'.repeat(most - text.length - 1)}`);
  assert.is((await load(dir))['trusted'], 'a');
  const [problem] = await problems(dir, `${text}#${'x'.repeat(most - text.length)}`);
  assert.is(problem?.message, 'cannot be read: the file is too large');
});

test('refuses world-writable files, and reads world-readable ones', async ({ dir }) => {
  const file = join(dir, 'keys.yaml');
  await writeFile(file, 'trusted: a\n');
  await chmod(file, 0o664);
  assert.is((await load(dir))['trusted'], 'a');
  await chmod(file, 0o602);
  const [problem, ...others] = await problems(dir, 'trusted: a\n');
  assert.equal([problem?.file, others.length], [file, 0]);
  assert.match(problem?.message ?? '', 'chmod o-w');
});

test('reads UTF-8 and nothing else', async ({ dir }) => {
  await writeFile(join(dir, 'keys.yaml'), 'trusted: ä€\n');
  assert.is((await load(dir))['trusted'], 'ä€');
  await mkdir(join(dir, 'keys.d'));
  const latin = join(dir, 'keys.d/a.yaml');
  await writeFile(latin, Buffer.from('trusted: ä\n', 'latin1'));
  const [problem, ...others] = await problems(dir, 'trusted: a\n');
  assert.equal([problem?.file, problem?.message], [latin, 'cannot be read: it is not UTF-8']);
  assert.is(others.length, 0);
});

test('have a digest of the names, sizes and bytes of all files, as documented', async ({ dir }) => {
  const parse = (value: unknown): Loose => value as Loose;
  const digest = async (): Promise<string> =>
    (await placedConfig({ dir, service: 'keys', schema, parse })).digest;
  const expected = (...files: readonly (readonly [string, string])[]): string => {
    const parts = files.map(([name, text]) => `${name}\0${Buffer.byteLength(text)}\0${text}`);
    return createHash('sha256').update(parts.join('')).digest('hex');
  };
  assert.is(await digest(), expected());
  await writeFile(join(dir, 'keys.yaml'), '# ü\nlog_level: warn\n');
  await mkdir(join(dir, 'keys.d'));
  await writeFile(join(dir, 'keys.d/b.yaml'), '');
  await writeFile(join(dir, 'keys.d/a.yaml'), 'idle_exit_s: 1\n');
  await writeFile(join(dir, 'keys.d/other'), 'not read');
  const main = ['keys.yaml', '# ü\nlog_level: warn\n'] as const;
  const dropIns = [
    ['keys.d/a.yaml', 'idle_exit_s: 1\n'],
    ['keys.d/b.yaml', ''],
  ] as const;
  assert.is(await digest(), expected(main, ...dropIns));
});

test.run();
