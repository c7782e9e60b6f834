# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2086 # what is not set here is set by tests/gpu/run; its paths have no blanks

# 10^7 calls from 8 threads: what was produced, what arrived, what the program counted.
load() {
	local how program
	timeout 120 "$W/prog/asyncload" 8 625000 4096 > "$W/load.untraced" 2>&1
	echo "  untraced: $(cat "$W/load.untraced")"
	for how in dynamic static; do
		program="$W/prog/asyncload"
		[ $how = static ] && program="$program-static"
		timeout -k 10 170 "$VRAMTRACE" -v -o json --min-size 1000G --output "$W/load.$how.json" -- "$program" 8 625000 4096 \
			> "$W/load.$how.stdout" 2> "$W/load.$how.stderr"
		timeout 60 python3 $gpu/load.py "$W/load.$how.stdout" "$W/load.$how.json" "$W/load.$how.stderr"
		verdict $? "load $how: 10^7 calls"
	done
	timeout -k 10 170 "$VRAMTRACE" -v -o json --output /dev/null -- "$W/prog/asyncload" 8 625000 4096 > "$W/load.lines.stdout" \
		2> "$W/load.lines.stderr"
	echo "  with a JSON line for each: $(cat "$W/load.lines.stdout")"
	grep -h 'stats: \(produced\|delivered\|lost\)\|lost' "$W/load.lines.stderr" | sed 's/^/  /' | head -12
}

# 16 threads at full speed for some 10 s into a recording; then decode and ledger from it.
record() {
	local begin end calls
	timeout -k 10 170 "$VRAMTRACE" -v --quiet -w "$W/load.vramtrace" -- "$W/prog/asyncload" 16 160000 4096 > "$W/record.stdout" 2> "$W/record.stderr"
	echo "  recorded: $(cat "$W/record.stdout"); $(stat -c %s "$W/load.vramtrace") bytes"
	grep -h 'stats: \(produced\|delivered\|lost\)\|lost\|incomplete' "$W/record.stderr" | sed 's/^/  /' | head -12
	calls=$(grep -o 'stats: delivered [0-9]*' "$W/record.stderr" | tail -1 | cut -d' ' -f3)
	begin=$(date +%s%N)
	timeout 120 taskset -c 1 "$VRAMTRACE" -r "$W/load.vramtrace" --quiet --strict
	verdict $? "record: the replay is whole"
	end=$(date +%s%N)
	echo "  replayed: $calls records in $(((end - begin) / 1000000)) ms"
	rm -f "$W/load.vramtrace"
	"$VRAMTRACE" -w "$W/tables.vramtrace" -o text 1 --output "$W/tables.txt" -- "$W/prog/threads" 4 200 1M 2> /dev/null
	"$VRAMTRACE" -r "$W/tables.vramtrace" -o text 1 | cmp - "$W/tables.txt"
	verdict $? "record: tables of the replay are those of the run"
}
