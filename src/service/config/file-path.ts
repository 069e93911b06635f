/** An absolute path, also from a URL `file:///path`; undefined for anything else. */
export function filePathOf(text: string): string | undefined {
  if (/^\/[^\0]*$/.test(text)) return text;
  const path = /^file:\/\/(\/.*)$/is.exec(text)?.[1];
  if (path === undefined) return undefined;
  try {
    const decoded = decodeURIComponent(path);
    return decoded.includes('\0') ? undefined : decoded;
  } catch {
    return undefined; // an invalid escape
  }
}

/** A setting that is one text or a list of them. */
export function listOf(setting: string | readonly string[]): readonly string[] {
  return typeof setting === 'string' ? [setting] : setting;
}
