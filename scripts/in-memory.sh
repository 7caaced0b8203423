#!/bin/bash
# in-memory.sh COMMAND [ARGUMENT…] runs a command whose temporary files are in memory, if there is enough of it. The
# tests sync hundreds of databases, which takes a fifth of their time on a disk.
set -euo pipefail

memory=/dev/shm need=$((6 << 20)) # KiB

# Test binaries run from there, so it must not be mounted noexec.
usable() {
  [[ -w $memory && $(stat -f -c %T "$memory") == tmpfs ]] || return 1
  (($(df -k --output=avail "$memory" | tail -1) > need && $(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo) > need)) || return 1
  local probe ok=1
  probe=$(mktemp "$memory/sluice.XXXXXX")
  printf '#!/bin/sh\n' >"$probe" && chmod +x "$probe" && "$probe" && ok=0
  rm -f "$probe"
  return "$ok"
}

if usable 2>/dev/null; then
  TMPDIR=$(mktemp -d "$memory/sluice.XXXXXX")
  export TMPDIR
  chmod 1777 "$TMPDIR" # the tests' servers run as another user
  trap 'rm -rf "$TMPDIR"' EXIT
fi
"$@"
