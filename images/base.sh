#!/usr/bin/env bash
# Build a base image from Debian's own archive, for machines that cannot pull debian:bookworm-slim:
# images/base.sh [NAME]. Needs root and debootstrap; takes half a minute.
set -euo pipefail

name=${1:-savanna-base:bookworm}
docker=${DOCKER:-docker}
command -v debootstrap >/dev/null || { echo "images/base.sh: debootstrap is missing (Debian: apt-get install debootstrap)" >&2; exit 2; }
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
debootstrap --variant=minbase bookworm "$root" >"$root.log" 2>&1 || { tail "$root.log" >&2; exit 1; }
rm -rf "$root.log" "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/* \
  "$root"/usr/share/{doc,man,info,locale}
# As in the public slim image: later installs add no manuals either.
printf 'path-exclude %s\n' '/usr/share/doc/*' '/usr/share/man/*' '/usr/share/locale/*' \
  >"$root/etc/dpkg/dpkg.cfg.d/slim"
tar -C "$root" -c . | "$docker" import --change 'CMD ["bash"]' - "$name" >/dev/null
echo "$name"
