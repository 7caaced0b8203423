#!/bin/bash
# bench.sh measures bin/sluice on each database, shape by shape: on SQLite in a file that is removed afterwards, on PostgreSQL
# in a server of its own that writes as durably as one in production.
# TASKS sets the number of tasks of a measurement.
set -euo pipefail
cd "$(dirname "$0")/.."
tasks=${TASKS:-10000}

if [[ ${1:-} == on ]]; then # of the database that the environment names
  bin/sluice migrate up >/dev/null
  for shape in single chain wide diamond; do
    bin/sluice bench --tasks "$tasks" --shape "$shape"
  done
  exit
fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
echo "SQLite, $tasks tasks a measurement" >&2
SLUICE_DATABASE_URL=sqlite://$folder/bench.db scripts/bench.sh on
echo "PostgreSQL, $tasks tasks a measurement" >&2
go run ./platform/db/dbtest/pgserver -durable -shared-buffers 512MB -max-wal-size 4GB -url-env SLUICE_DATABASE_URL -- scripts/bench.sh on
