import type { Via } from '../../src/dbus/client/via.ts';

/** The request behind the calls of a test, which is never cancelled. */
export const via: Via = { requestId: 'test', signal: new AbortController().signal };
