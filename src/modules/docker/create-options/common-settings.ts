/** The settings that modules of any type have. */
import { ServiceError } from '../../../errors.ts';
import { type ModuleName, moduleNameOf, parseModuleId } from '../../../ids.ts';
import { quoted } from '../../../quoted.ts';
import { isHostName } from '../confinement/host-name.ts';

const mostNames = 64;

/** The modules after which one starts, by their names; a cloud id names its module. InvalidArgs. */
export function parseStartAfter(value: unknown): readonly ModuleName[] {
  const names = texts(value, 'start_after').map((text) => moduleNameOf(parseModuleId(text)));
  return [...new Set(names)];
}

/** Further names on the network of modules, or InvalidArgs; which of them it may have is checked later. */
export function parseAliases(value: unknown): readonly string[] {
  const aliases = texts(value, 'aliases');
  for (const alias of aliases) {
    if (!isHostName(alias)) refuse(`aliases: ${quoted(alias)} is not a host name`);
  }
  return aliases;
}

function texts(value: unknown, what: string): readonly string[] {
  if (!Array.isArray(value)) refuse(`${what} is not a list of names`);
  const found = new Set<string>();
  for (const item of value) {
    if (typeof item !== 'string') refuse(`${what} is not a list of names`);
    found.add(item);
  }
  if (found.size > mostNames) refuse(`${what} has more than ${mostNames} names`);
  return [...found];
}

function refuse(message: string): never {
  throw new ServiceError('InvalidArgs', message);
}
