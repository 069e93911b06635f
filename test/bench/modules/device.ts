import type { Bus } from '../../../src/dbus/bus.ts';
import { type Client, client } from '../../../src/dbus/client/client.ts';
import {
  type modulesInterface,
  modulesService,
  modulesInterface as table,
} from '../../../src/interfaces/modules.ts';
import { ModulesRig } from '../../support/engine/modules-rig.ts';
import { startedProcess } from '../started-process.ts';

const createOptions = { Cmd: ['sleep', '100000'], StopSignal: 'SIGKILL' };
/** The configuration of every module of the bench. As `docker run`, it asks no registry for an image that is present. */
export const moduleConfig = { image: ModulesRig.image, createOptions, imagePullPolicy: 'never' };

/** A device on which modules run, as root uses it. */
export class BenchDevice implements AsyncDisposable {
  readonly rig: ModulesRig;
  readonly bus: Bus;
  readonly modules: Client<typeof modulesInterface>;
  /** The process of the runtime. */
  readonly pid: number;

  private constructor(rig: ModulesRig, bus: Bus, pid: number) {
    this.rig = rig;
    this.bus = bus;
    this.pid = pid;
    this.modules = client(bus, modulesService, table);
  }

  /** Starts everything, and the agent. */
  static async start(): Promise<BenchDevice> {
    const rig = await ModulesRig.start({ agent: { config: moduleConfig }, idle_exit_s: 0 });
    rig.cloud.registry.maxModules = 1_000;
    await rig.agentRuns();
    const pid = await startedProcess(rig.rig, 'modules');
    return new BenchDevice(rig, await rig.rig.connect(), pid);
  }

  /** Creates a module and starts it; it runs then. */
  async run(name: string): Promise<void> {
    const config_json = JSON.stringify(moduleConfig);
    const via = { timeoutMs: 120_000 };
    await this.modules.CreateModule({ name, type: 'docker', config_json, env: {} }, via);
    await this.modules.Start({ name }, via);
  }

  /** Deletes a module; its identity stays at the hub, where an agent creates it before the module. */
  async delete(name: string): Promise<void> {
    await this.modules.DeleteModule({ name }, { timeoutMs: 120_000 });
  }

  /** The id at the hub and the generation of a module, as it has them in its environment. */
  generationOf(moduleId: string): string {
    const all = [...this.rig.cloud.registry.modules.values()].flatMap((modules) => [...modules]);
    return all.find(([id]) => id === moduleId)?.[1].generationId ?? '';
  }

  /** The socket of a module on which an API is served to it. */
  socketOf(name: string, api: 'workload' | 'mgmt' = 'workload'): string {
    return `${this.rig.rig.stateDirectory('modules')}/mnt/${name}/${api}.sock`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.bus.close();
    await this.rig[Symbol.asyncDispose]();
  }
}
