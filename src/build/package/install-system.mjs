// Installs a finished build into a tree: for distributions without our packages, and for those who make packages.
// usage: node src/build/package/install-system.mjs --destdir DIR [--prefix DIR] [--node FILE]
//   --destdir DIR  the root of the tree; / for this machine
//   --prefix DIR   where programs and documents go (/usr); what systemd, the bus and polkit read stays in /usr
//   --node FILE    the Node of the programs, as a path within the tree; a link to it is made
import { isAbsolute, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { runMain } from '../setup.mjs';
import { requireNode } from '../steps/node-version.mjs';
import { nodeLink } from './layout.mjs';
import { placeLink, stage } from './stage.mjs';

function parse(args) {
  const text = { type: 'string' };
  const { values } = parseArgs({ args, options: { destdir: text, prefix: text, node: text } });
  const { destdir, prefix = '/usr', node } = values;
  if (destdir === undefined) throw new Error('--destdir DIR is needed: / is this machine');
  if (!isAbsolute(prefix)) throw new Error('--prefix must be an absolute path');
  return { destdir: resolve(destdir), prefix: resolve(prefix), node };
}

requireNode();
runMain(async () => {
  const { destdir, prefix, node } = parse(process.argv.slice(2));
  await stage(destdir, { prefix });
  if (node !== undefined) placeLink(join(destdir, prefix, nodeLink), node);
  console.log(`installed in ${destdir}`);
});
