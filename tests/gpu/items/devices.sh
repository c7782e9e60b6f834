# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2086 # what is not set here is set by tests/gpu/run; its paths have no blanks

# device_runs ORDER SUFFIX: what is made on CUDA's device k must be said to be on the GPU that is k-th in ORDER.
device_runs() {
	judge_start "devices-$2" "$W/prog/devices"
	judge_start "devices-static-$2" "$W/prog/devices-static"
	! have_module torch || judge_start "torch-devices-$2" python3 $gpu/torch_devices.py
	judge_wait
	judge_also "devices-$2" python3 -B $gpu/devices.py "$W/judge/devices-$2/trace.json" "$W/smi.gpus" 1 "$1"
	judge_also "devices-static-$2" python3 -B $gpu/devices.py "$W/judge/devices-static-$2/trace.json" "$W/smi.gpus" 1 "$1"
	! have_module torch || judge_also "torch-devices-$2" python3 -B $gpu/devices.py "$W/judge/torch-devices-$2/trace.json" "$W/smi.gpus" 64 "$1"
	judge_told
}

# Which GPU each block is on, by nvidia-smi's list and by CUPTI, whatever the program numbers them as.
devices() {
	local count all back
	nvidia-smi --query-gpu=index,uuid --format=csv,noheader > "$W/smi.gpus"
	count=$(wc -l < "$W/smi.gpus")
	[ "$count" -ge 2 ] || { skip "devices: $count GPU here, two are needed"; return; }
	sed 's/^/  /' "$W/smi.gpus"
	all=$(seq -s, 0 $((count - 1)))
	back=$(seq -s, $((count - 1)) -1 0)
	export CUDA_DEVICE_ORDER=PCI_BUS_ID
	device_runs "$all" in-order
	CUDA_VISIBLE_DEVICES=$back device_runs "$back" backwards
	CUDA_VISIBLE_DEVICES=1 device_runs 1 second-alone
	CUDA_VISIBLE_DEVICES=$(sed -n '2s/.*, *//p' "$W/smi.gpus") device_runs 1 by-uuid
	export CUDA_DEVICE_ORDER=FASTEST_FIRST
	judge_start devices-fastest-first "$W/prog/devices"
	unset CUDA_DEVICE_ORDER
	judge_start devices-default-order "$W/prog/devices"
	judge_told
}
