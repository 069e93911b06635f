import { run } from '../../src/build/steps/command.mjs';
import { refreshLists } from '../../src/build/steps/debian-packages.mjs';

/** The last part of a mirror's address for each distributor: `…/debian` beside `…/ubuntu`. */
const folders = { Debian: 'debian', Ubuntu: 'ubuntu' };

/** The archives of whole distributions in this machine's apt configuration, by distributor. */
async function listedArchives() {
  const format = '$(ORIGIN) $(LABEL) $(REPO_URI)';
  const { stdout } = await run('apt-get', ['indextargets', '--format', format]);
  return stdout.split('\n').flatMap((line) => {
    const [origin, label, address] = line.split(' ');
    return origin in folders && label === origin ? [{ origin, address }] : [];
  });
}

async function archives() {
  const listed = await listedArchives();
  if (listed.length > 0) return listed;
  await refreshLists();
  return listedArchives();
}

/**
 * The archive from which this machine's apt would download a distribution of Debian or Ubuntu: a configured one, or the
 * folder beside it. Undefined where apt uses neither.
 */
export async function mirrorOf(distributor) {
  const used = await archives();
  const same = used.find(({ origin }) => origin === distributor);
  if (same !== undefined) return same.address.replace(/\/+$/, '');
  const [other] = used;
  return other?.address.replace(/\/+$/, '').replace(/[^/]+$/, folders[distributor]);
}

/** The proxies and verification settings of this machine's apt as lines of an apt.conf, without paths of this machine. */
export async function aptConfiguration() {
  const { stdout } = await run('apt-config', ['dump', '--no-empty']);
  const about = /^Acquire::(https?|Check-Valid-Until|Check-Date|ForceIPv[46]|Retries)\b/;
  return stdout.split('\n').filter((line) => about.test(line) && !line.includes(' "/'));
}
