export default [
  {
    breaks: 'a PKCS#12 file with a wrong MAC is read',
    text: 'if (found === undefined) throw wrongPassword();',
    becomes: 'if (found === undefined) return password.utf16[0];',
    suite: 'unit/cli/certificates/pkcs12',
  },
  {
    breaks: 'the author of a PKCS#12 file chooses how long its keys take',
    text: 'if (this.#left < 0) {',
    becomes: 'if (this.#left < -Infinity) {',
    suite: 'unit/cli/certificates/pkcs12',
  },
  {
    breaks: 'a private key is imported with the certificate of another one',
    text: 'if (leaf === undefined || !leaf.x509.checkPrivateKey(object)) {',
    becomes: 'if (leaf === undefined) {',
    suite: 'unit/cli/certificates/pkcs12',
  },
  {
    breaks: 'the key of a PKCS#12 file stays when its certificate is refused',
    text: 'await undo(keys, context, { keyId, isReplaced });',
    becomes: '',
    suite: 'integration/cli/certificates-pkcs12',
  },
  {
    breaks: 'others may read a PKCS#12 file that was exported',
    text: 'await writeOutput(context, pkcs12Of({ key, chainPem, name }, password.octets), 0o600);',
    becomes: 'await writeOutput(context, pkcs12Of({ key, chainPem, name }, password.octets));',
    suite: 'integration/cli/certificates-pkcs12',
  },
  {
    breaks: 'the key of a PKCS#12 file stays when Ctrl-C comes before its certificate',
    text: 'interrupt.signal.throwIfAborted();',
    becomes: '',
    suite: 'integration/cli/certificates-interrupted',
  },
  {
    breaks: 'the key of a PKCS#12 file stays when SIGTERM ends the import',
    text: "new Interrupt(['SIGHUP', 'SIGINT', 'SIGTERM'])",
    becomes: "new Interrupt(['SIGHUP', 'SIGINT'])",
    suite: 'integration/cli/certificates-interrupted',
  },
  {
    breaks: 'a command that waits after a signal cannot be ended by another one',
    text: 'this[Symbol.dispose]();\n    this.#controller.abort(',
    becomes: 'this.#controller.abort(',
    suite: 'integration/cli/certificates-interrupted',
  },
  {
    breaks: 'an interrupted import waits for ever for a service that hangs',
    text: 'throw new InterruptedError(`interrupted; there was no reply',
    becomes: 'await reply;\n    throw new InterruptedError(`interrupted; there was no reply',
    suite: 'integration/cli/certificates-interrupted',
  },
];
