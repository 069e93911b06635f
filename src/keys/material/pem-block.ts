const digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const values = new Map([...Buffer.from(digits)].map((digit, value) => [digit, value]));
const whitespace = new Set(Buffer.from(' \t\r\n'));
const padding = '='.charCodeAt(0);

/**
 * Decodes the first PEM block with a label; undefined when it is missing or damaged. Does not convert the content to a
 * string, which could not be wiped. The caller wipes the bytes.
 */
export function pemBlock(text: Buffer, label: string): Buffer | undefined {
  const begin = `-----BEGIN ${label}-----`;
  const start = text.indexOf(begin);
  if (start < 0) return undefined;
  const end = text.indexOf(`-----END ${label}-----`, start);
  return end < 0 ? undefined : decode(text.subarray(start + begin.length, end));
}

function decode(base64: Buffer): Buffer | undefined {
  const bytes = Buffer.alloc(Math.ceil((base64.length * 3) / 4));
  let [length, bits, value] = [0, 0, 0];
  for (const character of base64) {
    if (whitespace.has(character) || character === padding) continue;
    const digit = values.get(character);
    if (digit === undefined) {
      bytes.fill(0);
      return undefined;
    }
    value = ((value << 6) | digit) & 0xffff;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes[length++] = (value >> bits) & 0xff;
  }
  return bytes.subarray(0, length);
}
