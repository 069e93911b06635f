/** A JSON schema (draft 7). Its `$id` is how a bundle finds the validator made for it. */
export interface Schema {
  readonly $id: string;
  readonly [keyword: string]: unknown;
}

/** In a schema of a map: its members are texts, as they stand in the file, whatever YAML takes them for. */
export const textValues = 'textValues';

const keywords: string[] = [textValues];

/** How schemas are understood, at run time and at build time: every error, defaults filled in, no unknown keywords. */
export const validatorOptions = {
  allErrors: true,
  useDefaults: true,
  discriminator: true,
  strict: true,
  strictTypes: false,
  strictRequired: false,
  allowUnionTypes: true,
  keywords,
} as const;
