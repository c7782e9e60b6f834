# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2086 # what is not set here is set by tests/gpu/run; its paths have no blanks

# What a person sees.
text() {
	have_module torch || { skip "text: no PyTorch"; return; }
	timeout -k 5 90 "$VRAMTRACE" --output "$OUT/torch.txt" -- python3 $gpu/torch_default.py > /dev/null 2> "$W/text.stderr"
	grep -q 'libc10_cuda' "$OUT/torch.txt" && grep -q 'complete' "$OUT/torch.txt"
	verdict $? "text of a PyTorch run (torch.txt)"
}

attach() {
	local pid job
	have_module torch || { skip "attach: no PyTorch"; return; }
	timeout 120 python3 $gpu/torch_hold.py > "$W/hold.stdout" 2> "$W/hold.stderr" &
	for _ in $(seq 300); do grep -q holding "$W/hold.stdout" && break; sleep 0.2; done
	job=$!
	pid=$(cut -d' ' -f1 "/proc/$job/task/$job/children")
	nvidia-smi --query-compute-apps=pid,used_memory --format=csv,noheader,nounits > "$W/smi.csv"
	timeout -k 5 60 "$VRAMTRACE" -p "$pid" --duration 5 > "$W/attach.txt" 2> "$W/attach.stderr"
	kill "$pid"
	wait "$job" 2> /dev/null
	head -4 "$W/attach.txt" | sed 's/^/  /'
	sed 's/^/  stderr: /' "$W/attach.stderr" | head -5
	python3 $gpu/attached.py "$W/attach.txt" "$pid" "$W/smi.csv"
	verdict $? "attach: the first line has NVML's figure"
	[ "$(grep -c cudaMalloc "$W/attach.txt")" -ge 5 ]
	verdict $? "attach: allocations of the running program are seen"
}
