#!/bin/sh
# systemd_root.sh — process 1 of fresh namespaces: makes a root of its own, and becomes systemd in it.
#
# Called by systemd.py's guard with a directory to mount on. All that is mounted, made or written here is in memory and
# in this mount namespace, so it ends with its last process. The variables below /proc/sys, of which the kernel has most
# only once, are read-only here.
set -eu
scratch=$1

mount --make-rprivate /
mount -t tmpfs -o mode=755 scratch "$scratch"
root=$scratch/root
mkdir "$scratch/upper" "$scratch/work" "$root"
mount -t overlay -o "lowerdir=/,upperdir=$scratch/upper,workdir=$scratch/work" overlay "$root"

mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 run "$root/run"
mount -t tmpfs -o mode=1777 tmp "$root/tmp"
mount -t tmpfs -o mode=755 dev "$root/dev"
for device in null zero full random urandom tty; do
    : >"$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/shm" "$root/dev/pts"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
ip link set lo up

# Nothing of this machine is to be started: no unit is left that anything wants, but the journal.
rm -rf "$root"/etc/systemd/system "$root"/etc/init.d "$root"/lib/systemd/system/*.wants \
    "$root"/lib/systemd/system-generators
mkdir "$root/etc/systemd/system" "$root/etc/init.d"
cat >"$root/etc/systemd/system/bare.target" <<'END'
[Unit]
Description=Nothing but the journal
Requires=sysinit.target systemd-journald.service
After=sysinit.target systemd-journald.service
END
cat >"$root/etc/systemd/journald.conf" <<'END'
[Journal]
Storage=volatile
RateLimitIntervalSec=0
Audit=no
END

cd "$root"
pivot_root . mnt
umount -l mnt
exec env -i container=perdure-test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --unit=bare.target --show-status=no </dev/null
