import { endWithParent, noCore } from '../../../native/linux.ts';
import { serveLibrary } from './host.ts';

const { ppid } = process;
// calls of a library block threads of the pool; read when the pool starts
process.env['UV_THREADPOOL_SIZE'] ??= '8';
// sent to all processes of the service or the terminal: it is the service that ends this one; SIGUSR1 without a
// listener opens the debugger of Node, to every local user
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR1'])
  process.on(signal, () => undefined);
noCore();
if (endWithParent(ppid)) serveLibrary(3);
