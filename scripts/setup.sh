#!/bin/bash
# setup.sh installs what is missing on a Debian machine: a C compiler (SQLite's driver is C) and PostgreSQL's programs
# (the tests start a server of their own). What is there already is left alone, and then no network is needed.
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

missing=()
if has_compiler; then say "C compiler: there ($(go env CC))"; else missing+=(gcc libc6-dev); fi
if has_postgres; then say "PostgreSQL: there"; else missing+=(postgresql); fi
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

has_compiler || die "the C compiler $(go env CC) still does not work"
has_postgres || die "PostgreSQL's initdb and postgres are still not to be found"
