/** What the exit codes of helpers mean, and what they are run with. */
import { readdir, readFile } from 'node:fs/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseCertificate } from '../../../../../src/x509/certificate.ts';
import { parseAlternativeName } from '../../../../../src/x509/subject-alternative-name.ts';
import { messageOf } from '../../../../support/failure.ts';
import { makeCa } from '../../../../support/x509/openssl.ts';
import { Helpers } from './helper-directory.ts';

const test = suite('the exit codes of a helper');
const never = { retryAfterS: undefined };
const closeOnExec = 0o2000000;

/** The descriptors that this process was started with and hands on, as it does not know them. */
async function inheritable(): Promise<readonly string[]> {
  const found = await Promise.all(
    (await readdir('/proc/self/fdinfo')).map(async (fd) => {
      const text = await readFile(`/proc/self/fdinfo/${fd}`, 'utf8').catch(() => '');
      const flags = Number.parseInt(/^flags:\s*(\d+)/m.exec(text)?.[1] ?? '0', 8);
      return Number(fd) > 2 && text !== '' && (flags & closeOnExec) === 0 ? [fd] : [];
    }),
  );
  return found.flat();
}

test('mean what they mean for certmonger', async () => {
  await using helpers = await Helpers.create();
  const rejected = { kind: 'rejected', ...never };
  const renewed = { chain: [await makeCa({ name: 'CN=x', key: helpers.key })], keyId: 'k' };
  const says = (code: number) => helpers.run(`echo no; exit ${code}`);
  assert.equal(await helpers.run('printf "c\\n"; exit 1'), {
    kind: 'pending',
    cookie: 'c\n',
    ...never,
  });
  assert.equal(await says(2), { ...rejected, reason: 'no', isFinal: true, isDecided: true });
  assert.equal(await helpers.run('echo no; exit 2', { order: { renewed } }), {
    ...rejected,
    reason: 'no',
    isFinal: false,
    isDecided: true,
  });
  assert.is(await messageOf(says(3)), 'Unavailable: no');
  assert.equal(await says(4), { ...rejected, reason: 'no', isFinal: true });
  assert.equal(await says(6), { ...rejected, reason: 'no', isFinal: true });
  assert.equal(await says(16), { ...rejected, reason: 'no', isFinal: true });
  assert.equal(await says(17), { kind: 'rekey', reason: 'no' });
  assert.is(await messageOf(says(7)), 'Unavailable: the helper ended with 7: no');
  assert.is(
    await messageOf(helpers.run('kill -9 $$')),
    'Unavailable: the helper was ended by SIGKILL',
  );
});

test('with a delay mean at least a minute', async () => {
  await using helpers = await Helpers.create();
  const pending = { kind: 'pending', cookie: 'a\nb' };
  const after = (seconds: string) => helpers.run(`printf '${seconds}\\na\\nb'; exit 5`);
  assert.equal(await after('3600'), { ...pending, retryAfterS: 3600 });
  assert.equal(await after('0'), { ...pending, retryAfterS: 60 });
  assert.equal(await after('59'), { ...pending, retryAfterS: 60 });
  assert.match(await messageOf(after('soon')), /^Unavailable: .*no number of seconds$/);
  assert.match(await messageOf(helpers.run('echo 60; exit 5')), /^Unavailable: .*no cookie$/);
});

test('name the exit code of a script that fails with what certmonger takes for waiting', async () => {
  await using helpers = await Helpers.create();
  const failed = helpers.run('echo no such option >&2; exit 1');
  assert.match(await messageOf(failed), /^Unavailable: .*ended with 1, .*: no such option$/);
});

test('lead to a reason of one printable line', async () => {
  await using helpers = await Helpers.create();
  const reasonOf = async (script: string) => {
    const answer = await helpers.run(`${script}; exit 4`);
    return answer.kind === 'rejected' ? answer.reason : answer.kind;
  };
  assert.is(
    await reasonOf("printf '\\n \\007\\n\\033[31mde\\000nied\\033[0m\\r\\nmore'"),
    'denied',
  );
  assert.is(await reasonOf('echo first >&2'), 'first', 'of the errors where there is no output');
  assert.is(await reasonOf('echo why >&2; echo what'), 'what');
  assert.is(await reasonOf('echo password=hunter2'), 'password=…');
  assert.is((await reasonOf('head -c 5000 /dev/zero | tr "\\0" x')).length, 300);
  assert.is(await reasonOf(':'), 'the helper lacks settings');
});

