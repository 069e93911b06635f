import type { EngineConnection } from './connection/engine-connection.ts';
import { unlessMissing } from './connection/statuses.ts';
import type { NewVolume, Volume } from './container-engine.ts';
import { volumeOf } from './inspect.ts';

/** The named volumes of an engine. */
export class EngineVolumes {
  readonly #connection: EngineConnection;

  constructor(connection: EngineConnection) {
    this.#connection = connection;
  }

  find(name: string, signal: AbortSignal): Promise<Volume | undefined> {
    const action = `inspecting volume ${JSON.stringify(name)}`;
    return this.#connection.request({ action }, signal, async (docker) => {
      const info = await unlessMissing(docker.getVolume(name).inspect());
      return info?.Name === name ? volumeOf(info) : undefined;
    });
  }

  create({ name, labels }: NewVolume, signal: AbortSignal): Promise<void> {
    const action = `creating volume ${JSON.stringify(name)}`;
    return this.#connection.request({ action }, signal, async (docker) => {
      await docker.createVolume({ Name: name, Driver: 'local', Labels: labels });
    });
  }
}
