import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../setup.mjs';

const line = '-'.repeat(72);

/** What may be shortened: Debian has these texts in one place. */
const apache = `On Debian systems the text of the Apache License, version 2.0, is in
/usr/share/common-licenses/Apache-2.0.`;

/** The licence of a package under Apache's terms, or of one under BSD's or the GPL's, without the long texts. */
function shortened(text) {
  if (/Apache License\s+Version 2\.0/.test(text)) {
    const holders = text.match(/^ *Copyright (?!\[)[^\n]*\d{4}[^\n]*$/gm) ?? [];
    return [...holders.map((holder) => holder.trim()), apache].join('\n');
  }
  const [bsd] = text.split(/^-+\n\s+GNU GENERAL PUBLIC LICENSE/m);
  return bsd.slice(Math.max(0, bsd.indexOf('New BSD License')));
}

function licenceOf(folder) {
  const name = readdirSync(folder).find((file) => /^licen[cs]e/i.test(file));
  return name === undefined ? '' : shortened(readFileSync(join(folder, name), 'utf8'));
}

function section(path) {
  const folder = join(root, path);
  const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const text = licenceOf(folder).replaceAll('\r', '').trim();
  return `${line}\n${name} ${version} (${license})\n\n${text}\n`;
}

/** The copyright file of iotedge-dbus: our licence, and those of the packages in its bundles. */
export function copyright() {
  const ours = readFileSync(join(root, 'LICENSE'), 'utf8');
  const packages = JSON.parse(readFileSync(join(root, 'dist/bundled-packages.json'), 'utf8'));
  return `IoT Edge on D-Bus

${ours}
The programs in /usr/lib/iotedge/lib contain the packages below, from npm.

${packages.map(section).join('\n')}`;
}

/** The copyright file of iotedge-node. */
export const nodeCopyright = `Node.js, as its project builds it, from the npm package node-linux-*.

Copyright Node.js contributors. All rights reserved.
Copyright Joyent, Inc. and other Node contributors. All rights reserved.

Permission is hereby granted, free of charge, to any person obtaining a copy of
this software and associated documentation files (the "Software"), to deal in
the Software without restriction, including without limitation the rights to
use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of
the Software, and to permit persons to whom the Software is furnished to do so,
subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS
FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER
IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN
CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.

Node.js contains libraries under licences of their own, which are in
node-licenses.txt.gz beside this file.
`;
