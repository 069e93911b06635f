import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Rig } from '../../support/rig/rig.ts';
import { services } from '../../support/rig/rig-services.ts';

const test = suite('page about clients');
const docs = join(import.meta.dirname, '../../../../docs');
const sources = join(import.meta.dirname, '../../../../test/integration/clients');
const page = readFileSync(join(docs, 'clients.md'), 'utf8');

test('contains every example, and each is built and run by a test', () => {
  const links = page.matchAll(/\]\(examples\/([^)]+)\)/g);
  const shown = [...new Set([...links].map(([, file = '']) => file))];
  assert.equal(shown.toSorted(), readdirSync(join(docs, 'examples')).toSorted());
  const tests = readdirSync(sources).map((file) => readFileSync(join(sources, file), 'utf8'));
  const untested = shown.filter((file) => !tests.some((text) => text.includes(`'${file}'`)));
  assert.equal(untested, []);
});

test('has a link to the reference of every service', () => {
  for (const { busName } of Object.values(services)) assert.match(page, `(api/${busName}.md)`);
});

test('contains shell commands that work', async () => {
  const [, commands = ''] = /```sh\n([^`]+)```/.exec(page) ?? [];
  await using rig = await Rig.start();
  const options = { user: 'operator' } as const;
  const { code, stdout, stderr } = await rig.run('sh', ['-euc', commands], options);
  assert.is(code, 0, stderr);
  assert.match(stdout, /^o "\/org\/iotedge\/Keys1\/key\/my_2dkey"\n\(\[byte 0x30, /);
});

test.run();
