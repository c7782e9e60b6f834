# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2086 # what is not set here is set by tests/gpu/run; its paths have no blanks

# What older kernels do, on this one.
ways() {
	local way
	[ -e "$W/judge/basic/trace.json" ] || judge_start basic "$W/prog/basic"
	for way in multi task_storage multi,task_storage; do
		WAYS="--without=$way" judge_start "basic-without-$way" "$W/prog/basic"
		WAYS="--without=$way" judge_start "threads-static-without-$way" "$W/prog/threads-static" 4 50 1M
		judge_wait # links that go one by one hold each other up
	done
	judge_told
	timeout -k 5 60 "$VRAMTRACE" --without=return_probes -o json --output "$W/entry.json" -- "$W/prog/basic" > /dev/null 2> "$W/entry.stderr"
	python3 $gpu/entered.py "$W/entry.json" "$W/judge/basic/trace.json"
	verdict $? "entry-only: as many calls and bytes asked for as with return probes"
	"$VRAMTRACE" doctor > "$OUT/doctor.txt" 2>&1
	verdict $? "doctor (doctor.txt)"
	"$VRAMTRACE" doctor -o json | python3 -c 'import json, sys; json.load(sys.stdin)'
	verdict $? "doctor -o json"
}
