/** @type {import('../table.mjs').Mutant[]} */
export default [
  {
    breaks: 'a length in a message reads beyond its end',
    text: 'if (count > this.remaining) throw new MalformedMessage(`it',
    becomes: 'if (count > this.remaining + 8) throw new MalformedMessage(`it',
    suite: 'unit/keys/pkcs11/protocol/bytes',
  },
  {
    breaks: 'a PIN stays in the buffer that its message has outgrown',
    text: '      outgrown.fill(0);\n',
    becomes: '',
    suite: 'unit/keys/pkcs11/protocol/bytes',
  },
  {
    breaks: 'a PIN is read into the message, which is wiped',
    text: 'return Buffer.from(this.#bytes.subarray(start, start + length));',
    becomes: 'return this.#bytes.subarray(start, start + length);',
    suite: 'unit/keys/pkcs11/protocol/bytes',
  },
  {
    breaks: 'a message may continue after its end',
    text: 'if (this.remaining > 0) throw',
    becomes: 'if (this.remaining > 1e9) throw',
    suite: 'unit/keys/pkcs11/protocol/bytes',
  },
  {
    breaks: 'a chunk with a PIN stays in memory',
    text: '      chunk.fill(0);\n',
    becomes: '',
    suite: 'unit/keys/pkcs11/protocol/frames',
  },
  {
    breaks: 'a request with key material stays in memory after it was sent',
    text: 'this.#host.socket.write(bytes, () => bytes.fill(0));',
    becomes: 'this.#host.socket.write(bytes);',
    suite: 'component/keys/wiped',
  },
  {
    breaks: 'a frame that came in parts stays in memory',
    text: '      frame.fill(0);\n',
    becomes: '',
    suite: 'unit/keys/pkcs11/protocol/frames',
  },
  {
    breaks: 'a process has its service allocate 4 GiB',
    text: 'if (length > maxFrameBytes) throw',
    becomes: 'if (length < 0) throw',
    suite: 'unit/keys/pkcs11/protocol/frames',
  },
  {
    breaks: 'a count allocates elements that are not there',
    text: 'if (count > this.remaining) throw new MalformedMessage(`${count} elements`);',
    becomes: '',
    suite: 'unit/keys/pkcs11/protocol/fields',
  },
  {
    breaks: 'a process fills the memory of its service with empty lists',
    text: 'if (this.#elements > maxElements) throw',
    becomes: 'if (count > maxElements) throw',
    suite: 'unit/keys/pkcs11/protocol/fields',
  },
  {
    breaks: 'a flag has 256 values',
    text: 'if (value > 1) throw new Malformed',
    becomes: 'if (value > 255) throw new Malformed',
    suite: 'unit/keys/pkcs11/protocol/fields',
  },
  {
    breaks: 'a CK_ULONG is negative',
    text: '|| value < 0) throw',
    becomes: ') throw',
    suite: 'unit/keys/pkcs11/protocol/fields',
  },
  {
    breaks: 'a handle is longer than a CK_ULONG',
    text: 'if (value.length > longestHandle)',
    becomes: 'if (value.length > 2 * longestHandle)',
    suite: 'unit/keys/pkcs11/protocol/fields',
  },
  {
    breaks: 'a hostile process puts its own text into messages of the service',
    text: 'if (!form.test(value)) throw',
    becomes: 'if (value.length > 1000) throw',
    suite: 'unit/keys/pkcs11/protocol/messages',
  },
  {
    breaks: 'a failure may continue after its end',
    text: 'failure: decodeAll(failure, reader)',
    becomes: 'failure: failure.read(reader)',
    suite: 'unit/keys/pkcs11/protocol/messages',
  },
  {
    breaks: 'a message is longer than its receiver takes',
    text: 'if (length > maxFrameBytes) {',
    becomes: 'if (length < 0) {',
    suite: 'unit/keys/pkcs11/protocol/messages',
  },
];
