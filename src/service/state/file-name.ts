import { isId } from '../../ids.ts';
import { quoted } from '../../quoted.ts';

// An id uses none of the characters on the right, so the mapping is reversible and keeps the length.
const fileCharacters = new Map([
  ['/', '+'],
  ['$', '='],
  [':', ','],
]);
const idCharacters = new Map([...fileCharacters].map(([id, file]) => [file, id]));

/** The name of the file that belongs to an id: one path segment, never hidden, 128 bytes plus the extension. */
export function fileNameOf(id: string, extension: `.${string}`): string {
  if (!isId(id)) throw new TypeError(`${quoted(id)} is not an id`);
  return id.replace(/[/$:]/g, (character) => fileCharacters.get(character) ?? '') + extension;
}

/** The id that a file name stands for, or undefined when no id has this name. */
export function idOfFileName(name: string, extension: `.${string}`): string | undefined {
  if (!name.endsWith(extension)) return undefined;
  const stem = name.slice(0, -extension.length);
  if (/[/$:]/.test(stem)) return undefined;
  const id = stem.replace(/[+=,]/g, (character) => idCharacters.get(character) ?? '');
  return isId(id) ? id : undefined;
}
