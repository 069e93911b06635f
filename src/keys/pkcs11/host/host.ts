import { writeSync } from 'node:fs';
import { decodeRequest } from '../protocol/messages.ts';
import { operations } from '../protocol/operations.ts';
import { Connection } from './connection.ts';
import { Dispatcher } from './dispatch.ts';
import { handlersOf } from './handlers.ts';
import { Pkcs11Library } from './library.ts';
import { Pools } from './pools.ts';

/** Serves the requests for one library on a connection, and ends the process when it is closed. */
export function serveLibrary(fd: number): void {
  const stop = (status: number): void => {
    // a process cannot exit while one of its threads is in the library
    if (library.isRunning) process.kill(process.pid, 'SIGKILL');
    library.finalize();
    process.exit(status);
  };
  const fail = (why: string): void => {
    writeSync(process.stderr.fd, `<3>iotedge-pkcs11: ${why}\n`);
    stop(1);
  };
  const stuck = (why: string): void => {
    // after the reply to the request that shows it
    setImmediate(() => {
      connection.flush();
      fail(why);
    });
  };
  const library = new Pkcs11Library({ returned: () => connection.keepAlive(), stuck });
  const pools = new Pools((isLast) => {
    library.markStuck();
    if (isLast) stuck('no call of a token returns');
  });
  const dispatcher = new Dispatcher(handlersOf(library, pools));
  const connection = new Connection(fd, {
    request: (frame) => {
      const { id, operation, reader } = decodeRequest(frame);
      // the others may block the process for long
      if (operation !== operations.sign.number) connection.flush();
      const reply = dispatcher.get(operation).reply(id, reader);
      if (reply instanceof Promise) void reply.then((bytes) => connection.reply(bytes));
      else connection.reply(reply);
    },
    closed: () => stop(0),
    malformed: ({ message }) => fail(`received a malformed request: ${message}`),
  });
}
