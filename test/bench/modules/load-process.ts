// Sends a request again and again for a time, as a module does, and prints the pace as JSON.
// usage: node load-process.js LOAD MS
import { type Load, load } from './http-client.ts';

async function main([text = '', ms = '']: string[]): Promise<void> {
  const until = performance.now() + Number(ms);
  const pace = await load(JSON.parse(text) as Load, () => performance.now() > until); // of the bench
  console.log(JSON.stringify(pace));
}

void main(process.argv.slice(2));
