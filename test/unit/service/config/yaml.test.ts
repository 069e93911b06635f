import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Problem } from '../../../../src/service/config/config-problem.ts';
import { type ConfigNode, parseYaml } from '../../../../src/service/config/yaml.ts';
import { holds } from '../../../support/property.ts';

const test = suite('YAML as configuration');

/** The plain value of a node. */
function valueOf(node: ConfigNode | undefined): unknown {
  if (node === undefined) return undefined;
  if (node.kind === 'scalar') return node.value;
  if (node.kind === 'list') return node.items.map(valueOf);
  return Object.fromEntries([...node.entries].map(([key, entry]) => [key, valueOf(entry.node)]));
}

function read(text: string): unknown {
  const { node, problems } = parseYaml(text, 'a.yaml');
  assert.equal(problems, [], text);
  return valueOf(node);
}

function problemsOf(text: string): readonly Problem[] {
  return parseYaml(text, 'a.yaml').problems;
}

function nodes(node: ConfigNode): readonly ConfigNode[] {
  if (node.kind === 'scalar') return [node];
  const inner = node.kind === 'list' ? node.items : [...node.entries.values()].map((e) => e.node);
  return [node, ...inner.flatMap(nodes)];
}

const lineBreak = /\r\n|\n|\r/;

/** Tokens with a meaning in YAML, in any order. */
const tokens = fc.oneof(
  fc.constantFrom(...Array.from('-?:,[]{}#&*!|>\'"%@`~<=\n\t ')),
  fc.constantFrom(
    '\n  ',
    ': ',
    '- ',
    '&a ',
    '*a',
    '<<',
    '---',
    '...Array.from(',
    ')!!str ',
    '|2\n',
    '\r\n',
    '\r',
  ),
  fc.constantFrom(
    'a',
    'b',
    '1',
    '0x1',
    '1e3',
    'null',
    'true',
    'yes',
    '\\u',
    '\0',
    '\ufeff',
    'ß',
    '😀',
  ),
);

test('parses any text to a value, or to a problem with its place in the text', () => {
  const texts = fc.oneof(
    fc.array(tokens, { maxLength: 24 }).map((parts) => parts.join('')),
    fc.string(),
  );
  const property = fc.property(texts, (text) => {
    const { node, problems } = parseYaml(text, 'a.yaml');
    const lines = text.split(lineBreak).length;
    const placed = [...problems, ...(node === undefined ? [] : nodes(node).map(({ at }) => at))];
    for (const { file, line, column } of placed) {
      assert.is(file, 'a.yaml');
      assert.ok(line >= 1 && line <= lines && column >= 1, JSON.stringify({ text, line, column }));
    }
    for (const { message } of problems) assert.ok(message.length > 0 && message.length < 300);
  });
  holds(property, 3000);
});

const scalars = fc.oneof(
  fc.constantFrom(
    null,
    true,
    false,
    0,
    -1,
    1.5,
    1e21,
    '',
    '~',
    'null',
    'yes',
    '0123',
    '<<',
    '__proto__',
  ),
  fc.string(),
  fc.integer(),
);
const keys = fc.string().filter((key) => key !== '<<');
const { value: json } = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    scalars,
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(keys, tie('value'), { maxKeys: 4 }),
  ),
}));

test('reads JSON with the same meaning', () => {
  const property = fc.property(json, fc.nat({ max: 2 }), (value, indent) => {
    const text = JSON.stringify(value, undefined, indent);
    const expected: unknown = value === null ? undefined : JSON.parse(text);
    assert.is(JSON.stringify(read(text)), JSON.stringify(expected), text);
  });
  holds(property, 500);
});

test('quotes nothing of a broken text but keys', () => {
  const property = fc.property(fc.array(tokens, { maxLength: 12 }), (parts) => {
    const text = `${parts.join('')}\na: "s3cret" b: [s3cret`;
    assert.not.match(JSON.stringify(problemsOf(text)), 's3cret');
  });
  holds(property, 500);
});

test('quotes nothing of the text in errors of the parser', () => {
  for (const text of ['a: !s3cret!x b', '!!s3cret^ a', 'a: !<s3cret', 'a: *s3cret']) {
    const [problem, ...others] = problemsOf(`${text}\n`);
    assert.ok(problem !== undefined && others.length === 0, text);
    assert.not.match(problem.message, 's3cret');
  }
});

test('recognizes only the numbers and booleans of YAML 1.2, and preserves the text', () => {
  assert.equal(read('a: yes\nb: on\nc: true\nd: 0x10\ne: 1_000\nf: 012\ng: ~\nh:\n'), {
    a: 'yes',
    b: 'on',
    c: true,
    d: 16,
    e: '1_000',
    f: 12,
    g: null,
    h: null,
  });
  const { node } = parseYaml('- 1.10\n- "1.10"\n- 0644\n-\n- TRUE\n', 'a.yaml');
  const texts = node?.kind === 'list' ? node.items.map((one) => 'text' in one && one.text) : [];
  assert.equal(texts, ['1.10', '1.10', '0644', '', 'TRUE']);
});

