import { run } from '../../src/build/steps/command.mjs';
import { refreshLists } from '../../src/build/steps/debian-packages.mjs';

/** How the last part of a mirror's address is called for each distributor: `…/debian` beside `…/ubuntu`. */
const folders = { Debian: 'debian', Ubuntu: 'ubuntu' };

/** The archives of whole distributions that this machine's apt uses, by who makes them. */
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
 * Where this machine's apt would get a distribution of Debian or Ubuntu from: the archive that it uses itself, or
 * the folder beside it. Undefined where apt uses neither.
 */
export async function mirrorOf(distributor) {
  const used = await archives();
  const same = used.find(({ origin }) => origin === distributor);
  if (same !== undefined) return same.address.replace(/\/+$/, '');
  const [other] = used;
  return other?.address.replace(/\/+$/, '').replace(/[^/]+$/, folders[distributor]);
}

/** How this machine's apt reaches its archives: proxies and checks, as lines of an apt.conf; no files of this machine. */
export async function aptConfiguration() {
  const { stdout } = await run('apt-config', ['dump', '--no-empty']);
  const about = /^Acquire::(https?|Check-Valid-Until|Check-Date|ForceIPv[46]|Retries)\b/;
  return stdout.split('\n').filter((line) => about.test(line) && !line.includes(' "/'));
}
