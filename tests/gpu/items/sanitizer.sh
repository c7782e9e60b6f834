# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2086 # what is not set here is set by tests/gpu/run; its paths have no blanks

find_sanitizer() {
	local path
	for path in "$CUDA/bin/compute-sanitizer" "$CUDA/compute-sanitizer/compute-sanitizer" "$(command -v compute-sanitizer)"; do
		[ -x "$path" ] && { echo "$path"; return; }
	done
}

sanitizer_once() { # NAME LEAKS BYTES ARGUMENTS
	local name=$1 log="$W/sanitizer/$1.log"
	build_program "${name%%+*}" "tests/prog/${name%%+*}.c" "$W/sanitizer/$name" -Dmain=program_main $gpu/sanitizer/reset_after.c \
		> "$log.build" 2>&1 || { cat "$log.build" > "$log.verdict"; return; }
	LD_LIBRARY_PATH="$CUDA/lib64:${LD_LIBRARY_PATH:-}" timeout -k 5 90 "$tool" --tool memcheck --leak-check full \
		--report-api-errors no --log-file "$log" "$W/sanitizer/$name" "${@:4}" > "$log.stdout" 2>&1 < /dev/null
	echo $? > "$log.status"
	python3 -B $gpu/sanitizer/leaks.py "$log" "$2" "$3" > "$log.verdict" 2>&1 && touch "$log.passed"
}

# sanitizer/programs: NAME LEAKS BYTES ARGUMENTS. Those that leak on purpose show that a leak would be seen. The tool does not take cudaFree of what
# a graph left for its end: the programs themselves ask the driver whether anything is in use then.
sanitizer() {
	local tool name leaks bytes args pids=()
	tool=$(find_sanitizer)
	[ "$tool" ] || { skip "sanitizer: no compute-sanitizer in the toolkit"; return; }
	mkdir -p "$W/sanitizer"
	while read -r name leaks bytes args; do
		wait_for_slot "${pids[@]}"
		sanitizer_once "$name" "$leaks" "$bytes" $args &
		pids+=($!)
	done < $gpu/sanitizer/programs
	wait "${pids[@]}"
	while read -r name leaks bytes args; do
		cat "$W/sanitizer/$name.log.verdict" 2> /dev/null
		[ -e "$W/sanitizer/$name.log.passed" ] || head -40 "$W/sanitizer/$name.log" 2> /dev/null | cut -c1-200 | sed 's/^/  /'
		[ -e "$W/sanitizer/$name.log.passed" ]
		verdict $? "sanitizer $name $args: $leaks leaks of $bytes bytes, status $(cat "$W/sanitizer/$name.log.status" 2> /dev/null)"
		rm -f "$W/sanitizer/$name"
	done < $gpu/sanitizer/programs
}
