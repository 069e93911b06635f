import { ServiceError } from '../../../errors.ts';
import { type ModuleName, moduleIdOf, moduleNameOf, parseModuleId } from '../../../ids.ts';
import { quoted } from '../../../quoted.ts';

/**
 * The module that a request names by its name or its cloud id. InvalidArgs for what is no name, NotFound for one that
 * begins with `$` and is no cloud id of a module.
 */
export function parseModule(text: string): ModuleName {
  const name = moduleNameOf(parseModuleId(text));
  if (text === name || text === moduleIdOf(name)) return name;
  throw new ServiceError('NotFound', `no module ${quoted(text)}`);
}
