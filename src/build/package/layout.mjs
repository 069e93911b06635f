const programs = 'lib/iotedge/bin';
const loaded = 'lib/iotedge/lib';
const documents = 'share/doc/iotedge-dbus';
const units = '/usr/lib/systemd/system';

/**
 * The files to install: those of a folder of the checkout whose names match, the folder where they go, and their mode
 * (0644). A relative folder is below the prefix, an absolute one is where other programs search. `rename` is the name
 * of an only file; `whole` includes the folders below; `native` files depend on the architecture and are stripped: their
 * folder is one of the addons.
 */
export const files = [
  { from: 'dist/bin', names: /\.cjs$/, to: programs, mode: 0o755 },
  {
    from: 'src/build/package',
    names: /^iotedge-setup\.sh$/,
    to: programs,
    rename: 'iotedge-setup',
    mode: 0o755,
  },
  { from: 'dist/lib', names: /\.cjs$/, to: loaded },
  { from: '.', names: /\.node$/, to: loaded, native: true },
  { from: 'src/native/provider', names: /^openssl\.cnf$/, to: loaded },
  { from: 'ossl-modules', names: /\.so$/, to: `${loaded}/ossl-modules`, native: true },
  {
    from: 'systemd-units',
    names: /^iotedge-.*\.(service|socket|timer)$/,
    to: units,
  },
  {
    from: 'systemd-units',
    names: /^iotedge\.sysusers$/,
    to: '/usr/lib/sysusers.d',
    rename: 'iotedge.conf',
  },
  {
    from: 'systemd-units',
    names: /^iotedge\.tmpfiles$/,
    to: '/usr/lib/tmpfiles.d',
    rename: 'iotedge.conf',
  },
  { from: 'systemd-units/drop-ins', names: /\.conf$/, to: `${documents}/drop-ins` },
  {
    from: 'dbus-policy',
    names: /\.service$/,
    to: '/usr/share/dbus-1/system-services',
  },
  { from: 'dbus-policy', names: /\.conf$/, to: '/usr/share/dbus-1/system.d' },
  { from: 'dbus-policy', names: /\.policy$/, to: '/usr/share/polkit-1/actions' },
  { from: 'dbus-policy/interfaces', names: /\.xml$/, to: '/usr/share/dbus-1/interfaces' },
  { from: 'config-examples/schema', names: /\.json$/, to: 'share/iotedge/schema' },
  { from: 'config-examples', names: /\.yaml$/, to: `${documents}/examples` },
  { from: 'docs', names: /./, to: documents, whole: true },
  { from: '.', names: /^(README|SECURITY)\.md$/, to: documents },
];

/** Links by path, with relative ones below the prefix. Those of timers start them at each boot: nobody enables them. */
export const links = {
  'bin/iotedgectl': '../lib/iotedge/bin/iotedgectl.cjs',
  [`${units}/timers.target.wants/iotedge-certificates.timer`]: '../iotedge-certificates.timer',
  [`${units}/timers.target.wants/iotedge-identity.timer`]: '../iotedge-identity.timer',
};

/** Folders that are installed without a file. */
export const folders = ['/etc/iotedge'];

/** The Node that programs and units run, a link that is made at the installation. */
export const nodeLink = `${programs}/node`;
