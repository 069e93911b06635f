import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../setup.mjs';
import { run } from '../steps/command.mjs';

export const maintainer = 'The IoT Edge on D-Bus authors <iotedge-dbus@users.noreply.github.com>';

/** The version of the product. */
export function productVersion() {
  return JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version;
}

/** The time of all files in packages, in seconds: SOURCE_DATE_EPOCH, else that of the last commit. */
export async function sourceEpoch() {
  const given = process.env.SOURCE_DATE_EPOCH;
  if (given !== undefined && /^\d+$/.test(given)) return Number(given);
  const { code, stdout } = await run('git', ['-C', root, 'log', '-1', '--format=%ct'], {
    check: false,
  }).catch(() => ({ code: 1 }));
  if (code === 0) return Number(stdout);
  const [newest] = readFileSync(join(root, 'CHANGELOG.md'), 'utf8')
    .match(/\b20\d\d-\d\d-\d\d\b/g)
    ?.toSorted()
    .toReversed() ?? [''];
  const time = Date.parse(newest) / 1000;
  if (Number.isNaN(time)) throw new Error('SOURCE_DATE_EPOCH is needed where there is no commit');
  return time;
}

/** Debian's changelog with one entry: what changed is told by the product's own. */
export function debianChangelog(name, version, epoch) {
  const date = new Date(epoch * 1000).toUTCString().replace('GMT', '+0000');
  return `${name} (${version}) unstable; urgency=medium

  * Built from version ${version.replace(/-\d+$/, '')}; what changed is in changelog.gz.

 -- ${maintainer}  ${date}
`;
}
