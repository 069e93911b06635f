import { sign } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { loadProvider } from '../../../src/native/provider.ts';

/** What a test asks of this process, one at a time. */
export type ProviderTask =
  | { readonly kind: 'sign'; readonly pem: string; readonly text: string }
  | { readonly kind: 'context'; readonly pem: string };

/** What it answers: a signature with SHA-256, hexadecimal, or `ok`, or what went wrong. */
export type ProviderAnswer = { readonly done: string } | { readonly error: string };

function perform(task: ProviderTask): string {
  if (task.kind === 'sign') return sign('sha256', Buffer.from(task.text), task.pem).toString('hex');
  createSecureContext({ key: task.pem });
  return 'ok';
}

loadProvider();
process.on('message', (task: ProviderTask) => {
  try {
    process.send?.({ done: perform(task) });
  } catch (error) {
    process.send?.({ error: String(error) });
  }
});
process.send?.({ done: 'ready' });
