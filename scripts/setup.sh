#!/bin/bash
# setup.sh [compiler] [postgres] [pooler] [python] [packager] installs what is missing of these on a Debian machine: a C compiler (SQLite's driver is C),
# PostgreSQL's programs and PgBouncer (the tests start servers of their own), Git and dpkg-deb (for a release). What is there already is left alone,
# and needs no network.
set -euo pipefail

say() { echo "setup: $*"; }
die() { echo "setup: $*" >&2; exit 1; }

command -v go >/dev/null || die "Go is missing: install $(sed -n 's/^go /Go /p' go.mod) or newer from https://go.dev/dl"

has_compiler() { echo 'int main(void){return 0;}' | "$(go env CC)" -xc -o /dev/null - 2>/dev/null; }
has_postgres() {
  local initdb
  for initdb in "$(command -v initdb || true)" /usr/lib/postgresql/*/bin/initdb /usr/pgsql-*/bin/initdb; do
    [[ -x $initdb && -x $(dirname "$(readlink -f "$initdb")")/postgres ]] && return 0
  done
  return 1
}
has_python() { command -v python3 >/dev/null; }
has_packager() { command -v git >/dev/null && command -v dpkg-deb >/dev/null; }
has_pooler() { command -v pgbouncer >/dev/null || [[ -x /usr/sbin/pgbouncer ]]; }

missing=()
for need in "$@"; do
  case $need in
    compiler) has_compiler || missing+=(gcc libc6-dev) ;;
    postgres) has_postgres || missing+=(postgresql) ;;
    python) has_python || missing+=(python3) ;;
    packager) has_packager || missing+=(git dpkg) ;;
    pooler) has_pooler || missing+=(pgbouncer) ;;
    *) die "unknown need: $need" ;;
  esac
done
[[ ${#missing[@]} -eq 0 ]] && exit 0

command -v apt-get >/dev/null || die "no apt-get here: install these by your system's means and run again: ${missing[*]}"
as_root=()
if [[ $(id -u) -ne 0 ]]; then
  command -v sudo >/dev/null || die "run this as root, or install these yourself: apt-get install ${missing[*]}"
  as_root=(sudo)
fi
say "installing ${missing[*]}"
"${as_root[@]}" apt-get update -qq || die "apt-get update went wrong; ${missing[*]} are still missing"
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" ||
  die "apt-get install went wrong; ${missing[*]} are still missing"

for need in "$@"; do
  "has_$need" || die "the $need is still not to be found"
done
