import { sign } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { loadProvider } from '../../../src/native/provider.ts';

/** A request of a test, one at a time. */
export type ProviderTask =
  | { readonly kind: 'sign'; readonly pem: string; readonly text: string }
  | { readonly kind: 'context'; readonly pem: string };

/** The reply: a hexadecimal signature with SHA-256, `ok`, or an error. */
export type ProviderReply = { readonly done: string } | { readonly error: string };

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
