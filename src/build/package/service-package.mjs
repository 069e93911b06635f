import { readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { root } from '../setup.mjs';
import { architectures } from './architectures.mjs';
import { copyright } from './copyright.mjs';
import { addonsOf } from './cross.mjs';
import { buildDeb, everyPath } from './deb.mjs';
import { libraries } from './libraries.mjs';
import { placeFile, placeLink, stage } from './stage.mjs';
import { debianChangelog, maintainer, productVersion } from './version.mjs';

const name = 'iotedge-dbus';

const depends = [
  'nodejs (>= 20.19) | iotedge-node',
  'default-dbus-system-bus | dbus-system-bus',
  'passwd',
  'debconf (>= 0.5) | debconf-2.0',
];
const recommends = ['polkitd', 'systemd'];
const suggests = [
  'docker.io | docker-ce | moby-engine',
  'opensc-pkcs11',
  'libtpm2-pkcs11-1',
  'softhsm2',
  'openssl',
];

const description = `Azure IoT Edge as four system services on D-Bus
 Keys in tokens and files, certificates, the identity of the device and its
 modules, and a runtime for modules on a Docker engine. Each is a service of its
 own, with a user and a sandbox of its own, which starts when it is called.
 .
 iotedgectl shows their state and checks their configuration.`;

const debian = (file) =>
  readFileSync(join(root, 'src/build/package/debian', `${name}.${file}`), 'utf8');

/** Compresses manual pages, and moves the completion of zsh to where Debian's searches. */
function moveShared(tree) {
  const share = join(tree, 'usr/share');
  const pages = everyPath(join(share, 'man')).filter((path) => /\.\d$/.test(path));
  for (const page of pages) {
    placeFile(`${page}.gz`, gzipSync(readFileSync(page), { level: 9 }));
    rmSync(page);
  }
  renameSync(join(share, 'zsh/site-functions'), join(share, 'zsh/vendor-completions'));
}

/** Puts what Debian wants beside the files of every installation into the tree. */
function addDebianFiles(tree, { architecture, version, epoch }) {
  const documents = join(tree, 'usr/share/doc', name);
  placeFile(join(documents, 'copyright'), copyright());
  const changelogs = {
    'changelog.gz': readFileSync(join(root, 'CHANGELOG.md')),
    'changelog.Debian.gz': debianChangelog(name, version, epoch),
  };
  for (const [file, text] of Object.entries(changelogs))
    placeFile(join(documents, file), gzipSync(text, { level: 9 }));
  placeFile(join(tree, 'usr/share/lintian/overrides', name), debian('lintian-overrides'));
  // where the OpenSSL of Debian looks for modules
  const modules = join(tree, 'usr/lib', architectures[architecture].triplet, 'ossl-modules');
  placeLink(join(modules, 'iotedge-keys.so'), '../../iotedge/lib/ossl-modules/iotedge-keys.so');
}

/** Builds iotedge-dbus in a temporary folder; returns the path of the package. */
export async function buildServicePackage(work, { architecture, epoch, strip, out, compression }) {
  const tree = join(work, 'tree');
  const version = `${productVersion()}-1`;
  await stage(tree, { strip, addons: await addonsOf(architecture, join(work, 'addons')) });
  moveShared(tree);
  addDebianFiles(tree, { architecture, version, epoch });
  const native = everyPath(join(tree, 'usr/lib/iotedge')).filter((path) =>
    /\.(node|so)$/.test(path),
  );
  const file = join(out, `${name}_${version}_${architecture}.deb`);
  const fields = {
    Package: name,
    Version: version,
    Architecture: architecture,
    Maintainer: maintainer,
    Depends: [await libraries(native), ...depends].join(', '),
    Recommends: recommends.join(', '),
    Suggests: suggests.join(', '),
    Section: 'admin',
    Priority: 'optional',
    Description: description,
  };
  const scripts = ['postinst', 'prerm', 'postrm', 'templates', 'triggers'];
  const control = Object.fromEntries(scripts.map((script) => [script, debian(script)]));
  await buildDeb(tree, { fields, control, epoch, file, compression });
  return file;
}
