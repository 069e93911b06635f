/** The units of `iotedgectl certificates watch`: as systemd reads them, and what they do. */
import {
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { unreloadedServers } from '../../../../src/cli/certificates/unreloaded.ts';
import { parseServiceUnit, watchUnits } from '../../../../src/cli/certificates/watch-units.ts';
import { iotedgectl } from '../../../../src/cli/iotedgectl.ts';
import { withLate } from '../../../../src/cli/verbs/status.ts';
import { parseCertificateId } from '../../../../src/ids.ts';
import { runCommand } from '../../../support/command.ts';
import { codeOf } from '../../../support/failure.ts';
import { StagedRoot } from '../../../support/systemd/staged-root.ts';
import { suite } from '../../../support/timed-suite.ts';

const test = suite<{ top: string }>('watches on published certificates');

test.before.each(async (context) => {
  context.top = await mkdtemp(join(tmpdir(), 'iotedge-watch-'));
});
test.after.each(({ top }) => rm(top, { recursive: true }));

const unitsOf = (id: string, reload: string, publishDir = '/var/lib/iotedge/published') =>
  watchUnits({ id: parseCertificateId(id), reload, publishDir });

test('have names of their own, without a mistake that systemd finds', async () => {
  await using root = await StagedRoot.create();
  await root.write('usr/lib/systemd/system/nginx.service', '[Service]\nExecStart=/bin/sh\n');
  const all = [
    unitsOf('web/one', 'nginx.service'),
    unitsOf('web-one', 'nginx.service'),
    unitsOf('$a/b@c', 'a\\x2db@c.service'),
  ];
  const names = all.map(({ name }) => name);
  assert.equal(names, [
    'iotedge-watch-web-one-nginx',
    'iotedge-watch-web\\x2done-nginx',
    'iotedge-watch-\\x24a-b\\x40c-a\\x5cx2db\\x40c',
  ]);
  for (const { files, name } of all) {
    for (const [file, text] of files) await root.write(`usr/lib/systemd/system/${file}`, text);
    const units = ['service', 'path', 'timer'].map((type) => `${name}.${type}`);
    assert.equal([...files.keys()], units);
    const args = ['verify', '--man=no', `--root=${root.path}`, ...units];
    const { code, stdout, stderr } = await runCommand('systemd-analyze', args);
    const output = `${stdout.toString()}${stderr}`;
    assert.equal({ name, code, output }, { name, code: 0, output: '' });
  }
});

test('are for service units alone', () => {
  assert.is(parseServiceUnit('nginx'), 'nginx.service');
  assert.is(parseServiceUnit('a@b.service'), 'a@b.service');
  for (const name of ['', 'x.socket', '-x', 'a b', 'a/b.service', 'a%b', "a'b", 'a$b', 'a\nb'])
    assert.is(
      codeOf(() => parseServiceUnit(name)),
      'InvalidArgs',
      JSON.stringify(name),
    );
  for (const path of ['/a b', '/a%b', "/a'b", '/a\\b', '/a$b'])
    assert.is(
      codeOf(() => unitsOf('web', 'x.service', path)),
      'InvalidArgs',
      path,
    );
  assert.is(
    codeOf(() => unitsOf('/'.padStart(100, '-'), 'x.service')),
    'InvalidArgs',
  );
  assert.is(
    codeOf(() => unitsOf('a'.padEnd(100, '-'), 'x.service')),
    'InvalidArgs',
    'too long',
  );
});

/** Published versions, and the command of the service with a `systemctl` that records its arguments. */
async function rigOf(top: string) {
  const { name, files } = unitsOf('web', 'nginx.service', `${top}/published`);
  const home = join(top, 'published', 'web');
  await mkdir(home, { recursive: true });
  await mkdir(join(top, 'units'));
  await mkdir(join(top, 'state', 'iotedge', 'reloads'), { recursive: true });
  for (const [file, text] of files) await writeFile(join(top, 'units', file), text);
  const line = /^ExecStart=\/bin\/sh -c '(.*)' watch (\S+) (\S+) (\S+)$/m.exec(
    files.get(`${name}.service`) ?? '',
  );
  const [, script = '', link = '', stamp = '', unit = ''] = line ?? [];
  const record = stamp.replace('%S', join(top, 'state')).replace('%N', name);
  await mkdir(join(top, 'bin'));
  const swapTo = async (version: string): Promise<void> => {
    await rm(join(home, 'current'), { force: true });
    await symlink(`../.staging/${version}`, join(home, 'current'));
  };
  /** What systemctl was asked for. */
  const run = async (systemctl = 'exit 0') => {
    const text = `#!/bin/sh\necho "$*" >>${top}/calls\n${systemctl}\n`;
    await writeFile(join(top, 'bin', 'systemctl'), text, { mode: 0o755 });
    await rm(join(top, 'calls'), { force: true });
    const args = ['-c', script.replaceAll('$$', '$'), 'watch', link, record, unit];
    const env = { PATH: `${top}/bin:/usr/bin:/bin` };
    const { code } = await runCommand('/bin/sh', args, { env });
    const calls = await readFile(join(top, 'calls'), 'utf8').catch(() => '');
    return { code, calls: calls.split('\n').filter((call) => call !== '') };
  };
  const late = (now: number) =>
    unreloadedServers(new Date(now), { units: join(top, 'units'), state: join(top, 'state') });
  return { late, link, run, swapTo };
}

const reload = 'try-reload-or-restart -- nginx.service';

test('reload once for each version, again after a failure, and for a swap during the reload', async ({
  top,
}) => {
  const { link, run, swapTo } = await rigOf(top);
  assert.equal(await run(), { code: 0, calls: [] }, 'nothing is published');
  await swapTo('web.1');
  assert.equal(await run(), { code: 0, calls: [reload] });
  assert.equal(await run(), { code: 0, calls: [] });
  await swapTo('web.2');
  assert.equal(await run('exit 5'), { code: 1, calls: [reload] });
  assert.equal(await run(), { code: 0, calls: [reload] });
  await swapTo('web.3');
  const swap = `[ -e ${top}/swapped ] || { touch ${top}/swapped; ln -sfn ../.staging/web.4 ${link}; }`;
  assert.equal(await run(swap), { code: 0, calls: [reload, reload] });
  assert.equal(await run(), { code: 0, calls: [] });
});

test('show servers that were not reloaded hours after a swap', async ({ top }) => {
  const { late, run, swapTo } = await rigOf(top);
  const now = Date.now();
  const soon = now + 3_600_000;
  const later = now + 3 * 3_600_000;
  assert.equal(await late(later), [], 'nothing is published');
  await swapTo('web.1');
  assert.equal(await late(soon), []);
  const [found, ...others] = await late(later);
  assert.is(found?.id, 'web');
  assert.match(found?.text ?? '', /^nginx\.service was not reloaded since it was replaced at 20/);
  assert.equal(others, []);
  await run();
  assert.equal(await late(later), []);
  await swapTo('web.2');
  assert.is((await late(later)).length, 1);
  const status = { service: 'certificates', state: 'idle', health: '', version: '' } as const;
  const concern = { id: 'web', text: 'late' };
  assert.equal(withLate({ ...status, detail: 'x' }, [concern]), {
    ...status,
    health: 'degraded',
    detail: 'x',
    concerns: [{ kind: 'unreloaded', ...concern }],
  });
  assert.equal(await unreloadedServers(new Date(), { units: join(top, 'no'), state: top }), []);
});

test('judge a server by the version that it uses, however often that was replaced since', async ({
  top,
}) => {
  const { late, run, swapTo } = await rigOf(top);
  const now = Date.now();
  const hour = 3_600_000;
  const used = join(top, 'published', '.staging', 'web.1');
  await mkdir(used, { recursive: true });
  await swapTo('web.1');
  await run();
  // it was replaced long ago, and its successor just now
  const replaced = new Date(now - 5 * hour);
  await utimes(used, replaced, replaced);
  await swapTo('web.3');
  const at = (time: number): string => new Date(time).toISOString().slice(0, 16).replace('T', ' ');
  const begin = `nginx.service was not reloaded since it was replaced at ${at(replaced.getTime())} UTC; the former key`;
  const [found] = await late(now);
  assert.ok(
    found?.text.startsWith(`${begin} is usable until ${at(replaced.getTime() + 24 * hour)} UTC:`),
    found?.text,
  );
  const [over] = await late(now + 19 * hour);
  assert.ok(over?.text.startsWith(`${begin} may not be usable any more:`), over?.text);
  await rm(used, { recursive: true });
  assert.equal(await late(now + hour), []);
  const [gone] = await late(now + 3 * hour);
  assert.match(gone?.text ?? '', 'the former key may not be usable any more: systemctl start');
});

/** A directory for units, and the command that writes and removes them there. */
async function commandOf(top: string) {
  const units = join(top, 'units');
  await mkdir(units);
  await writeFile(join(top, 'certificates.yaml'), 'publish_dir: /srv/tls\n');
  const command = async (id: string, ...options: readonly string[]) => {
    const out: string[] = [];
    const err: string[] = [];
    const places = ['--unit-dir', units, '--config-dir', top];
    const args = ['certificates', 'watch', id, ...options, ...places];
    const code = await iotedgectl(
      args,
      (text) => void out.push(text),
      (text) => void err.push(text),
    );
    return { code, out, err: err.join('\n') };
  };
  const watch = (...servers: readonly string[]) =>
    command('web', ...servers.flatMap((server) => ['--reload', server]));
  const written = async (): Promise<readonly string[]> => (await readdir(units)).sort();
  return { command, units, watch, written };
}

const filesOf = (name: string): readonly string[] =>
  ['path', 'service', 'timer'].map((type) => `iotedge-watch-${name}.${type}`);

test('are written once, and never over the file of another author', async ({ top }) => {
  const { units, watch, written } = await commandOf(top);
  const first = await watch('nginx', 'mosquitto.service');
  assert.is(first.code, 0);
  assert.is(first.out.length, 6);
  assert.match(first.err, /^warning: certificates\.yaml does not publish "web"/);
  assert.equal(await written(), ['web-mosquitto', 'web-nginx'].flatMap(filesOf));
  const path = await readFile(join(units, 'iotedge-watch-web-nginx.path'), 'utf8');
  assert.match(path, /^PathChanged=\/srv\/tls\/web$/m);
  assert.equal((await watch('nginx')).out, []);
  assert.is((await watch()).code, 2);
  assert.is.not((await watch('nginx.socket')).code, 0);
  await rm(join(units, 'iotedge-watch-web-nginx.timer'));
  await symlink('/dev/null', join(units, 'iotedge-watch-web-nginx.timer'));
  const masked = await watch('nginx');
  assert.is.not(masked.code, 0);
  assert.match(masked.err, 'masks the unit');
});

test('need a directory, which the failure names', async ({ top }) => {
  const { command, units, watch } = await commandOf(top);
  await rm(units, { recursive: true });
  for (const { code, err, out } of [await watch('nginx'), await command('web', '--remove')]) {
    assert.equal([code, out], [1, []]);
    assert.is(err, `iotedgectl: there is no directory ${units} for the units`);
  }
  await writeFile(units, '');
  assert.match((await watch('nginx')).err, `no directory ${units}`);
});

test('are removed for one server or for all, and for no other certificate', async ({ top }) => {
  const { command, units, watch, written } = await commandOf(top);
  const others = ['iotedge-watch-web-copy.path', 'mine.service'];
  await watch('nginx', 'mosquitto', 'a\\x2db@c');
  await command('web/nginx', '--reload', 'nginx');
  const left = filesOf('web-nginx-nginx');
  const copied = await readFile(join(units, 'iotedge-watch-web-nginx.path'), 'utf8');
  for (const other of others) await writeFile(join(units, other), copied);
  const one = await command('web', '--remove', '--reload', 'nginx');
  assert.is(one.code, 0, one.err);
  assert.equal(one.out.length, 3);
  const ofWeb = ['web-a\\x5cx2db\\x40c', 'web-mosquitto'].flatMap(filesOf);
  assert.equal(await written(), [...ofWeb, ...left, ...others].sort());
  assert.is.not((await command('web', '--remove', '--reload', 'nginx')).code, 0);
  await rm(join(units, 'iotedge-watch-web-mosquitto.timer')); // an earlier removal was interrupted
  assert.is((await command('web', '--remove')).code, 0);
  assert.equal(await written(), [...left, ...others].sort());
  const none = await command('web', '--remove');
  assert.is.not(none.code, 0);
  assert.match(none.err, 'no watch on "web"');
});

test('are not removed where a file has another author', async ({ top }) => {
  const { command, units, watch, written } = await commandOf(top);
  await watch('mosquitto', 'nginx');
  const path = join(units, 'iotedge-watch-web-nginx.timer');
  const before = await written();
  for (const replace of [
    () => writeFile(path, '[Timer]\nOnCalendar=daily\n'),
    () =>
      writeFile(
        path,
        `# Written by 'iotedgectl certificates watch other --reload nginx.service'.\n`,
      ),
    () => symlink('/dev/null', path),
  ]) {
    await rm(path);
    await replace();
    const { code, err } = await command('web', '--remove');
    assert.is.not(code, 0);
    assert.match(err, 'nothing is removed');
    assert.equal(await written(), before);
  }
});

test.run();
