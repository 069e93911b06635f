import { keysService } from '../interfaces/keys.ts';
import { main } from '../service/run.ts';
import { type KeysConfig, keysSchema, parseKeysConfig } from './config/config.ts';
import { startKeys } from './start.ts';

// a token works on threads of the pool, which must not keep files waiting; read when the pool starts
process.env['UV_THREADPOOL_SIZE'] ??= '8';
void main({
  service: keysService,
  schema: keysSchema,
  parse: parseKeysConfig,
  start: startKeys,
  // a library lives in this process, and a token of it cannot be left while it is used
  fixedSettings: ({ pkcs11_lib_path, tokens }: KeysConfig) => ({ pkcs11_lib_path, tokens }),
});
