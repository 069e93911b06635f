import { version as kernelBuild, machine, release, totalmem, type, uptime } from 'node:os';
import { isServiceError } from '../../../errors.ts';
import type { ContainerEngine, EngineSystem } from '../../docker/engine/container-engine.ts';
import { osRelease, virtualized } from '../../docker/system-info.ts';
import { HttpProblem } from '../http/failure.ts';

/** Of every device, whatever its configuration: clients require the members and act on none. */
const provisioning = {
  type: 'ProvisioningType',
  dynamicReprovisioning: false,
  alwaysReprovisionOnStartup: false,
};

/**
 * The response to `GET /systeminfo`. Without the engine there is none: a client that reads it once would report a machine
 * without an engine from then on.
 */
export async function machineJson(
  engine: Pick<ContainerEngine, 'system'>,
  version: string,
  signal: AbortSignal,
): Promise<object> {
  const [system, os, isVirtual] = await Promise.all([
    engineSystem(engine, signal),
    osRelease(),
    virtualized(),
  ]);
  return {
    osType: type(),
    kernel_release: release(),
    kernel_version: kernelBuild(),
    operating_system: os.get('ID') ?? '',
    operating_system_version: os.get('VERSION_ID') ?? '',
    architecture: system.architecture,
    cpus: system.cpus,
    total_memory: system.totalMemoryBytes,
    virtualized: isVirtual,
    version,
    server_version: system.serverVersion,
    provisioning,
  };
}

/** The machine in the terms of the checks of Azure's program `iotedge`. */
export async function checkedSystem(
  engine: Pick<ContainerEngine, 'system'>,
  version: string,
  signal: AbortSignal,
): Promise<object> {
  const [system, os] = await Promise.all([
    engine.system(signal).catch(() => undefined),
    osRelease(),
  ]);
  return {
    os: { id: os.get('ID') ?? '', version_id: os.get('VERSION_ID') ?? '', arch: machine() },
    aziot_edged_version: version,
    docker_version: system?.serverVersion ?? '',
    system_info: { hw_ram: totalmem(), sw_uptime: Math.floor(uptime()) },
  };
}

async function engineSystem(
  engine: Pick<ContainerEngine, 'system'>,
  signal: AbortSignal,
): Promise<EngineSystem> {
  try {
    return await engine.system(signal);
  } catch (error) {
    if (!isServiceError(error, 'Unavailable')) throw error;
    throw new HttpProblem(500, error.message);
  }
}
