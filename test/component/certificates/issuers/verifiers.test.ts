/** Certificates of every profile, judged by verifiers of other authors. */
import { execFileSync, spawnSync } from 'node:child_process';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isCaProfile } from '../../../../src/certificates/issuers/profile.ts';
import { encodeCertificatesPem } from '../../../../src/x509/certificate.ts';
import { runnable } from '../../../support/not-runnable.ts';
import { openssl, Workspace } from '../../../support/x509/openssl.ts';
import { type IssuedChain, issuedChains } from './issued-chains.ts';

const test = suite('verifiers of other authors');
const all = await issuedChains();
const serverAuth = '1.3.6.1.5.5.7.3.1';
const clientAuth = '1.3.6.1.5.5.7.3.2';

function files(workspace: Workspace, { chain }: IssuedChain) {
  const root = workspace.write('root.pem', encodeCertificatesPem(chain.slice(-1)));
  const sent = chain.length === 1 ? chain : chain.slice(0, -1);
  return { root, sent: workspace.write('chain.pem', encodeCertificatesPem(sent)) };
}

/** The output of a program; throws with all of it when the program fails. */
function run(program: string, args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(program, args, {
    encoding: 'utf8',
    timeout: 20_000,
  });
  if (status !== 0) throw new Error(`${program}: ${stdout}${stderr}`);
  return stdout + stderr;
}

test('are asked about every profile, and chains of one to three certificates', () => {
  const profiles = new Set(all.map(({ profile }) => profile));
  assert.equal([...profiles].sort(), [
    'client',
    'device-ca',
    'device-identity',
    'server',
    'workload-ca',
  ]);
  const lengths = new Set(all.map(({ chain }) => chain.length));
  assert.ok(lengths.size === 3 && [1, 2, 3].every((length) => lengths.has(length)));
});

test('openssl verifies each strictly, for its purpose and name', () => {
  using workspace = new Workspace();
  for (const each of all) {
    const { root, sent } = files(workspace, each);
    const leaf = ['-purpose', each.profile === 'server' ? 'sslserver' : 'sslclient'];
    const host = each.host === undefined ? [] : ['-verify_hostname', each.host];
    const purpose = isCaProfile(each.profile) ? [] : [...leaf, ...host];
    const strict = ['verify', '-x509_strict', '-check_ss_sig', '-policy_check', ...purpose];
    assert.match(openssl(...strict, '-CAfile', root, '-untrusted', sent, sent), ': OK', each.what);
  }
});

test('GnuTLS verifies each, for its purpose and name', () => {
  using workspace = new Workspace();
  // certtool takes no leaf as a trust anchor
  for (const each of all.filter(({ profile, chain }) => chain.length > 1 || isCaProfile(profile))) {
    const { root, sent } = files(workspace, each);
    const leaf = each.profile === 'server' ? serverAuth : clientAuth;
    const purpose = isCaProfile(each.profile) ? [] : [`--verify-purpose=${leaf}`];
    const host = each.host === undefined ? [] : [`--verify-hostname=${each.host}`];
    const input = ['--verify', `--load-ca-certificate=${root}`, `--infile=${sent}`];
    const output = run('certtool', [...input, '--verify-profile=medium', ...purpose, ...host]);
    assert.match(
      output,
      'Chain verification output: Verified. The certificate is trusted.',
      each.what,
    );
  }
});

test('NSS verifies each below a CA, except for keys that it does not know', () => {
  using workspace = new Workspace();
  const directory = workspace.write('unused', '').replace(/unused$/, '');
  run('certutil', ['-N', '-d', `sql:${directory}`, '--empty-password']);
  const known = all.filter(
    ({ chain }) =>
      chain.length > 1 && chain.every(({ x509 }) => x509.publicKey.asymmetricKeyType !== 'ed25519'),
  );
  assert.ok(known.length > 40);
  for (const { what, profile, chain } of known) {
    const usage = isCaProfile(profile) ? '11' : profile === 'server' ? '1' : '0';
    const [root, ...below] = chain
      .map(({ der }, at) => workspace.write(`${at}.der`, der))
      .reverse();
    const trust = ['-t', root ?? ''];
    const output = run('/usr/bin/vfychain', [
      '-d',
      `sql:${directory}`,
      '-pp',
      '-u',
      usage,
      ...below.reverse(),
      ...trust,
    ]);
    assert.match(output, 'Chain is good!', what);
  }
});

runnable('python-x509-verification', test)(
  'python3-cryptography verifies each leaf with names',
  () => {
    // it applies the rules of browsers, which refuse Ed25519 and certificates without an alternative name
    const leaves = all.filter(
      ({ profile, chain }) =>
        !isCaProfile(profile) &&
        chain.length > 1 &&
        chain[0]?.alternativeNames.length !== 0 &&
        chain.slice(1).every(({ x509 }) => x509.publicKey.asymmetricKeyType !== 'ed25519'),
    );
    assert.ok(leaves.length > 30);
    const input = leaves.map(({ chain, host }) => ({
      chain: chain.map(({ der }) => der.toString('base64')),
      host: host ?? null,
    }));
    const script = new URL('../../../../../test/support/x509/verifiers.py', import.meta.url)
      .pathname;
    const output = execFileSync('python3', [script], {
      input: JSON.stringify(input),
      encoding: 'utf8',
    });
    const problems = JSON.parse(output) as readonly string[]; // printed by the script
    assert.equal(
      leaves.map(({ what }, at) => `${what}: ${problems[at] ?? ''}`),
      leaves.map(({ what }) => `${what}: `),
    );
  },
);

test.run();
