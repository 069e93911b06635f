/** Characters that move a terminal's cursor, change its state or reorder its text. */
const controls = /[\p{Cc}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/** Untrusted text, such as a cloud's or a registry's, on one line and harmless to a terminal. */
export function printable(text: string): string {
  return text.replace(controls, '\ufffd');
}

/** Rows under headings, columns padded to their widest cell, no trailing blanks. */
export function formatTable(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  const all = [headings, ...rows].map((row) => row.map(printable));
  const widths = headings.map((_, column) =>
    Math.max(...all.map((row) => (row[column] ?? '').length)),
  );
  return all
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** Names and values, one pair a line, the values aligned; an empty value is shown as `-`. */
export function formatRecord(record: Readonly<Record<string, string>>): string {
  const width = Math.max(...Object.keys(record).map((name) => name.length));
  return Object.entries(record)
    .map(([name, value]) => `${name.padStart(width)}: ${value === '' ? '-' : printable(value)}`)
    .join('\n');
}

/** JSON for programs; its shape is stable, unlike the text for users. Terminal control characters are escaped. */
export function formatJson(value: unknown, indent = 2): string {
  const json = JSON.stringify(value, undefined, indent);
  return json.replace(controls, (one) => (one === '\n' ? one : escape(one)));
}

function escape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** Microseconds since the epoch as `2026-01-31 12:00 UTC`, with seconds where they count; 0 is `-`. */
export function formatTime(
  microseconds: number,
  precision: 'minutes' | 'seconds' = 'minutes',
): string {
  if (microseconds === 0) return '-';
  const length = precision === 'minutes' ? 16 : 19;
  return `${new Date(microseconds / 1000).toISOString().slice(0, length).replace('T', ' ')} UTC`;
}
