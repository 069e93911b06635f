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
  {
    breaks: 'the watchdog is reset although the event loop was blocked',
    text: 'if (delayMs > tooLateMs) {',
    becomes: 'if (delayMs > tooLateMs * 1000) {',
    suite: 'unit/service/systemd/watchdog',
  },
  {
    breaks: 'the watchdog is reset for ever without a bus',
    text: 'return failingMs < this.#limits.busMs;',
    becomes: 'return failingMs < Infinity;',
    suite: 'unit/service/systemd/watchdog',
  },
  {
    breaks: 'a bus that does not reply at once ends the service',
    text: 'return failingMs < this.#limits.busMs;',
    becomes: 'return failingMs < 0;',
    suite: 'unit/service/systemd/watchdog',
  },
  {
    breaks: 'two failures of the bus count as one that lasts',
    text: '      this.#failingSince = undefined;\n      return true;',
    becomes: '      return true;',
    suite: 'unit/service/systemd/watchdog',
  },
  {
    breaks: 'the watchdog of another process is reset',
    text: ' || pid !== String(process.pid)) {',
    becomes: ') {',
    suite: 'unit/service/systemd/watchdog',
  },
  {
    breaks: 'a child process can report the state of the service',
    text: '    Reflect.deleteProperty(environment, name);\n',
    becomes: '',
    suite: 'unit/service/systemd/manager-environment',
  },
];
