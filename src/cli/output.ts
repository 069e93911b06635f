/** Rows under headings, columns padded to their widest cell, no trailing blanks. */
export function formatTable(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  const all = [headings, ...rows];
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

/** Names and values below each other, the values aligned; an empty value is shown as `-`. */
export function formatRecord(record: Readonly<Record<string, string>>): string {
  const width = Math.max(...Object.keys(record).map((name) => name.length));
  return Object.entries(record)
    .map(([name, value]) => `${name.padStart(width)}: ${value === '' ? '-' : value}`)
    .join('\n');
}

/** JSON for programs; its shape is stable, unlike the text for people. */
export function formatJson(value: unknown): string {
  return JSON.stringify(value, undefined, 2);
}

/** Microseconds since the epoch as `2026-01-31 12:00 UTC`; 0 is `-`. */
export function formatTime(microseconds: number): string {
  if (microseconds === 0) return '-';
  return `${new Date(microseconds / 1000).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}
