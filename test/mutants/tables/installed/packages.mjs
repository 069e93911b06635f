const tree = 'component/build/package/staged-tree';
const packages = 'component/build/package/packages';
const manuals = 'component/build/manuals';
const chroot = 'system/packages/chroot';
const purge = 'system/packages/purge';
const powerCut = 'system/packages/power-cut';
const booted = 'system/booted/packages';
const documents = 'system/booted/documents';

export default [
  {
    breaks: 'files are installed with the modes that the umask leaves',
    text: 'chmodSync(temporary, mode);',
    becomes: '',
    suite: tree,
  },
  {
    breaks: 'addons are installed with debug information',
    text: "if (row.native) await run(strip, ['--strip-unneeded', target]);",
    becomes: '',
    suite: tree,
  },
  {
    breaks: 'files of the build are missing in an installation',
    text: "{ from: 'dist/lib', names: /\\.cjs$/, to: loaded },",
    becomes: "{ from: 'dist/lib', names: /^iotedge-[cikmp].*\\.cjs$/, to: loaded },",
    suite: tree,
  },
  {
    breaks: 'units run the Node of another prefix',
    text: '.replaceAll(`${standardPrefix}/lib/iotedge/`, `${prefix}/lib/iotedge/`)',
    becomes: '',
    suite: tree,
  },
  {
    breaks: 'the OpenSSL configuration names a module that is installed elsewhere',
    text: 'to: `${loaded}/ossl-modules`, native: true },',
    becomes: 'to: `${loaded}/openssl`, native: true },',
    suite: tree,
  },
  {
    breaks: 'a bundle names the directory in which it was built',
    text: 'path: relative(root, join(resolveDir, path)), // the bundle names it',
    becomes: 'path: join(resolveDir, path),',
    suite: tree,
  },
  {
    breaks: 'a package has the time at which it was made',
    text: 'lutimesSync(path, epoch, epoch);',
    becomes: 'lutimesSync(path, Date.now() / 1000, epoch - 1000);',
    suite: packages,
  },
  {
    breaks: 'a package belongs to who made it',
    text: "'--root-owner-group', ",
    becomes: '',
    suite: packages,
  },
  {
    breaks: 'a package depends on no version of libc',
    text: "name === 'libc6' ? `libc6 (>= ${glibc})` : name",
    becomes: 'name',
    suite: packages,
  },
  {
    breaks: 'the manual leaves options of verbs out',
    text: 'ownOptionsOf(verb).map(entryOf)',
    becomes: '[]',
    suite: manuals,
  },
  {
    breaks: 'the manual leaves the options of every verb out',
    text: '...sharedOptions.map(entryOf),',
    becomes: '',
    suite: manuals,
  },
  {
    breaks: 'the manual has exit statuses that are none',
    text: '[[String(code), meaning] as const]',
    becomes: '[[String(code + 1), meaning] as const]',
    suite: manuals,
  },
  {
    breaks: 'the manual names files that are not installed',
    text: '/usr/share/doc/iotedge-dbus/drop-ins.',
    becomes: '/usr/share/iotedge/drop-ins.',
    suite: tree,
  },
  {
    breaks: 'an interrupted download is taken for a complete one',
    text: 'const beside = mkdtempSync(`${folder}.`);',
    becomes: 'mkdirSync(folder); const beside = folder;',
    suite: 'component/build/package/filled-once',
  },
  {
    breaks: 'the manual loses lines that begin with a quote',
    text: "replace(/^(?=[.'])/gm, '\\\\&')",
    becomes: "replace(/^(?=[.])/gm, '\\\\&')",
    suite: manuals,
  },
  {
    breaks: 'a verb has no completion of its options',
    text: 'choices: new Map([...more, ...options])',
    becomes: 'choices: more',
    suite: manuals,
  },
  {
    breaks: 'a Node that is too old is used',
    text: 'oldest=20019000',
    becomes: 'oldest=18000000',
    suite: chroot,
  },
  {
    breaks: 'root runs a Node of the home directory of a user',
    text: '/usr/* | /opt/* | "${programs%/bin}"/*) ;;',
    becomes: '*) ;;',
    suite: chroot,
  },
  {
    breaks: 'root runs a Node that belongs to another user',
    text: "'(' ! -uid 0 -o ! -type l -perm /022 ')'",
    becomes: '! -type l -perm /022',
    suite: chroot,
  },
  {
    breaks: 'root runs a Node that a group can write',
    text: "'(' ! -uid 0 -o ! -type l -perm /022 ')'",
    becomes: '! -uid 0',
    suite: chroot,
  },
  {
    breaks: 'root runs a Node through a link that another user can change',
    text: '      changeable "$link"\n',
    becomes: '      changeable "$(readlink -f "$path")"\n',
    suite: chroot,
  },
  {
    breaks: 'programs of root run a Node that is not trusted any more',
    text: '    rm -f "$programs/node"\n    say',
    becomes: '    say',
    suite: chroot,
  },
  {
    breaks: 'a purge stops at a mount point',
    text: 'if [ -z "$left" ]; then',
    becomes: 'if false; then',
    suite: purge,
  },
  {
    breaks: 'a purge loses the answer before it is done',
    text: '      purge "$RET"\n      # the answer stays for another purge until this one is done\n      db_purge\n',
    becomes: '      answer=$RET\n      db_purge\n      purge "$answer"\n',
    suite: purge,
  },
  {
    breaks: 'a purge leaves files in silence',
    text: 'remove_directory "$directory" || failed=true',
    becomes: 'remove_directory "$directory" || true',
    suite: purge,
  },
  {
    breaks: 'a purge leaves the drop-ins of socket units',
    text: '  shred_keys\n  remove_drop_ins\n',
    becomes: '  shred_keys\n',
    suite: purge,
  },
  {
    breaks: 'a purge removes the drop-ins of an administrator',
    text: 'apply\' " || continue',
    becomes: 'apply\' " || true',
    suite: purge,
  },
  {
    breaks: 'a purge that keeps the configuration loses its drop-ins',
    text: '  # what the installation made, when it is empty\n',
    becomes: '  remove_drop_ins\n',
    suite: purge,
  },
  {
    breaks: 'a purge fills the disk with what a sparse file lacks',
    text: ' -size -2M',
    becomes: '',
    suite: purge,
  },
  {
    breaks: 'a purge overwrites files that have another name',
    text: ' -links 1',
    becomes: '',
    suite: purge,
  },
  {
    breaks: 'groups are missing where systemd-sysusers is',
    text: 'g) make_group "$name" ;;',
    becomes: 'g) : ;;',
    suite: chroot,
  },
  {
    breaks: 'another Node is not noticed',
    text: '/usr/lib/iotedge/bin/iotedge-setup node\n',
    becomes: ':\n',
    suite: chroot,
  },
  {
    breaks: 'a removal leaves what the installation made',
    text: 'rm -f /usr/lib/iotedge/bin/node /usr/lib/iotedge/bin/node.new /usr/lib/iotedge/lib/*.cache*',
    becomes: ':',
    suite: chroot,
  },
  {
    breaks: 'a purge that nobody answers removes keys',
    text: 'Default: false',
    becomes: 'Default: true',
    suite: chroot,
  },
  {
    breaks: 'a power cut leaves no Node',
    text: 'ln -sfn "$best" "$programs/node.new"\n    mv -fT "$programs/node.new" "$programs/node"',
    becomes: 'rm -f "$programs/node"\n    ln -s "$best" "$programs/node"',
    suite: powerCut,
  },
  {
    breaks: 'the bus refuses the names of services whose users are new',
    text: "reload_bus || say 'the bus",
    becomes: "true || say 'the bus",
    suite: booted,
  },
  {
    breaks: 'timers do not start at the installation',
    text: '      start_timers\n',
    becomes: '',
    suite: booted,
  },
  {
    breaks: 'an upgrade leaves the old programs running',
    text: 'deb-systemd-invoke try-restart $activated || true',
    becomes: 'true',
    suite: booted,
  },
  {
    breaks: 'a configuration of the package starts what is masked',
    text: 'if [ "$1" = abort-remove ]; then',
    becomes: 'if true; then',
    suite: booted,
  },
  {
    breaks: 'a call during a removal starts a service again',
    text: 'systemctl --quiet --runtime mask $units\n',
    becomes: ':\n',
    suite: booted,
  },
  {
    breaks: 'a package that is installed again stays masked',
    text: 'systemctl --quiet --runtime unmask $units || true',
    becomes: 'true',
    suite: booted,
  },
  {
    breaks: 'openssl does not find the provider of the package',
    text: "placeLink(join(modules, 'iotedge-keys.so'), '../../iotedge/lib/ossl-modules/iotedge-keys.so');",
    becomes: '',
    suite: documents,
  },
  {
    breaks: 'packages for another architecture are begun without its compiler',
    text: 'if (found.every(Boolean)) return;',
    becomes: 'return;',
    suite: packages,
  },
  {
    breaks: 'packages for another architecture lack a library that they are linked with',
    text: 'const packages = `${compiler} libsystemd-dev:${architecture} libssl3:${architecture}`;',
    becomes: 'const packages = `${compiler} libsystemd-dev:${architecture}`;',
    suite: packages,
  },
  {
    breaks: 'a package closes the directory that it is unpacked in',
    text: 'chmodSync(tree, 0o755); // dpkg-deb -x gives the mode to the directory that it unpacks in',
    becomes: '',
    suite: 'component/build/package/packages',
  },
];
