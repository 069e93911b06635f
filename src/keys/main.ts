import { keysService } from '../interfaces/keys.ts';
import { main } from '../service/run.ts';
import { type KeysConfig, keysSchema, parseKeysConfig } from './config/config.ts';
import { startKeys } from './start.ts';

void main({
  service: keysService,
  schema: keysSchema,
  parse: parseKeysConfig,
  start: startKeys,
  // tokens cannot be replaced while they are in use
  fixedSettings: ({ pkcs11_lib_path, tokens }: KeysConfig) => ({ pkcs11_lib_path, tokens }),
});
