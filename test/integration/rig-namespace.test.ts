import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runCommand } from '../support/command.ts';
import { privateEtc } from '../support/rig/private-directories.ts';
import { keepMounts, newMountNamespace } from '../support/system/mount-namespace.ts';

const test = suite('rig in other namespaces');
const probe = join(import.meta.dirname, 'rig-probe.js');
const expected = ['operator iotedge-admin', 'alice', 'GetPublicKey: 0', 'keys: 59101'];

/**
 * Runs a shell script in a mount namespace with a private /etc. Its `$1` is a directory, `$2` and `$3` are the
 * probe, and `$4` is what the probe has to do.
 */
async function inNamespace(script: string, act: string): Promise<readonly string[]> {
  const directory = await mkdtemp(join(tmpdir(), 'iotedge-namespace-'));
  try {
    const mounts = [keepMounts, ...privateEtc(directory, '/etc'), script].join('\n');
    const [unshare, ...words] = [...newMountNamespace, 'sh', '-euc', mounts, 'sh'] as const;
    const args = [...words, directory, process.execPath, probe, act];
    const { stdout, stderr } = await runCommand(unshare, args);
    assert.is(stderr, '');
    return stdout.toString().trim().split('\n');
  } finally {
    await rm(directory, { recursive: true });
  }
}

test('preserves its users, beside another rig, when a program replaces the account files of the machine', async () => {
  const replace = 'for f in passwd group; do cp -p /etc/$f /etc/$f$$; mv /etc/$f$$ /etc/$f; done';
  const two = '"$2" "$3" "$4" & "$2" "$3" "$4"; wait $!';
  const lines = await inNamespace(two, replace);
  assert.equal([...lines].sort(), [...expected, ...expected].sort());
});

/** Enters a directory that contains the whole machine and is not a mount point itself. */
const chroot = `
mount -t tmpfs tmpfs "$1"
mkdir "$1/root"
for entry in /*; do
  if [ -L "$entry" ]; then cp -a "$entry" "$1/root"
  elif [ -d "$entry" ]; then
    mkdir "$1/root$entry"
    mount --rbind "$entry" "$1/root$entry"
  fi
done
nsenter --mount=/proc/self/ns/mnt mount --make-rshared /
before=$(wc -l < /proc/self/mountinfo)
chroot "$1/root" "$2" "$3" "$4"
echo $(($(wc -l < /proc/self/mountinfo) - before)) more mounts
`;

test('works below a chroot, and leaves no mounts outside', async () => {
  assert.equal(await inNamespace(chroot, ''), [...expected, '0 more mounts']);
});

test.run();
