import type { Properties } from '../dbus/definition.ts';
import { Display } from '../dbus/server/display.ts';
import type { modulesInterface, modulesService } from '../interfaces/modules.ts';

/** The properties of the manager that change. */
export type ManagerState = Omit<Properties<typeof modulesInterface>, 'Version'>;

/** What the rest of the world sees of the modules. */
export class Publisher extends Display<typeof modulesService, ManagerState> {
  constructor() {
    const Engine = { name: 'docker', version: '', reachable: false };
    super({ Health: 'ok', LastError: '', Agent: '', Engine });
  }
}
