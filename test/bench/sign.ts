import { fileURLToPath } from 'node:url';
import { softhsmLibrary, tokenPin } from '../support/keys/softhsm.ts';
import { Rig } from '../support/rig/rig.ts';
import { identityOf, type RigUser } from '../support/rig/rig-users.ts';
import { type Client, inFlight, type Pace } from './client.ts';
import { startedProcess } from './started-process.ts';

const signaturesPerRound = 4000;
/** As many calls as the echo has before it counts. */
const warmUpRounds = 5;
const script = fileURLToPath(new URL('token.js', import.meta.url));

/** Sign with an EC key of the token: through the Keys service, and by the token alone. */
export class SignBench implements AsyncDisposable {
  readonly rig: Rig;
  readonly #client: Client;

  private constructor(rig: Rig, client: Client) {
    this.rig = rig;
    this.#client = client;
  }

  /** Starts a device; what V8 compiles is compiled before it counts. */
  static async start(client: Client): Promise<SignBench> {
    const bench = new SignBench(await Rig.start(), client);
    for (let round = 0; round < warmUpRounds; round++) {
      await bench.ours();
      await bench.ours('operator');
    }
    return bench;
  }

  /**
   * One round of the service. Root is not authorized at all; about a user polkit is asked once, since each round is
   * another connection, and its verdict is found in the cache for every call after that.
   */
  async ours(user?: RigUser): Promise<Pace> {
    const pid = await startedProcess(this.rig, 'keys');
    const name = 'org.iotedge.Keys1';
    const place = { address: this.rig.address, name, path: '/org/iotedge/Keys1', interface: name };
    const identity = user === undefined ? undefined : identityOf(user);
    const call = { method: 'sign', key: 'device-id', count: signaturesPerRound } as const;
    return await this.#client.pace(place, { ...call, pid, identity });
  }

  /** One round of the token alone, through the session pool of the service. */
  async token(): Promise<Pace> {
    const words = [
      softhsmLibrary(),
      tokenPin,
      'device id',
      String(signaturesPerRound),
      String(inFlight),
    ];
    const environment = { SOFTHSM2_CONF: this.rig.token.configuration };
    const { stdout } = await this.rig.run(process.execPath, [script, ...words], { environment });
    return JSON.parse(stdout) as Pace; // what the script prints
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.rig[Symbol.asyncDispose]();
  }
}
