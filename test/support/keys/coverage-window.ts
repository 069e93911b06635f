// Preloaded with NODE_V8_COVERAGE: a SIGUSR2 resets V8's counters, and the next write to a socket saves them.
import { Socket } from 'node:net';
import { takeCoverage } from 'node:v8';

type Write = Parameters<Socket['write']>;

process.on('SIGUSR2', () => {
  takeCoverage();
  // hides the inherited method
  Socket.prototype.write = function (this: Socket, ...args: Write) {
    Reflect.deleteProperty(Socket.prototype, 'write');
    takeCoverage();
    return this.write(...args);
  } as Socket['write'];
});
