# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2086 # what is not set here is set by tests/gpu/run; its paths have no blanks

sequence_once() { # NAME --sort|- ARGUMENTS
	local name=$1 sorted=${2#-} folder="$W/sequence"
	[ "$sorted" ] && sorted=$2
	LD_LIBRARY_PATH="$CUDA/lib64:${LD_LIBRARY_PATH:-}" timeout -k 5 60 "$VRAMTRACE" -o json --layer driver \
		--output "$folder/$name.json" -- "$W/prog/${name%%+*}" "${@:3}" > "$folder/$name.stdout" 2> "$folder/$name.stderr" < /dev/null
	echo $? > "$folder/$name.status"
	python3 -B $gpu/sequence.py $sorted "$folder/$name.json" > "$folder/$name.calls" 2>> "$folder/$name.stderr"
}

# The calls of each program without CUPTI in it: what a simulated card must do as well.
sequence() {
	local name sorted args pids=()
	mkdir -p "$W/sequence"
	while read -r name sorted args; do
		wait_for_slot "${pids[@]}"
		sequence_once "$name" "$sorted" $args &
		pids+=($!)
	done < tests/golden/programs
	wait "${pids[@]}"
	while read -r name sorted args; do
		[ -s "$W/sequence/$name.calls" ]
		verdict $? "sequence $name: $(wc -l < "$W/sequence/$name.calls") lines, program's status $(cat "$W/sequence/$name.status")"
	done < tests/golden/programs
}
