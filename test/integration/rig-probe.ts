/** Starts a rig, runs the given shell script, and prints the users of the rig and their permissions afterwards. */
import { execFileSync } from 'node:child_process';
import { Rig } from '../support/rig/rig.ts';

async function run(script: string): Promise<void> {
  await using rig = await Rig.start();
  execFileSync('sh', ['-euc', script]);
  const names = await rig.run('id', ['-nG', 'operator']);
  const alice = await rig.run('id', ['-nu'], { user: 'alice' });
  console.log(`${names.stdout}${alice.stdout}${names.stderr}${alice.stderr}`.trim());
  const keys = ['org.iotedge.Keys1', '/org/iotedge/Keys1', 'org.iotedge.Keys1'];
  const get = ['call', ...keys, 'GetPublicKey', 'sa{sv}', 'device-id', '0'];
  const { code, stderr } = await rig.busctl(get, 'operator');
  console.log(`GetPublicKey: ${code}${stderr.trim()}`);
  const pid = await rig.processOf('keys');
  const owner = execFileSync('stat', ['-c', '%u', `/proc/${pid}`], { encoding: 'utf8' });
  console.log(`keys: ${owner.trim()}`);
}

void run(process.argv[2] ?? '');
