const tree = 'component/build/package/staged-tree';
const packages = 'component/build/package/packages';
const manuals = 'component/build/manuals';
const chroot = 'system/packages/chroot';
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
    text: "filter(({ name }) => name !== '--json' && name !== '--help')",
    becomes: 'filter(() => false)',
    suite: manuals,
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
    breaks: 'a package closes the directory that it is unpacked in',
    text: 'chmodSync(tree, 0o755); // dpkg-deb -x gives the mode to the directory that it unpacks in',
    becomes: '',
    suite: 'component/build/package/packages',
  },
];
