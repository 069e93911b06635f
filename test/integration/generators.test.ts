import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runCommand } from '../support/command.ts';
import { interfaceFiles } from '../support/example.ts';
import { runnable } from '../support/not-runnable.ts';

const test = suite('code generators');
const names = readdirSync(interfaceFiles).map((file) => file.replace(/\.xml$/, ''));
let folder: string;
test.before(() => {
  folder = mkdtempSync(join(tmpdir(), 'iotedge-generated-'));
});
test.after(() => rmSync(folder, { recursive: true }));

/** Runs a shell script in the folder for each installed interface, `$name` in `$file`, without any output on stderr. */
async function forEachInterface(script: string): Promise<void> {
  const loop = `for name in ${names.join(' ')}; do file=${interfaceFiles}/$name.xml; ${script}; done`;
  await quietly(loop);
}

async function quietly(script: string): Promise<void> {
  const options = { cwd: folder, timeoutMs: 300_000 };
  const { code, stderr } = await runCommand('sh', ['-euc', script], options);
  assert.is(stderr, '');
  assert.is(code, 0);
}

/** Compiles a program that includes a header of every interface. */
async function compilesTogether(header: (name: string) => string, compiler: string) {
  const includes = names.map((name) => `#include "${header(name)}"\n`);
  writeFileSync(join(folder, 'all.cpp'), includes.join(''));
  await quietly(`${compiler} -fsyntax-only all.cpp`);
}

/** The files with this ending that a generator wrote for an interface. */
function generated(name: string, ending: string): string {
  return readFileSync(join(folder, `${name}${ending}`), 'utf8');
}

test('receive every interface', () => {
  assert.is(names.length, 8);
});

test('of GLib generate C that compiles, with bytes as bytes', async () => {
  const words = '--c-namespace Edge --interface-prefix org.iotedge. --c-generate-object-manager';
  await forEachInterface(
    `gdbus-codegen --generate-c-code $name ${words} $file; cc -fsyntax-only $name.c $(pkg-config --cflags gio-unix-2.0)`,
  );
  const sign = /edge_keys1_call_sign_sync \([^)]*\)/.exec(generated('org.iotedge.Keys1', '.h'));
  assert.match(sign?.[0] ?? '', /GVariant \*arg_data,[^)]*GVariant \*\*out_signature/);
});

test('of GLib find the documentation of methods, arguments and properties', async () => {
  await forEachInterface('gdbus-codegen --generate-docbook doc $file');
  const sign = /<title>The Sign\(\) method[^]*?<\/refsect2>/.exec(
    generated('doc-org.iotedge.Keys1', '.xml'),
  );
  for (const text of ['Signs data;', 'ecdsa-sha512', 'At most 1 MiB.', 'NotFound: there is no key'])
    assert.ok(sign?.[0].includes(text), text);
  assert.match(generated('doc-org.iotedge.Keys1.Key', '.xml'), 'its token unavailable');
});

test('of sdbus-c++ generate C++ that compiles, all interfaces in one program', async () => {
  await forEachInterface('sdbus-c++-xml2cpp $file --proxy=$name-proxy.h >/dev/null');
  const flags = '$(pkg-config --cflags sdbus-c++)';
  await compilesTogether((name) => `${name}-proxy.h`, `c++ -std=c++20 ${flags}`);
});

for (const [qt, variable] of [
  ['Qt5', 'host_bins'],
  ['Qt6', 'bindir'],
] as const) {
  test(`of ${qt} generate C++ that compiles, all interfaces in one program`, async () => {
    const tools = `$(pkg-config --variable=${variable} ${qt}Core)`;
    await forEachInterface(`${tools}/qdbusxml2cpp -N -p ${qt}_$name $file`);
    const flags = `$(pkg-config --cflags ${qt}DBus)`;
    await compilesTogether((name) => `${qt}_${name}.h`, `c++ -std=c++17 -fPIC ${flags}`);
    assert.match(generated(`${qt}_org.iotedge.Identity1`, '.h'), 'QList<QVariantMap>');
  });
}

const namesScript = join(import.meta.dirname, '../../../test/support/clients/python-names.py');

test('for Python find no name that is reserved in Python', async () => {
  await forEachInterface(`/usr/bin/python3 ${namesScript} $file >/dev/null`);
  const keys = readFileSync(join(interfaceFiles, 'org.iotedge.Keys1.xml'), 'utf8');
  writeFileSync(join(folder, 'taken.xml'), keys.replace('"Sign"', '"Import"'));
  const taken = await runCommand('/usr/bin/python3', [namesScript, join(folder, 'taken.xml')]);
  assert.match(taken.stderr, 'SyntaxError');
});

runnable('python-sdbus', test)('of python-sdbus generate modules that Python imports', async () => {
  const name = '$(echo $name | tr . _)';
  for (const option of ['', '--block'])
    await forEachInterface(
      `/usr/bin/python3 -m sdbus gen-from-file ${option} $file >${name}.py; /usr/bin/python3 -c "import ${name}"`,
    );
});

test.run();
