#!/bin/sh
# Compares how fast commands are started: xargs, make, and sluice on SQLite and, if SLUICE_BENCH_POSTGRES_URL names a database that may be
# written to, on PostgreSQL. Each way runs TASKS times the command `true`, 64 at once; the ways take turns, ROUNDS times. It prints the
# medians in commands a second, and their ratio to xargs.
#
#   bench/shell.sh [SLUICE ...]     programs to compare (default: sluice of the PATH)
#   TASKS=2000 ROUNDS=5             environment, with the defaults
set -eu
tasks=${TASKS:-2000} rounds=${ROUNDS:-5}
[ $# -gt 0 ] || set -- sluice
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM

{
	echo 'name: bench-shell'
	echo 'tasks:'
	seq "$tasks" | sed 's/.*/  - {id: t&, run: "true"}/'
} >"$dir/bench.yaml"
{
	echo "all: $(seq "$tasks" | sed 's/^/t/' | tr '\n' ' ')"
	seq "$tasks" | sed 's/.*/t&: ; @sh -c true/'
} >"$dir/Makefile"

# measure NAME COMMAND... appends the rate of one run to the file NAME.
measure() {
	name=$1
	shift
	from=$(date +%s%N)
	"$@" >"$dir/log" 2>&1 || { cat "$dir/log" >&2; exit 1; }
	to=$(date +%s%N)
	echo $((tasks * 1000000000 / (to - from))) >>"$dir/$name.rates"
}

with_xargs() { seq "$tasks" | xargs -P 64 -I{} sh -c true; }
with_make() { make -s -j64 -f "$dir/Makefile" all; }

median() { sort -n "$dir/$1.rates" | sed -n "$(((rounds + 1) / 2))p"; }
line() { printf '%-40s %7d /s  %s\n' "$2" "$(median "$1")" "$(echo "$(median "$1") $(median xargs)" | awk '{printf "%.2f", $1 / $2}')"; }

round=0
while [ "$round" -lt "$rounds" ]; do
	round=$((round + 1))
	measure xargs with_xargs
	if command -v make >/dev/null; then measure make with_make; fi
	i=0
	for sluice; do
		i=$((i + 1))
		measure "sqlite$i" "$sluice" run "$dir/bench.yaml" --database-url "sqlite://$dir/$i-$round.db"
		if [ -n "${SLUICE_BENCH_POSTGRES_URL:-}" ]; then
			measure "postgres$i" "$sluice" run "$dir/bench.yaml" --database-url "$SLUICE_BENCH_POSTGRES_URL"
		fi
	done
done
line xargs 'xargs -P 64'
if [ -f "$dir/make.rates" ]; then line make 'make -j64'; fi
i=0
for sluice; do
	i=$((i + 1))
	line "sqlite$i" "$sluice, SQLite"
	if [ -n "${SLUICE_BENCH_POSTGRES_URL:-}" ]; then line "postgres$i" "$sluice, PostgreSQL"; fi
done
