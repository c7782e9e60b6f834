# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2086 # what is not set here is set by tests/gpu/run; its paths have no blanks

# judged NAME COMMAND...: our events and CUPTI's account of one and the same run, and its replay (WAYS: options of the tracer). Writes
# judge/NAME: trace.json, run.vramtrace, cupti.PID, stdout, stderr, verdict, status.
judged() {
	local name=$1 folder="$W/judge/$1" status
	shift
	mkdir -p "$folder"
	CUPTI_MEMORY_DIR="$folder" CUDA_INJECTION64_PATH="$W/cupti_judge.so" \
		timeout -k 5 90 "$VRAMTRACE" $WAYS -o json --output "$folder/trace.json" -w "$folder/run.vramtrace" -- "$@" \
		> "$folder/stdout" 2> "$folder/stderr" < /dev/null
	status=$?
	{
		[ $status -eq 0 ] || { echo "  $name: status $status"; tail -5 "$folder/stderr" | sed 's/^/  /'; }
		timeout 60 python3 -B $gpu/judge/compare.py "$folder/trace.json" "$folder" || status=$((status + 1))
		timeout 60 "$VRAMTRACE" -r "$folder/run.vramtrace" -o json 2>> "$folder/stderr" | cmp -s - "$folder/trace.json" ||
			{ status=$((status + 1)); echo "  $name: its replay differs from the live run"; }
	} > "$folder/verdict" 2>&1
	echo $status > "$folder/status"
}

# As judged, beside others; judge_told waits for all of them and says how each went.
judge_started=() judge_pids=()
judge_start() {
	wait_for_slot "${judge_pids[@]}"
	judge_started+=("$1")
	judged "$@" &
	judge_pids+=($!)
}

# judge_also NAME COMMAND...: one more check of that run, by its trace. Not before judge_wait.
judge_also() {
	local folder="$W/judge/$1"
	shift
	"$@" >> "$folder/also" 2>&1 || echo 1 > "$folder/status"
}

judge_wait() { [ ${#judge_pids[@]} -eq 0 ] || wait "${judge_pids[@]}"; }

judge_told() {
	local name
	judge_wait
	for name in "${judge_started[@]}"; do
		cat "$W/judge/$name/verdict" "$W/judge/$name/also" 2> /dev/null | cut -c1-300 | sed 's/^\( \{0,2\}\)/  /' | head -60
		verdict "$(cat "$W/judge/$name/status" 2> /dev/null || echo 1)" "judge $name"
	done
	judge_started=() judge_pids=()
}

# The programs of tests/prog: judge/programs has NAME both|one ARGUMENTS, where `both` also have the static runtime.
judge_c() {
	local name which args kind
	while read -r name which args; do
		for kind in "" -static; do
			[ "$which$kind" = one-static ] && continue
			unset CUPTI_CALLS_ONLY
			# CUPTI of CUDA 13.0 crashes at the free of a block whose pool was destroyed, or imported, and does not record that of one that
			# its context did not take with it.
			case $name in pools | poolshare | contexts+pools) export CUPTI_CALLS_ONLY=1 ;; esac
			[ $name != cycles ] || judge_wait # it asks how much of the GPU is unused
			LD_LIBRARY_PATH="$CUDA/lib64:${LD_LIBRARY_PATH:-}" judge_start "${name//+/-}$kind" "$W/prog/${name%%+*}$kind" $args
			[ $name != cycles ] || judge_wait
		done
	done < $gpu/judge/programs
	unset CUPTI_CALLS_ONLY
	judge_wait
	for name in ipc-exit ipc-free ipc-close vmmshare-exit vmmshare-release vmmshare-kept poolshare; do
		judge_also $name python3 -B $gpu/shared.py "$W/judge/$name/trace.json"
	done
	judge_told
}

judge_torch() {
	judge_start torch-default python3 $gpu/torch_default.py
	PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True judge_start torch-expandable python3 $gpu/torch_default.py
	PYTORCH_CUDA_ALLOC_CONF=backend:cudaMallocAsync judge_start torch-async python3 $gpu/torch_default.py
	judge_start torch-loader python3 $gpu/torch_loader.py
	judge_start torch-train python3 $gpu/torch_train.py
	PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True judge_start torch-train-expandable python3 $gpu/torch_train.py
	judge_start torch-graph python3 $gpu/torch_graph.py
	PYTORCH_CUDA_ALLOC_CONF=backend:cudaMallocAsync judge_start torch-graph-async python3 $gpu/torch_graph.py
	judge_start torch-ipc python3 $gpu/torch_ipc.py
	judge_wait
	judge_also torch-ipc python3 -B $gpu/shared.py "$W/judge/torch-ipc/trace.json"
}

judge_python() {
	if have_module torch; then judge_torch; else skip "judge of PyTorch: no PyTorch"; fi
	if have_module cupy; then
		judge_start cupy python3 $gpu/cupy_default.py
		judge_start cupy-async python3 $gpu/cupy_async.py
	else
		skip "judge of CuPy: no CuPy"
	fi
	if have_module jax; then
		XLA_PYTHON_CLIENT_PREALLOCATE=false judge_start jax python3 $gpu/jax_small.py
		XLA_PYTHON_CLIENT_PREALLOCATE=true XLA_PYTHON_CLIENT_MEM_FRACTION=.01 judge_start jax-preallocate python3 $gpu/jax_small.py
	else
		skip "judge of JAX: no JAX"
	fi
	judge_told
}
