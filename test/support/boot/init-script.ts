/**
 * Becomes systemd as process 1 of the namespaces that it runs in. Its arguments are the directory of the layer, the lower
 * directories of the overlay, and the names and directories of the control groups as `name=directory`. It prints the
 * process id on this machine, since `/proc` is still the machine's, and joins the groups before it has its own view.
 */
export const initScript = `
directory=$1 lower=$2
shift 2
read -r pid rest </proc/self/stat
echo "process $pid"
for group in "$@"; do
  place=\${group#*=}
  if [ -e "$place/cpuset.cpus" ]; then
    cat "$place/../cpuset.cpus" >"$place/cpuset.cpus"
    cat "$place/../cpuset.mems" >"$place/cpuset.mems"
  fi
  echo 0 >"$place/cgroup.procs"
done
exec unshare --cgroup sh -euc "$become" systemd "$directory" "$lower" "$@"
`;

/** Mounts what a container manager mounts, and executes systemd. `LoadCredential=` needs shared mounts. */
export const becomeScript = `
directory=$1 lower=$2
shift 2
root=$directory/root
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$directory/upper,workdir=$directory/work" "$root"
# the engine cannot have its layers in an overlay
mkdir -p "$root/var/lib/docker"
mount --bind "$directory/docker" "$root/var/lib/docker"

mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount --bind "$root/proc/sys/net" "$root/proc/sys/net"
mount -o remount,bind,rw "$root/proc/sys/net"
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs "$root/sys"
[ "$#" = 1 ] || mount -t tmpfs -o mode=755 tmpfs "$root/sys/fs/cgroup"
for group in "$@"; do
  name=\${group%%=*} at=$root/sys/fs/cgroup
  [ "$#" = 1 ] || { at=$at/$name; mkdir "$at"; }
  case $name in
    . | unified) mount -t cgroup2 cgroup2 "$at" ;;
    systemd) mount -t cgroup -o none,name=systemd,xattr cgroup "$at" ;;
    *) mount -t cgroup -o "$name" cgroup "$at" ;;
  esac
done

mount -t tmpfs -o mode=755,nosuid tmpfs "$root/dev"
mkdir "$root/dev/pts" "$root/dev/shm" "$root/dev/mqueue"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$root/dev/shm"
mount -t mqueue mqueue "$root/dev/mqueue"
while read -r device major minor; do
  mknod -m 666 "$root/dev/$device" c "$major" "$minor"
done <<DEVICES
null 1 3
zero 1 5
full 1 7
random 1 8
urandom 1 9
tty 5 0
DEVICES
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
ln -s fd/0 "$root/dev/stdin"
ln -s fd/1 "$root/dev/stdout"
ln -s fd/2 "$root/dev/stderr"
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs "$root/run"
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$root/tmp"
# the journal tells boots apart
cat /proc/sys/kernel/random/uuid >"$root/run/boot-id"
mount --bind "$root/run/boot-id" "$root/proc/sys/kernel/random/boot_id"

cd "$root"
pivot_root . .
umount -l .
cd /
mount --make-rshared /
hostname booted
exec env -i container=test LANG=C.UTF-8 TERM=dumb \\
  PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \\
  /lib/systemd/systemd --system systemd.unit=multi-user.target
`;
