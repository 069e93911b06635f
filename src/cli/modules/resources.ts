import { formatTable } from '../output.ts';

/** What a module uses. */
export interface ModuleUse {
  readonly name: string;
  /** Percent of one processor. */
  readonly cpu: number;
  readonly memory: number;
  readonly memoryLimit: number;
  readonly received: number;
  readonly sent: number;
  readonly read: number;
  readonly written: number;
  readonly processes: number;
}

/** One module of GetResources. */
export type ResourceRow = readonly [
  string,
  number,
  bigint,
  bigint,
  bigint,
  bigint,
  bigint,
  bigint,
  bigint,
];

/** What a module uses, from its row in the result of GetResources. */
export function moduleUse([name, cpu, ...amounts]: ResourceRow): ModuleUse {
  const [
    memory = 0,
    memoryLimit = 0,
    received = 0,
    sent = 0,
    read = 0,
    written = 0,
    processes = 0,
  ] = amounts.map(Number);
  return { name, cpu, memory, memoryLimit, received, sent, read, written, processes };
}

/** A table as `docker stats` prints it. */
export function useTable(uses: readonly ModuleUse[]): string {
  const headings = ['NAME', 'CPU %', 'MEM USAGE / LIMIT', 'MEM %', 'NET I/O', 'BLOCK I/O', 'PIDS'];
  return formatTable(headings, uses.map(rowOf));
}

function rowOf(use: ModuleUse): readonly string[] {
  const { memory, memoryLimit } = use;
  const share = memoryLimit === 0 ? 0 : (100 * memory) / memoryLimit;
  return [
    use.name,
    `${use.cpu.toFixed(2)}%`,
    `${binarySize(memory)} / ${binarySize(memoryLimit)}`,
    `${share.toFixed(2)}%`,
    `${decimalSize(use.received)} / ${decimalSize(use.sent)}`,
    `${decimalSize(use.read)} / ${decimalSize(use.written)}`,
    String(use.processes),
  ];
}

/** Bytes in docker's form: `1.5MiB`, with four digits. */
export function binarySize(bytes: number): string {
  return sized(bytes, 1024, ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'], 4);
}

/** Bytes in docker's form: `1.5MB`, with three digits. */
export function decimalSize(bytes: number): string {
  return sized(bytes, 1000, ['B', 'kB', 'MB', 'GB', 'TB', 'PB'], 3);
}

function sized(bytes: number, base: number, units: readonly string[], digits: number): string {
  let size = bytes;
  let unit = 0;
  while (size >= base && unit < units.length - 1) {
    size /= base;
    unit++;
  }
  return `${Number(size.toPrecision(digits))}${units[unit]}`;
}
