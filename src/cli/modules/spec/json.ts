/** A JSON object. */
export type JsonRecord = Readonly<Record<string, unknown>>;

/** Whether a value is an object and no list. */
export function isRecord(value: unknown): value is JsonRecord {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The own member of an object as an object, empty when it is none. */
export function recordIn(object: JsonRecord, key: string): JsonRecord {
  const member = Object.hasOwn(object, key) ? object[key] : undefined;
  return isRecord(member) ? member : {};
}

/** The key of an object that is spelled so in any case of letters, as container engines read it; else the given one. */
export function keyIn(object: JsonRecord, key: string): string {
  return Object.keys(object).find((one) => one.toLowerCase() === key.toLowerCase()) ?? key;
}
