import type { Via } from '../../src/dbus/client/via.ts';

/** What a test calls on behalf of: nobody who would leave. */
export const via: Via = { requestId: 'test', signal: new AbortController().signal };
