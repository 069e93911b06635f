import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { IssuingCas } from '../../../../../src/modules/api/workload/issuing-cas.ts';
import { type LogLine, recordingLog } from '../../../../support/log.ts';
import { Pki } from '../../../../support/tls/pki.ts';

interface Context {
  old: Pki;
  renewed: Pki;
  path: string;
  lines: LogLine[];
}

const test = suite<Context>('CAs that issued certificates of modules');
const dayMs = 86_400_000;
let time = Date.now();
const now = () => new Date(time);

test.before.each(async (context) => {
  time = Date.now();
  context.lines = [];
  [context.old, context.renewed] = await Promise.all([Pki.create(), Pki.create()]);
  context.path = join(context.old.directory, 'issuing-cas.json');
});

test.after.each(async ({ old, renewed }) => {
  await old[Symbol.asyncDispose]();
  await renewed[Symbol.asyncDispose]();
});

function open({ path, lines }: Context): Promise<IssuingCas> {
  return IssuingCas.open(path, { now, log: recordingLog((line) => void lines.push(line)) });
}

/** Notes a certificate that is valid for a day, with or without its CA. */
async function note(cas: IssuingCas, pki: Pki, bundle: string, withCa = false): Promise<void> {
  const { certificate } = await pki.issue('module', ['module']);
  await cas.note(withCa ? certificate + pki.root.certificate : certificate, async () => bundle);
}

test('are in the bundle after their renewal until the certificates have expired, also for the next process', async (context) => {
  const { old, renewed } = context;
  const [before, after] = [old.root.certificate, renewed.root.certificate];
  for (const withCa of [false, true]) {
    const cas = await open(context);
    await note(cas, old, before, withCa);
    assert.is(cas.complete(before), before);
    for (const each of [cas, await open(context)]) {
      assert.is(each.complete(after), after + before);
      time += dayMs - 60_000;
      assert.is(each.complete(after), after + before);
      time += 2 * dayMs;
      assert.is(each.complete(after), after);
      time -= 3 * dayMs - 60_000;
    }
  }
});

test('are not in the bundle when modules did not trust them', async (context) => {
  const cas = await open(context);
  const after = context.renewed.root.certificate;
  await note(cas, context.old, after, true);
  assert.is(cas.complete(after), after);
});

test('are written once for many certificates, and no more than eight', async (context) => {
  const cas = await open(context);
  const bundle = context.old.root.certificate;
  await note(cas, context.old, bundle);
  const written = await readFile(context.path);
  await note(cas, context.old, bundle);
  assert.equal(await readFile(context.path), written);
  const roots = await Promise.all(Array.from({ length: 9 }, () => Pki.create()));
  for (const root of roots) {
    time += 1;
    await note(cas, root, root.root.certificate);
    await root[Symbol.asyncDispose]();
  }
  assert.is(cas.complete(bundle).split('BEGIN CERTIFICATE').length - 1 <= 9, true);
  assert.is((JSON.parse(String(await readFile(context.path))) as { cas: [] }).cas.length, 8);
});

test('of a damaged file are reported, and the file stays', async (context) => {
  await writeFile(context.path, '{"version": 1, "cas": [{"certificate": 5}]}');
  const cas = await open(context);
  const [before, after] = [context.old.root.certificate, context.renewed.root.certificate];
  await note(cas, context.old, before);
  assert.is(cas.complete(after), after + before);
  assert.match(await readFile(context.path, 'utf8'), /"certificate": 5/);
  assert.equal(
    context.lines.map(({ level }) => level),
    ['error'],
  );
});

test('do not fail a certificate when the bundle cannot be read', async (context) => {
  const cas = await open(context);
  const { certificate } = await context.old.issue('module', ['module']);
  await cas.note(certificate, () => Promise.reject(new Error('not now')));
  assert.equal(
    context.lines.map(({ level }) => level),
    ['warn'],
  );
});

test.run();
