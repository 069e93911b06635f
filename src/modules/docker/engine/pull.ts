import type { PullProgress } from '../../supervisor/module-type.ts';
import { jsonLines } from './connection/streams.ts';
import { translatePull } from './connection/translate.ts';

/** The reference with `:latest` where it names neither tag nor digest: the engine would fetch all tags. */
export function withTag(reference: string): string {
  const last = reference.slice(reference.lastIndexOf('/') + 1);
  return last.includes(':') || last.includes('@') ? reference : `${reference}:latest`;
}

/** Reads the response to a pull to its end; throws the failure reported in it. */
export async function followPull(
  stream: AsyncIterable<unknown>,
  image: string,
  onProgress: (progress: PullProgress) => void,
): Promise<void> {
  const layers = new Layers();
  for await (const line of jsonLines(stream)) {
    if ('error' in line) throw translatePull(String(line.error), image);
    const status = 'status' in line && typeof line.status === 'string' ? line.status : '';
    if ('id' in line && typeof line.id === 'string') {
      layers.update(line.id, line);
    }
    onProgress({ fraction: layers.fraction, text: status });
  }
}

interface Layer {
  readonly current: number;
  readonly total: number;
}

function layerOf(line: object, before: Layer | undefined): Layer {
  const detail = 'progressDetail' in line ? line.progressDetail : undefined;
  if (typeof detail !== 'object' || detail === null) return before ?? { current: 0, total: 0 };
  const current = 'current' in detail ? Number(detail.current) : (before?.current ?? 0);
  const total = 'total' in detail ? Number(detail.total) : (before?.total ?? 0);
  return { current: Math.min(current, total), total };
}

/** The layers of an image. Their sums are kept, as a registry decides how many there are. */
class Layers {
  readonly #layers = new Map<string, Layer>();
  #current = 0;
  #total = 0;

  get fraction(): number {
    return this.#total > 0 ? this.#current / this.#total : 0;
  }

  update(id: string, line: object): void {
    const before = this.#layers.get(id);
    const layer = layerOf(line, before);
    this.#layers.set(id, layer);
    this.#current += layer.current - (before?.current ?? 0);
    this.#total += layer.total - (before?.total ?? 0);
  }
}