test('is empty without a document, and with an empty one', () => {
  for (const text of ['', '\n', '# a', '---', '--- # a\n...\n', '~', 'null', '\ufeff']) {
    assert.equal(
      parseYaml(text, 'a.yaml'),
      { node: undefined, problems: [] },
      JSON.stringify(text),
    );
  }
});

/** Line and column of the error of a file. */
const refused: readonly (readonly [string, number, number, RegExp])[] = [
  ['a: 1\nb: 2\na: 3\n', 3, 1, /"a" stands here twice/],
  ['a: {b: 1, "b": 2}', 1, 11, /"b" stands here twice/],
  ['a: &x {b: 1}\nc:\n  <<: *x\n', 3, 3, /merging with "<<"/],
  ['a: 1\n---\nb: 1\n', 1, 1, /more than one document/],
  ['a: *x\nb: &x 1\n', 1, 4, /names nothing that stands before it/],
  ['a: !!set {b}\n', 1, 10, /tags on maps and lists/],
  ['a:\n  - !!seq [b]\n', 2, 11, /tags on maps and lists/],
  ['? [a]\n: 1\n', 1, 3, /a key must be a text/],
  ['? {a: 1}\n: 1\n', 1, 3, /a key must be a text/],
  ['a: 1\n: 2\n', 1, 1, /a key must be a text/],
  ['a: &x b\n*x : 1\n', 1, 7, /a key must be a text/],
  ['a: [\r\n  b\r\n', 3, 1, /./],
];

test('refuses misleading constructs, with their place', () => {
  for (const [text, line, column, message] of refused) {
    const [first] = problemsOf(text);
    assert.equal([first?.line, first?.column], [line, column], `${text}: ${first?.message}`);
    assert.match(first?.message ?? '', message);
  }
});

test('uses the first of two entries with one key', () => {
  const { node } = parseYaml('a: 1\na: 2\n', 'a.yaml');
  assert.equal(valueOf(node), { a: 1 });
});

test('places values behind every kind of line end, quotes at the quote', () => {
  for (const end of ['\n', '\r\n', '\r']) {
    const { node } = parseYaml(
      ['a:', '  - "b"', "  - 'c'", '  - d', 'e: &x f'].join(end),
      'a.yaml',
    );
    assert.ok(node !== undefined);
    assert.equal(
      nodes(node).map(({ at }) => [at.line, at.column]),
      [
        [1, 1],
        [2, 3],
        [2, 5],
        [3, 5],
        [4, 5],
        [5, 7],
      ],
    );
    const entries = node.kind === 'map' ? [...node.entries.values()] : [];
    assert.equal(
      entries.map(({ at }) => [at.line, at.column]),
      [
        [1, 1],
        [5, 1],
      ],
    );
  }
});

test('resolves an alias to the last anchor of that name before it', () => {
  assert.equal(read('a: &x 1\nb: *x\nc: &x [2]\nd: [*x, *x]\n'), {
    a: 1,
    b: 1,
    c: [2],
    d: [[2], [2]],
  });
});

/** A list of so many nodes: itself and its items. */
const listOf = (count: number): string =>
  `[${Array(count - 1)
    .fill('a')
    .join(',')}]`;

test('counts up to 100000 nodes, including those that aliases repeat', () => {
  const tooLarge = /too large, counting what aliases repeat/;
  // a map, two keys, the list with its anchor, the list of aliases: each is a node and the 1000 that it repeats
  const repeated = (others: number) => {
    const items = [...Array<string>(98).fill('*x'), ...Array<string>(others).fill('a')];
    return `{a: &x ${listOf(1000)}, b: [${items.join(',')}]}`;
  };
  assert.equal(problemsOf(repeated(898)), []);
  assert.match(problemsOf(repeated(899))[0]?.message ?? '', tooLarge);
  const levels = Array.from({ length: 40 }, (_, at) => `- &l${at + 1} [*l${at}, *l${at}]`);
  assert.match(problemsOf(`- &l0 a\n${levels.join('\n')}`)[0]?.message ?? '', tooLarge);
  const maps = Array.from({ length: 40 }, (_, at) => `- &l${at + 1} {a: *l${at}, b: *l${at}}`);
  assert.match(problemsOf(`- &l0 a\n${maps.join('\n')}`)[0]?.message ?? '', tooLarge);
});

test('limits nesting to 50', () => {
  const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
  assert.equal(problemsOf(nested(49)), []);
  assert.is(problemsOf(nested(60)).length, 1);
  assert.is(problemsOf(nested(100_000)).length, 1);
});

test('does not loop on a self-referencing anchor', () => {
  const found = problemsOf('a: &x [*x]\n');
  assert.match(found[0]?.message ?? '', /names nothing that stands before it/);
});

test.run();
