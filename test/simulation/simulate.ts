// Prints what comes of rules over years, with outages, wrong clocks and an issuer that does not decide.
// usage: simulate renewal [--config-dir DIRECTORY] [--devices N] [--years N] [--lifetime DURATION]
// The rules are those in certificates.yaml, else three examples; --lifetime is that of certificates of EST servers.
import { parseArgs } from 'node:util';
import { renewals } from './renewal/renewals.ts';

const options = {
  'config-dir': { type: 'string' },
  devices: { type: 'string', default: '100' },
  years: { type: 'string', default: '10' },
  lifetime: { type: 'string' },
} as const;

async function main(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
  if (positionals.join(' ') !== 'renewal') throw new Error('there is: renewal');
  const { 'config-dir': configDir, devices, years, lifetime } = values;
  const fleet = { devices: Number(devices), years: Number(years) };
  if (!(fleet.devices > 0 && fleet.years > 0))
    throw new Error('--devices and --years take a number');
  for await (const row of renewals({ ...fleet, configDir, lifetime })) console.table([row]);
}

void main(process.argv.slice(2));