test('keep a cookie byte for byte', async () => {
  await using helpers = await Helpers.create();
  const bytes = '\\357\\273\\277 \\tc\\303\\244=;\\r\\n\\n';
  const answer = await helpers.run(`printf '${bytes}'; exit 1`);
  assert.is(answer.kind === 'pending' && answer.cookie, '\ufeff \tcä=;\r\n\n');
  const order = { cookie: '\ufeff \tcä=;\r\n\n' };
  const script = `[ "$CERTMONGER_OPERATION" = POLL ] || exit 4; printf '%s' "$CERTMONGER_CA_COOKIE"; exit 1`;
  assert.equal(await helpers.run(script, { order }), { kind: 'pending', ...order, ...never });
  for (const [what, script] of [
    ['no cookie', 'exit 1'],
    ['not UTF-8', "printf '\\377'; exit 1"],
    ['not UTF-8', "printf 'a\\000b'; exit 1"],
    ['more than 64 KiB', 'head -c 70000 /dev/zero | tr "\\0" x; exit 1'],
  ] as const) {
    assert.match(await messageOf(helpers.run(script)), what);
  }
});

test('come from a process with nothing of the service', async () => {
  await using helpers = await Helpers.create();
  const [before] = [await makeCa({ name: 'CN=x', key: helpers.key })];
  const names = [
    ...['a.example', 'b.example'].map((text) => parseAlternativeName('dns', text)),
    parseAlternativeName('ip', '192.0.2.1'),
  ];
  const out = helpers.directory;
  const script = `cat /proc/self/environ > ${out}/raw
{ pwd; wc -c; echo "$#:$1:$2"; exec ls -l /proc/self/fd; } > ${out}/facts`;
  const order = { names, renewed: { chain: [before], keyId: 'k' } };
  await helpers.run(script, { order, args: ['a b', '$HOME;`id`'] });
  const [cwd, input, args, ...descriptors] = (await helpers.text('facts')).trim().split('\n');
  assert.equal([cwd, input?.trim(), args], ['/', '0', '2:a b:$HOME;`id`']);
  // that of the listing itself, and what this process was started with
  const opened = descriptors.filter((line) => line.includes(' -> ') && !line.includes('/proc/'));
  const numbers = opened.map((line) => / (\d+) -> /.exec(line)?.[1] ?? line);
  const inherited = await inheritable();
  assert.equal(
    numbers.filter((one) => !inherited.includes(one)),
    ['0', '1', '2'],
  );
  const variables = new Map(
    (await helpers.text('raw'))
      .split('\0')
      .filter((one) => one !== '')
      .map((one) => [one.slice(0, one.indexOf('=')), one.slice(one.indexOf('=') + 1)]),
  );
  const {
    CERTMONGER_CSR: csr,
    CERTMONGER_CERTIFICATE: pem,
    ...plain
  } = Object.fromEntries(variables);
  assert.match(csr ?? '', /^-----BEGIN CERTIFICATE REQUEST-----\n[^-]+-----END CERT/);
  assert.match(pem ?? '', /^-----BEGIN CERTIFICATE-----\n/);
  // the shell sets it itself
  delete plain['PWD'];
  assert.equal(plain, {
    PATH: '/usr/bin:/bin:/usr/sbin:/sbin',
    HOME: '/',
    LANG: 'C.UTF-8',
    TERM: 'dumb',
    TMPDIR: '/tmp',
    CERTMONGER_OPERATION: 'SUBMIT',
    CERTMONGER_SPKI: helpers.order.key.spki.toString('base64'),
    CERTMONGER_KEY_TYPE: 'EC',
    CERTMONGER_CA_NICKNAME: 'site',
    CERTMONGER_CA_PROFILE: 'client',
    CERTMONGER_REQ_SUBJECT: 'CN=x',
    CERTMONGER_REQ_HOSTNAME: 'a.example\nb.example',
    CERTMONGER_REQ_IP_ADDRESS: '192.0.2.1',
  });
  assert.ok(parseCertificate(before.der, 'it').spki.equals(helpers.order.key.spki));
});

test.run();
