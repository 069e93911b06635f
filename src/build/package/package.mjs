// Makes Debian packages of a finished build: dist/iotedge-dbus_*.deb and dist/iotedge-node_*.deb.
// usage: node src/build/package/package.mjs [--architecture NAME] [--out DIR] [--uncompressed] [iotedge-dbus|iotedge-node]
//   --architecture NAME  amd64 or arm64, also where it is not this machine's, with Debian's cross compiler
//   --out DIR            where packages go (dist)
//   --uncompressed       in a moment instead of minutes
import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { root, runMain } from '../setup.mjs';
import { requireNode } from '../steps/node-version.mjs';
import { architectures, ownArchitecture } from './architectures.mjs';
import { requireCompiler, stripOf } from './cross.mjs';
import { buildNodePackage } from './node-package.mjs';
import { buildServicePackage } from './service-package.mjs';
import { sourceEpoch } from './version.mjs';

const usage =
  'usage: npm run package -- [--architecture amd64|arm64] [--out DIR] [--uncompressed] [iotedge-dbus|iotedge-node]';
const builders = { 'iotedge-dbus': buildServicePackage, 'iotedge-node': buildNodePackage };

async function build(builder, options) {
  const work = mkdtempSync(join(tmpdir(), 'iotedge-package-'));
  try {
    return await builder(work, options);
  } finally {
    rmSync(work, { recursive: true });
  }
}

function parseCommandLine() {
  try {
    return parseArgs({
      args: process.argv.slice(2),
      options: {
        architecture: { type: 'string', default: ownArchitecture },
        help: { type: 'boolean', default: false },
        out: { type: 'string', default: join(root, 'dist') },
        uncompressed: { type: 'boolean', default: false },
      },
      allowPositionals: true,
    });
  } catch (error) {
    throw new Error(usage, { cause: error });
  }
}

requireNode();
runMain(async () => {
  const { values, positionals } = parseCommandLine();
  if (values.help) {
    console.log(usage);
    return;
  }
  const names = positionals.length > 0 ? positionals : Object.keys(builders);
  const unknown = names.find((name) => !(name in builders));
  if (unknown !== undefined) throw new Error(`${unknown} is no package of ours`);
  const { architecture = process.arch } = values;
  if (!Object.hasOwn(architectures, architecture))
    throw new Error(`no packages are made for ${architecture}`);
  await requireCompiler(architecture);
  const strip = stripOf(architecture);
  const out = resolve(values.out);
  mkdirSync(out, { recursive: true });
  const epoch = await sourceEpoch();
  const compression = values.uncompressed ? 'none' : 'xz';
  for (const name of names) {
    const file = await build(builders[name], { architecture, epoch, strip, out, compression });
    const size = (statSync(file).size / 1e6).toFixed(1);
    console.log(`${file} (${size} MB)`);
  }
});
