import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { root as checkout } from '../../src/build/setup.mjs';
import { runShown } from '../shown-command.mjs';

const deadlineMs = 40 * 60_000;
const searchPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * Mounts a layer over a bare root, with the kernel's file systems and the caches, and enters it by chroot, as with a
 * plain directory: `/` is then not a mount point, and mounts outside are shared. The checkout is below /root, which is
 * not accessible to other users. All processes end with the first one of their process namespace.
 */
const enter = `
nsenter --mount=/proc/self/ns/mnt mount --make-rprivate /
lower=$1 layer=$2 cache=$3 checkout=$4
shift 4
cd "$layer"
mkdir -p upper work merged tmp
chmod 1777 tmp
if mount -t overlay overlay -o "lowerdir=$lower,upperdir=upper,workdir=work" merged 2>/dev/null; then :
elif [ ! -e merged/root ]; then cp -a "$lower/root" merged
fi
root=$layer/merged/root
mount -t proc proc "$root/proc"
for place in sys dev; do mount --rbind "/$place" "$root/$place"; done
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mkdir -p "$root/run/lock" "$root/root/.npm"
mount --bind "$layer/tmp" "$root/tmp"
mount --bind "$cache/archives" "$root/var/cache/apt/archives"
mount --bind "$cache/npm" "$root/root/.npm"
cp -L --remove-destination /etc/resolv.conf /etc/hosts "$root/etc/"
if [ ! -e "$root/root/checkout" ]; then
  mkdir "$root/root/checkout"
  tar -C "$checkout" --exclude=./node_modules --exclude=./dist --exclude=./.git -c . |
    tar -C "$root/root/checkout" -x --no-same-owner
fi
chmod 700 "$root/root"
mount --make-rshared /
below() { cut -d' ' -f5 /proc/self/mountinfo | grep -F "$layer/" | sort; }
before=$(below)
status=0
chroot "$root" sh -c 'cd /root/checkout && exec "$@"' sh "$@" || status=$?
after=$(below)
if [ "$after" != "$before" ]; then
  echo "mounts outside of the chroot changed, before:
$before
after:
$after"
  exit 1
fi
exit $status
`;

/** Removes layers whose process was killed. */
function removeLeftovers(folder) {
  for (const name of readdirSync(folder)) {
    try {
      process.kill(Number.parseInt(name, 10), 0);
    } catch {
      rmSync(join(folder, name), { recursive: true, force: true });
    }
  }
}

/** A bare root with a temporary layer: all changes are discarded with it. */
export class Machine {
  #lower;
  #layer;
  #cache;
  #environment;

  /** `lower` has the bare root below `root`; `network` is the machine's configuration of npm. */
  constructor(lower, cache, network) {
    this.#lower = lower;
    this.#cache = cache;
    const layers = join(cache, 'layers');
    for (const name of ['layers', 'archives/partial', 'npm'])
      mkdirSync(join(cache, name), { recursive: true });
    removeLeftovers(layers);
    this.#layer = mkdtempSync(join(layers, `${process.pid}-`));
    const { certificates, ...environment } = network;
    this.#environment = environment;
    if (certificates === undefined) return;
    const tmp = join(this.#layer, 'tmp');
    mkdirSync(tmp);
    copyFileSync(certificates, join(tmp, 'certificates.pem'));
    this.#environment.NODE_EXTRA_CA_CERTS = '/tmp/certificates.pem';
    this.#environment.npm_config_cafile = '/tmp/certificates.pem';
  }

  /** Runs a command as root in a checkout below /root, prints its output and returns that with the exit code. */
  run(command, variables = {}) {
    const unshare = ['unshare', '--mount', '--propagation', 'unchanged', '--pid', '--fork'];
    const args = ['--pdeathsig=KILL', ...unshare, '--kill-child', 'sh', '-euc', enter, 'enter'];
    const places = [this.#lower, this.#layer, this.#cache, checkout];
    const fixed = { HOME: '/root', LANG: 'C.UTF-8', PATH: searchPath };
    const env = { ...this.#environment, ...variables, ...fixed };
    const options = { env, timeout: deadlineMs, killSignal: 'SIGKILL' };
    return runShown('setpriv', [...args, ...places, ...command], options);
  }

  /** Removes the layer. */
  close() {
    rmSync(this.#layer, { recursive: true, force: true });
  }
}
