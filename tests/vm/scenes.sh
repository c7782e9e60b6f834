# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# scenes.sh FUNCTION WITHOUT ARGUMENTS: one scene, played inside the machine in the current folder. WITHOUT is what --without= is
# given, - for no such option. Facts go to the file notes as NAME=VALUE; the judge outside knows what they should be.
set -u

B=/b
without=
[ "$2" = - ] || without=--without=$2

note() {
	echo "$1=$2" >> notes
}

die() {
	note broken "$*"
	exit 1
}

# CLOCK_MONOTONIC, to 10 ms.
now_ms() {
	read -r seconds rest < /proc/uptime
	echo "${seconds%.*}${seconds#*.}0" | sed 's/^0*\(.\)/\1/'
}

pause_ms() {
	usleep $(($1 * 1000))
}

# The tracer blocks SIGINT once its probes count, and SIGUSR1 too only while it starts a thread.
ready() { # PID
	while :; do
		mask=$(sed -n 's/^SigBlk:[^0-9a-f]*........//p' "/proc/$1/status" 2> /dev/null)
		[ -n "$mask" ] || return 1
		[ $((0x$mask >> 1 & 1)) -ne 1 ] || [ $((0x$mask >> 9 & 1)) -ne 0 ] || return 0
		pause_ms 20
	done
}

lines_of() {
	wc -l < "$1"
}

# A running program that obeys; it has said "ready".
start_serve() { # ARGUMENTS
	mkfifo orders
	$B/prog/serve "$@" < orders > out 2> target.err &
	target=$!
	exec 4> orders
	while ! grep -q ready out; do
		kill -0 "$target" 2> /dev/null || die 'serve did not start'
		pause_ms 20
	done
}

ask() { # LINE: and its answer
	before=$(lines_of out)
	echo "$1" >&4
	while [ "$(lines_of out)" -le "$before" ]; do
		kill -0 "$target" 2> /dev/null || die "serve died of: $1"
		pause_ms 10
	done
}

end_serve() {
	echo quit >&4
	exec 4>&-
	wait "$target"
	note target $?
}

start_tracer() { # OUTPUT OPTIONS
	output=$1
	shift
	# shellcheck disable=SC2086
	$B/vramtrace -v -o json --output "$output" $without "$@" > /dev/null 2> "$output.err" < /dev/null 4>&- &
	tracer=$!
}

stop_tracer() { # NAME of what is noted
	begun=$(now_ms)
	kill -INT "$tracer"
	wait "$tracer"
	note "$1" $?
	note "$1_stop_ms" $(($(now_ms) - begun))
}

use() { # a few calls, all of them noted down by the simulation
	ask 'alloc 4096'
	ask 'alloc 8M'
	ask 'free 1'
	ask 'free 0'
}

# From the first instruction.
trace() { # PROGRAM ARGUMENTS
	program=$B/$1
	shift
	# shellcheck disable=SC2086
	$B/vramtrace -v -o json --output trace.json $without -- "$program" "$@" > out 2> trace.json.err
	note tracer $?
}

attach() {
	start_serve 64M
	begun=$(now_ms)
	start_tracer trace.json -p $target
	ready $tracer || die 'the tracer did not start'
	note start_ms $(($(now_ms) - begun))
	note since_ms "$(now_ms)"
	use
	stop_tracer tracer
	cp truth.log until.log
	ask 'alloc 64K'
	end_serve
}

two() {
	start_serve 64M
	start_tracer first.json -p $target
	first=$tracer
	ready $first || die 'the first tracer did not start'
	note first_since_ms "$(now_ms)"
	ask 'alloc 64K'
	pause_ms 50
	start_tracer trace.json -p $target
	ready $tracer || die 'the second tracer did not start'
	note since_ms "$(now_ms)"
	use
	stop_tracer tracer
	tracer=$first
	stop_tracer first
	end_serve
}

murder() { # the tracer
	kill -KILL "$tracer"
	wait "$tracer"
	kill -0 "$target" 2> /dev/null || die "the program did not outlive $1"
	ask 'alloc 4096'
	note killed "$1"
}

# At four instants of its start, when it has just begun, at work, and while it ends; then another one has to work.
kills() {
	start_serve --tick 2 64M
	begun=$(now_ms)
	start_tracer k.json -p $target
	ready $tracer || die 'the tracer did not start'
	start_ms=$(($(now_ms) - begun))
	note start_ms $start_ms
	murder 'kill when ready'
	for part in 1 3 5 7; do
		start_tracer "k$part.json" -p $target
		pause_ms $((start_ms * part / 8))
		murder "kill at $part/8 of its start"
	done
	for after in 100 0; do
		start_tracer "l$after.json" -p $target
		ready $tracer || die 'a later tracer did not start'
		pause_ms $after
		[ $after -ne 0 ] || kill -INT "$tracer"
		[ $after -ne 0 ] || pause_ms 10
		murder "kill $after ms after it was ready"
	done
	start_tracer trace.json -p $target
	ready $tracer || die 'the last tracer did not start'
	pause_ms 200
	stop_tracer tracer
	end_serve
}

# The tracer of a command is killed; the command goes on.
orphan() {
	mkfifo orders
	# shellcheck disable=SC2086
	$B/vramtrace -o json --output k.json $without -- $B/prog/serve 64M < orders > out 2> k.err &
	tracer=$!
	exec 4> orders
	while ! grep -q ready out; do
		kill -0 $tracer 2> /dev/null || die 'the tracer did not start'
		pause_ms 20
	done
	target=$(pidof serve) || die 'no serve'
	murder 'kill of a command'\''s tracer'
	use
	echo quit >&4
	while kill -0 "$target" 2> /dev/null; do
		pause_ms 20
	done
	# Nobody's child, it has no status that can be had: its last line tells.
	note target "$(grep -c '"program":"serve"' out | sed 's/^1$/0/')"
}

function=$1
shift 2
$function "$@"
