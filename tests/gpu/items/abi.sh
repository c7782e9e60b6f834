# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2086 # what is not set here is set by tests/gpu/run; its paths have no blanks

# What this machine's driver exports, put down beside what the others do; then judged as written. Needs tests/abi/exports and call beside
# the binary: make STATIC=1 O=build-static build-static/tests/abi/exports build-static/tests/abi/call
abi() {
	local folder status
	folder=$(dirname "$VRAMTRACE")
	[[ -x $folder/tests/abi/exports && -x $folder/tests/abi/call ]] ||
		{ skip "abi: no tests/abi/exports and call beside $VRAMTRACE"; return; }
	CUDA_HOME=$CUDA timeout 250 python3 -B tests/abi/run --write "$folder" > "$W/abi.txt" 2>&1
	status=$?
	cp tests/abi/expected.txt "$OUT/expected.txt"
	cut -c1-300 "$W/abi.txt" | sed 's/^/  /' | head -60
	verdict $status "abi (expected.txt): $(tail -1 "$W/abi.txt")"
}
