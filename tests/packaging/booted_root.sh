# shellcheck shell=bash
# Sourced by debian_packages.sh: a bare root of Debian in which systemd is the first process, in namespaces of its own.

declare -A suites=([12]=bookworm [13]=trixie)

# make_root RELEASE DIRECTORY: packages come from where this machine gets its own.
make_root() {
  local suite=${suites[$1]} root=$2 mirror file
  local sources=()
  mirror=$(apt-get indextargets --format '$(SITE)' 2>/dev/null | grep -m 1 -E '/debian/?$' || true)
  [ -z "$mirror" ] || sources=("deb $mirror $suite main" "deb $mirror $suite-updates main")
  mmdebstrap --quiet --variant=minbase --include=systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd "$suite" "$root" \
    "${sources[@]}"
  apt-config dump | grep -E '^Acquire::https?::' >"$root/etc/apt/apt.conf.d/90check" || true
  for file in etc/resolv.conf etc/ssl/certs/ca-certificates.crt; do
    [ ! -e "/$file" ] || { mkdir -p "$(dirname "$root/$file")"; cp -L "/$file" "$root/$file"; }
  done
  echo '127.0.0.1 localhost' >"$root/etc/hosts"
}

# boot DIRECTORY: `machine` is its outermost process; a signal to it is what pulling the plug is to a machine. `init` is systemd.
boot() {
  unshare --mount --pid --uts --ipc --cgroup --fork --kill-child bash -c '
    set -e
    mount --make-rprivate /
    mount --bind "$1" "$1"
    cd "$1"
    mount -t proc proc proc
    mount -t sysfs -o ro sysfs sys
    mount -t cgroup2 cgroup2 sys/fs/cgroup 2>/dev/null || { mount -t tmpfs tmpfs sys/fs/cgroup; mount -t cgroup2 cgroup2 sys/fs/cgroup; }
    mount -t tmpfs -o mode=755 tmpfs run
    mount -t tmpfs -o mode=1777 tmpfs tmp
    mount -t tmpfs -o mode=755 tmpfs dev
    for device in null zero full random urandom tty; do touch "dev/$device"; mount --bind "/dev/$device" "dev/$device"; done
    ln -s /proc/self/fd dev/fd
    mkdir dev/shm dev/pts
    mount -t tmpfs -o mode=1777 tmpfs dev/shm
    hostname packaged
    exec chroot . env -i container=unshare PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --show-status=no
  ' boot "$1" </dev/null >>"$1/var/tmp/boot.log" 2>&1 &
  machine=$!
  local i
  for ((i = 0; i < 300; ++i)); do
    init=$(pgrep -P "$machine" || true)
    # "degraded" is well: there are no kernel modules to load in here.
    [ "$(cat "/proc/$init/comm" 2>/dev/null)" = systemd ] && grep -qE '^(running|degraded)$' <<<"$(in_root systemctl is-system-running 2>/dev/null)" && return
    sleep 0.1
  done
  cat "$1/var/tmp/boot.log" >&2
  fail "systemd does not start"
}

pull_the_plug() {
  kill -KILL "$machine" 2>/dev/null || true
  wait "$machine" 2>/dev/null || true
}

# in_root PROGRAM ARGUMENT...: as root, in there.
in_root() {
  nsenter --target "$init" --mount --pid --uts --ipc --cgroup --root --wd env -i \
    PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 "$@"
}
