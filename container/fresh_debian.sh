#!/bin/sh
# The container's steps without a container engine: a fresh Debian in a folder, entered by chroot.
#   container/fresh_debian.sh FOLDER [COMMAND...]    as root; each COMMAND such as "make book"
# Needs debootstrap. DEBIAN_MIRROR names another mirror; pip's settings (PIP_*), a certificate file
# (SSL_CERT_FILE) and kept public files (HOWFAR_MIRROR) of this machine go along.
set -eu
root=$1
shift
cd "$(dirname "$0")/.."
suite=$(sed -n 's/^FROM debian://p' Dockerfile)
if [ ! -e "$root/howfar" ]; then
  debootstrap --variant=minbase "${suite%-slim}" "$root" ${DEBIAN_MIRROR:-} >/dev/null
  mkdir "$root/howfar"
fi
git ls-files -z | tar --create --null --files-from=- | tar --extract --directory "$root/howfar"
cp /etc/resolv.conf "$root/etc/resolv.conf"
mountpoint -q "$root/proc" || mount -t proc proc "$root/proc"
trap 'umount "$root/proc"' EXIT

set -- "sh container/setup.sh" "$@"
{
  env | sed -n "s/^\(PIP_[A-Z_]*\)=\(.*\)/export \1='\2'/p"
  if [ -n "${SSL_CERT_FILE:-}" ]; then
    cp "$SSL_CERT_FILE" "$root/howfar.crt"
    echo 'export SSL_CERT_FILE=/howfar.crt PIP_CERT=/howfar.crt'
  fi
  if [ -n "${HOWFAR_MIRROR:-}" ]; then
    cp -rT "$HOWFAR_MIRROR" "$root/mirror"
    echo 'export HOWFAR_MIRROR=/mirror'
  fi
} >"$root/settings"
for command in "$@"; do
  echo "== $command"
  env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
    chroot "$root" sh -euc ". /settings; cd /howfar; $command"
done
