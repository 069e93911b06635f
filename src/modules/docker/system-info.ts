import { readFile } from 'node:fs/promises';
import { cpus, machine, release, totalmem, type } from 'node:os';
import { isServiceError } from '../../errors.ts';
import type { yesNoUnknown } from '../../interfaces/enumerations.ts';
import type { ContainerEngine, EngineSystem } from './engine/container-engine.ts';

/** The result of GetSystemInfo. */
export interface SystemInfo {
  readonly os_type: string;
  readonly architecture: string;
  readonly version: string;
  readonly server_version: string;
  readonly kernel_version: string;
  readonly operating_system: string;
  readonly cpus: number;
  readonly total_memory: bigint;
  readonly virtualized: (typeof yesNoUnknown)[number];
}

/** Describes this machine; without an engine, from the operating system alone. */
export async function systemInfo(
  engine: ContainerEngine,
  version: string,
  signal: AbortSignal,
): Promise<SystemInfo> {
  const system = await engineSystem(engine, signal);
  return {
    os_type: system?.osType ?? type().toLowerCase(),
    architecture: system?.architecture ?? machine(),
    version,
    server_version: system?.serverVersion ?? '',
    kernel_version: system?.kernelVersion ?? release(),
    operating_system: system?.operatingSystem ?? (await osName()),
    cpus: system?.cpus ?? cpus().length,
    total_memory: BigInt(system?.totalMemoryBytes ?? totalmem()),
    virtualized: await virtualized(),
  };
}

async function engineSystem(
  engine: ContainerEngine,
  signal: AbortSignal,
): Promise<EngineSystem | undefined> {
  try {
    return await engine.system(signal);
  } catch (error) {
    if (isServiceError(error, 'Unavailable')) return undefined;
    throw error;
  }
}

async function osName(): Promise<string> {
  return (await osRelease()).get('PRETTY_NAME') ?? '';
}

/** The values of os-release(5). */
export async function osRelease(): Promise<ReadonlyMap<string, string>> {
  const text = await readFile('/etc/os-release', 'utf8').catch(() => '');
  const lines = text.matchAll(/^([A-Z_]+)=["']?(.*?)["']?$/gm);
  return new Map([...lines].map(([, name = '', value = '']) => [name, value]));
}

/** From the flags of the processor. */
export async function virtualized(): Promise<SystemInfo['virtualized']> {
  const text = await readFile('/proc/cpuinfo', 'utf8').catch(() => '');
  const flags = /^flags\s*:(.*)$/m.exec(text)?.[1];
  if (flags === undefined) return 'unknown';
  return /\bhypervisor\b/.test(flags) ? 'yes' : 'no';
}
