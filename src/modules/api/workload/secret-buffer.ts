/** Texts that contain a secret are built in buffers, which can be wiped, unlike JavaScript strings. */
const alphabet = Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/');
const pad = 0x3d;

/** Base64 of the bytes, as bytes. */
export function base64Bytes(bytes: Uint8Array): Buffer {
  // from Node's pool: V8 moves short buffers of `alloc`, which leaves copies
  const text = Buffer.allocUnsafe(Math.ceil(bytes.length / 3) * 4).fill(pad);
  for (let at = 0, to = 0; at < bytes.length; at += 3, to += 4) {
    const left = bytes.length - at;
    const group = (byteAt(bytes, at) << 16) | (byteAt(bytes, at + 1) << 8) | byteAt(bytes, at + 2);
    for (let digit = 0; digit <= Math.min(left, 3); digit++) {
      text[to + digit] = byteAt(alphabet, (group >> (18 - 6 * digit)) & 63);
    }
  }
  return text;
}

function byteAt(bytes: Uint8Array, index: number): number {
  return bytes[index] ?? 0;
}

/** DER as PEM (RFC 7468), as bytes. The DER is wiped. */
export function pemBytes(label: string, der: Buffer): Buffer {
  const text = base64Bytes(der);
  const lines: (string | Buffer)[] = [`-----BEGIN ${label}-----\n`];
  for (let at = 0; at < text.length; at += 64) lines.push(text.subarray(at, at + 64), '\n');
  lines.push(`-----END ${label}-----\n`);
  der.fill(0);
  return joinSecret(lines);
}

/** PEM as the content of a JSON string, as bytes. The PEM is wiped. */
export function jsonOfPem(pem: Buffer): Buffer {
  const parts: (string | Buffer)[] = [];
  let from = 0;
  for (let end = pem.indexOf(10); end >= 0; end = pem.indexOf(10, from)) {
    parts.push(pem.subarray(from, end), '\\n');
    from = end + 1;
  }
  parts.push(pem.subarray(from));
  const json = joinSecret(parts);
  pem.fill(0);
  return json;
}

/** Joins the parts; those that are buffers are wiped. */
export function joinSecret(parts: readonly (string | Buffer)[]): Buffer {
  const joined = Buffer.concat(
    parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)),
  );
  for (const part of parts) if (typeof part !== 'string') part.fill(0);
  return joined;
}
