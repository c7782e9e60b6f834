# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2086 # what is not set here is set by tests/gpu/run; its paths have no blanks

# A model loaded and unloaded again and again. Alone on the GPU: NVML's figure is that of all.
cycles() {
	local count=100 folder="$W/cycles"
	have_module torch || { skip "cycles: no PyTorch"; return; }
	mkdir -p "$folder"
	timeout -k 5 200 "$VRAMTRACE" -o json --output "$folder/trace.json" -- python3 $gpu/torch_cycles.py $count \
		> "$folder/stdout" 2> "$folder/stderr" < /dev/null
	timeout 60 python3 -B $gpu/cycles.py "$folder/stdout" "$folder/trace.json" $count
	verdict $? "cycles: $count times load and empty_cache, the ledger and NVML come back"
}
