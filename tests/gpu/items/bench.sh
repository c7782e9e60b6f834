# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2086 # what is not set here is set by tests/gpu/run; its paths have no blanks

# loop_once NAME traced|untraced ARGS...
loop_once() {
	local name=$1 how=$2 tracer=()
	shift 2
	[ "$how" = traced ] && tracer=("$VRAMTRACE" -o json --output /dev/null --)
	timeout -k 5 60 "${tracer[@]}" "$W/prog/$name" "$@" 2>> "$W/bench.stderr" | sed -n 's/.*"ns_per_call":\([0-9.]*\).*/\1/p'
}

bench() {
	local how name
	for _ in 1 2 3 4 5; do
		for how in untraced traced; do
			for name in loop loop-static; do
				echo "$name-malloc-1M $how $(loop_once $name $how 10000 1M)"
				echo "$name-async-1M $how $(loop_once $name $how 200000 1M --async)"
			done
		done
	done > "$W/bench.lines"
	python3 $gpu/medians.py < "$W/bench.lines" > "$OUT/bench.txt" 2>&1
	verdict $? "bench (bench.txt)"
	cat "$OUT/bench.txt"
}
