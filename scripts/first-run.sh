#!/usr/bin/env bash
# Runs the first example on a new database and shows what sluice can tell about it. SLUICE names the program.
set -euo pipefail
cd "$(dirname "$0")/.."

program=$(realpath "${SLUICE:-bin/sluice}")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export SLUICE_DATABASE_URL="sqlite://$folder/sluice.db"

bold= plain=
if [ -t 1 ]; then bold=$'\033[1m' plain=$'\033[0m'; fi

sluice() {
  printf '\n%s$ sluice %s%s\n' "$bold" "$*" "$plain"
  "$program" "$@"
}

sluice run examples/first.yaml --set dir=examples
id=$("$program" list --limit 1 -o json | sed -n 's/^ *"id": "\(.*\)",$/\1/p')
sluice show "$id"
sluice events --pipeline-execution "$id"
sluice outbox
sluice verify
