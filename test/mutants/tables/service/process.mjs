export default [
  {
    breaks: 'everybody is shown the digest of a configuration with a PIN in it',
    text: 'return { configuration: mayRead ? { ...loaded, digest } : loaded };',
    becomes: 'return { configuration: { ...loaded, digest, mayRead } };',
    suite: 'integration/service/reload',
  },
  {
    breaks: 'Describe keeps showing the configuration before the last reload',
    text: 'lifecycle.description.configuration = changed;',
    becomes: '',
    suite: 'integration/service/reload',
  },
  {
    breaks: 'text that moves from one file to another leaves the digest as it was',
    text: 'hash.update(`${relative(dir, path)}\\0${read.bytes.length}\\0`).update(read.bytes);',
    becomes: 'hash.update(read.bytes);',
    suite: 'component/service/config/config',
  },
];
