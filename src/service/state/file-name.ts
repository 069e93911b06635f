import { isId } from '../../ids.ts';
import { quoted } from '../../quoted.ts';

// an id uses none of the characters on the right, so the mapping is reversible and preserves the length
const fileCharacters = new Map([
  ['/', '+'],
  ['$', '='],
  [':', ','],
]);
const idCharacters = new Map([...fileCharacters].map(([id, file]) => [file, id]));

/** The name of the file for an id: one path segment, never hidden, at most 128 bytes plus the extension, if any. */
export function fileNameOf(id: string, extension: `.${string}` | ''): string {
  if (!isId(id)) throw new TypeError(`${quoted(id)} is not an id`);
  return id.replace(/[/$:]/g, (character) => fileCharacters.get(character) ?? '') + extension;
}

/** The id for a file name, or undefined when the name belongs to no id. */
export function idOfFileName(name: string, extension: `.${string}` | ''): string | undefined {
  if (!name.endsWith(extension)) return undefined;
  const stem = name.slice(0, name.length - extension.length);
  if (/[/$:]/.test(stem)) return undefined;
  const id = stem.replace(/[+=,]/g, (character) => idCharacters.get(character) ?? '');
  return isId(id) ? id : undefined;
}
