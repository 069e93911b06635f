/** Helpers that do not end, write too much, or cannot be trusted. */
import { chmod, link, mkdir, symlink, writeFile } from 'node:fs/promises';
import * as assert from 'uvu/assert';
import { requireTrustedProgram } from '../../../../../src/certificates/issuers/command/trusted-program.ts';
import { deadline, until } from '../../../../support/deadline.ts';
import { failureOf, messageOf } from '../../../../support/failure.ts';
import { isRunning } from '../../../../support/system/running.ts';
import { suite } from '../../../../support/timed-suite.ts';
import { Helpers } from './helper-directory.ts';

const test = suite('a bad helper');

async function ends(pid: number): Promise<void> {
  await until(5000, `process ${pid} to end`, async () => !(await isRunning(pid)));
}

test('that hangs is ended with its children', async () => {
  await using helpers = await Helpers.create();
  const script = `sleep 30 & echo $! > ${helpers.path('child')}; wait`;
  const text = await messageOf(helpers.run(script, { timeoutMs: 300 }));
  assert.match(text, /^Unavailable: .*helper did not end within 0\.3 s$/);
  await ends(Number(await helpers.text('child')));
});

test('may end by itself at SIGTERM, and is killed when it ignores it', async () => {
  await using helpers = await Helpers.create();
  const trapping = `trap 'echo got > ${helpers.path('term')}; exit 0' TERM; sleep 30 & wait`;
  assert.is(await failureOf(helpers.run(trapping, { timeoutMs: 300 })), 'Unavailable');
  assert.is(await helpers.text('term'), 'got\n');
  const ignoring = `trap '' TERM; echo $$ > ${helpers.path('pid')}; while :; do sleep 1; done`;
  assert.match(await messageOf(helpers.run(ignoring, { timeoutMs: 300 })), 'did not end');
  await ends(Number(await helpers.text('pid')));
});

test('is ended when its order is cancelled', async () => {
  await using helpers = await Helpers.create();
  const cancel = new AbortController();
  const via = { requestId: 'test', signal: cancel.signal };
  const run = helpers.run(`echo $$ > ${helpers.path('pid')}; sleep 30`, {
    via,
    timeoutMs: 60_000,
  });
  const pid = Number(await helpers.text('pid'));
  cancel.abort(new Error('cancelled'));
  assert.match(await deadline(5000, messageOf(run), 'the order to end'), 'cancelled');
  await ends(pid);
});

test('that writes a gigabyte is ended, on either stream', async () => {
  await using helpers = await Helpers.create();
  for (const to of ['1', '2']) {
    const before = process.memoryUsage().rss;
    const script = `echo $$ > ${helpers.path('pid')}; exec head -c 1073741824 /dev/zero >&${to}`;
    assert.match(await messageOf(helpers.run(script)), /^Unavailable: .*more than 256 KiB$/);
    await ends(Number(await helpers.text('pid')));
    assert.ok(process.memoryUsage().rss - before < 64 << 20, 'memory is bounded');
  }
  const most = 'head -c 262144 /dev/zero | tr "\\0" " "; exit 3';
  assert.match(await messageOf(helpers.run(most)), 'did not reach its CA');
});

test('that leaves a process behind, which keeps its output, has answered all the same', async () => {
  await using helpers = await Helpers.create();
  const script = `sleep 30 & echo $! > ${helpers.path('child')}; echo no; exit 4`;
  const answer = await helpers.run(script);
  assert.is(answer.kind === 'rejected' && answer.reason, 'no');
  await ends(Number(await helpers.text('child')));
  // one that has left the group is not waited for either, nor lost is what was written before
  const gone = `setsid sh -c 'echo $$ > ${helpers.path('gone')}; exec sleep 30' &
while [ ! -s ${helpers.path('gone')} ]; do sleep 0.01; done
head -c 60000 /dev/zero | tr '\\0' x; exit 1`;
  const pending = await deadline(5000, helpers.run(gone), 'the answer');
  assert.is(pending.kind === 'pending' && pending.cookie.length, 60_000);
  process.kill(Number(await helpers.text('gone')));
});

test('that gives nothing, or no certificate, is asked again later', async () => {
  await using helpers = await Helpers.create();
  for (const script of ['exit 0', 'echo hello', 'echo "{}"', 'echo "{"', 'printf "\\060\\202"']) {
    const answer = await helpers.run(script);
    assert.is(answer.kind, 'rejected', script);
    assert.match(answer.kind === 'rejected' ? answer.reason : '', /^the helper gave no cert/);
    assert.is(answer.kind === 'rejected' && answer.isFinal, false);
  }
});

test('that cannot be run is Unavailable', async () => {
  await using helpers = await Helpers.create();
  const program = await helpers.write('exit 4');
  await writeFile(helpers.path('no-interpreter'), '#!/nowhere/sh\n', { mode: 0o755 });
  await chmod(program, 0o644);
  await mkdir(helpers.path('folder'));
  for (const [path, what] of [
    [program, 'helper is not executable'],
    [helpers.path('missing'), 'missing is not found'],
    [helpers.path('folder'), 'folder is no file'],
    [helpers.path('no-interpreter'), 'cannot be run (ENOENT)'],
  ] as const) {
    const text = await messageOf(helpers.submit(path));
    assert.match(text, /^Unavailable: /);
    assert.ok(text.endsWith(what), text);
  }
});

test('that others than root may replace is not run', async () => {
  await using helpers = await Helpers.create();
  const refused = async (path: string, what: RegExp) => {
    assert.match(await messageOf(helpers.submit(path)), what);
  };
  const program = await helpers.write(`echo ran > ${helpers.path('ran')}; exit 4`);
  assert.is((await helpers.submit(program)).kind, 'rejected', 'which is run otherwise');
  await symlink(program, helpers.path('link'));
  await refused(helpers.path('link'), /link is a link$/);
  const folder = helpers.path('folder');
  await mkdir(folder);
  await link(program, `${folder}/helper`);
  await symlink(folder, helpers.path('way'));
  await refused(`${helpers.path('way')}/helper`, /way is a link$/);
  for (const mode of [0o775, 0o757, 0o1777]) {
    await chmod(folder, mode);
    await refused(`${folder}/helper`, /folder may be changed by others than root$/);
  }
  await chmod(folder, 0o755);
  await chmod(program, 0o775);
  await refused(program, /helper may be changed by others than root$/);
  await chmod(program, 0o755);
  const ofOthers = { lstat: helpers.lookups.lstat };
  const foreign = async (path: string, owned: string) => {
    const lstat = (async (one: string) => {
      const stats = await ofOthers.lstat(one);
      if (one === owned) stats.uid = 1000;
      return stats;
    }) as typeof ofOthers.lstat; // the one overload that is called
    return messageOf(requireTrustedProgram(path, { lstat }));
  };
  assert.match(await foreign(program, program), /helper belongs to uid 1000, not to root$/);
  assert.match(await foreign(program, '/'), /: \/ belongs to uid 1000, not to root$/);
  assert.match(await foreign(program, '/tmp-none'), /^no failure$/);
});

test.run();
