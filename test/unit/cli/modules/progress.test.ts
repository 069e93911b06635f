import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  binarySize,
  decimalSize,
  moduleUse,
  useTable,
} from '../../../../src/cli/modules/resources.ts';
import { shownConfig } from '../../../../src/cli/modules/shown-config.ts';
import { ProgressLine } from '../../../../src/cli/progress-line.ts';

const test = suite('progress, resources and configurations on the command line');

function progress(
  isTTY: boolean,
  lines: readonly string[],
  { isQuiet = false, columns = 20 } = {},
) {
  const written: string[] = [];
  const noted: string[] = [];
  const stream = { isTTY, columns, write: (text: string) => written.push(text) };
  const line = new ProgressLine({ stream, note: (text) => noted.push(text), isQuiet });
  for (const text of lines) line.show(text);
  line[Symbol.dispose]();
  return { written, noted };
}

test('is one line of a terminal, which is rewritten and removed', () => {
  const { written, noted } = progress(true, ['a', 'a', 'a line that is much too long', 'b\x1b[2J']);
  assert.equal(noted, []);
  assert.equal(written, [
    '\r\x1b[Ka',
    '\r\x1b[Ka line that is much',
    '\r\x1b[Kb\ufffd[2J',
    '\r\x1b[K',
  ]);
});

test('is whole at a console that does not know its width', () => {
  assert.is(progress(true, ['a: creating'], { columns: 0 }).written[0], '\r\x1b[Ka: creating');
});

test('is a line for each step elsewhere, and not for each percentage', () => {
  const percentages = Array.from({ length: 101 }, (_, at) => `a: pulling ${at}%: Downloading`);
  const { written, noted } = progress(false, [...percentages, 'a: starting', 'a: starting']);
  assert.equal(written, []);
  assert.equal(
    noted,
    [0, 25, 50, 75, 100].map((at) => `a: pulling ${at}%: Downloading`).concat('a: starting'),
  );
});

test('is each line once elsewhere, although the steps of an operation have a common line between them', () => {
  const lines = ['updating', 'pulling 10%', 'updating', 'pulling 20%', 'updating', 'creating'];
  const { noted } = progress(false, [...lines, 'updating', 'pulling 40%', 'updating']);
  assert.equal(noted, ['updating', 'pulling 10%', 'creating', 'pulling 40%']);
});

test('is nothing for programs that want JSON', () => {
  assert.equal(progress(true, ['a'], { isQuiet: true }), { written: [], noted: [] });
});

test('shows sizes as docker does', () => {
  assert.is(binarySize(0), '0B');
  assert.is(binarySize(1536), '1.5KiB');
  assert.is(binarySize(123_456_789), '117.7MiB');
  assert.is(decimalSize(1234), '1.23kB');
  assert.is(decimalSize(999), '999B');
  assert.is(decimalSize(5_600_000_000), '5.6GB');
});

test('shows what modules use', () => {
  const use = moduleUse(['sensor', 12.345, 1048576n, 4194304n, 1000n, 2000n, 0n, 3000n, 4n]);
  assert.equal(useTable([use]).split('\n'), [
    'NAME    CPU %   MEM USAGE / LIMIT  MEM %   NET I/O    BLOCK I/O  PIDS',
    'sensor  12.35%  1MiB / 4MiB        25.00%  1kB / 2kB  0B / 3kB   4',
  ]);
  const bare = moduleUse(['sensor', 0, 0n, 0n, 0n, 0n, 0n, 0n, 0n]);
  assert.match(useTable([bare]), '0B / 0B');
});

test('shows a configuration without values of variables', () => {
  const json = JSON.stringify({
    image: 'a',
    auth: { username: 'u' },
    createOptions: {
      Env: ['A=hunter2', 'B=hunter2=x'],
      Hostname: 'h',
      Labels: {
        mine: 'x',
        'net.azure-devices.edge.env': '{"A":{"value":"hunter2"}}',
        'net.azure-devices.edge.original-image': 'a',
      },
    },
  });
  assert.equal(shownConfig(json), {
    image: 'a',
    auth: { username: 'u', password: '…' },
    createOptions: {
      Env: ['A=…', 'B=…'],
      Hostname: 'h',
      Labels: {
        mine: 'x',
        'net.azure-devices.edge.env': '…',
        'net.azure-devices.edge.original-image': 'a',
      },
    },
  });
});

test.run();
