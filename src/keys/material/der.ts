/** Encodes a DER element; the content is copied once, into the result. */
export function tlv(tag: number, ...content: readonly Buffer[]): Buffer {
  const length = content.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([Buffer.of(tag, ...lengthOctets(length)), ...content]);
}

/** Encodes the concatenated r and s that tokens return as a DER ECDSA-Sig-Value (RFC 3279 2.2.3). */
export function ecdsaToDer(signature: Buffer): Buffer {
  const half = signature.length / 2;
  return tlv(0x30, integer(signature.subarray(0, half)), integer(signature.subarray(half)));
}

/** Decodes an ECDSA-Sig-Value to r and s of `size` bytes each; undefined for anything else. */
export function ecdsaFromDer(der: Buffer, size: number): Buffer | undefined {
  const body = content(der, 0x30);
  if (body === undefined || body.end !== der.length) return undefined;
  const r = content(der, 0x02, body.start);
  const s = r && content(der, 0x02, r.end);
  if (r === undefined || s === undefined || s.end !== der.length) return undefined;
  const raw = Buffer.alloc(2 * size);
  for (const [index, { start, end }] of [r, s].entries()) {
    const bytes = der.subarray(start, end);
    const minimal = bytes[0] !== 0 || (bytes[1] ?? 0) >= 0x80;
    if (bytes.length === 0 || (bytes[0] ?? 0) >= 0x80 || !minimal) return undefined;
    const value = bytes[0] === 0 ? bytes.subarray(1) : bytes;
    if (value.length > size) return undefined;
    value.copy(raw, (index + 1) * size - value.length);
  }
  return raw;
}

function lengthOctets(length: number): readonly number[] {
  if (length < 0x80) return [length];
  if (length < 0x100) return [0x81, length];
  return [0x82, length >> 8, length & 0xff];
}

function integer(bytes: Buffer): Buffer {
  let first = 0;
  while (first < bytes.length - 1 && bytes[first] === 0) first++;
  const value = bytes.subarray(first);
  return (value[0] ?? 0) >= 0x80 ? tlv(0x02, Buffer.of(0), value) : tlv(0x02, value);
}

function content(
  der: Buffer,
  tag: number,
  at = 0,
): { readonly start: number; readonly end: number } | undefined {
  if (der[at] !== tag) return undefined;
  const length = der[at + 1] ?? 0xff;
  // no ECDSA signature exceeds 255 bytes, and DER permits only one encoding of each length
  const long = length === 0x81;
  const size = long ? (der[at + 2] ?? 0) : length;
  if ((long && size < 0x80) || (!long && length >= 0x80)) return undefined;
  const start = at + (long ? 3 : 2);
  return start + size <= der.length ? { start, end: start + size } : undefined;
}
