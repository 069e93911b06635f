import { modulesService } from '../interfaces/modules.ts';
import { main } from '../service/run.ts';
import { type ModulesConfig, modulesSchema, parseModulesConfig } from './config/config.ts';
import { startModules } from './start.ts';

void main({
  service: modulesService,
  schema: modulesSchema,
  parse: parseModulesConfig,
  start: startModules,
  idleExit: false,
  unconfined: ['private_users'],
  // bound by systemd before the service starts
  fixedSettings: ({ listen }: ModulesConfig) => ({ listen }),
});
