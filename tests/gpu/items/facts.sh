# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2086 # what is not set here is set by tests/gpu/run; its paths have no blanks

facts() {
	local runtime
	{
		uname -srm; nproc; nvidia-smi -L; nvidia-smi --query-gpu=driver_version,memory.total --format=csv
		"$VRAMTRACE" --version
		echo "$LIBCUDA"; python3 $gpu/facts.py include/vramtrace/probes.def "$LIBCUDA" driver
		echo "status $? (0: every present function begins with push %rbp)"
		for runtime in "$(readlink -f "$CUDA/lib64/libcudart.so")" \
			$(python3 -c 'import glob, site; print(*[f for d in site.getsitepackages() for f in glob.glob(d + "/**/libcudart*.so*", recursive=True)])'); do
			echo "$runtime"; python3 $gpu/facts.py include/vramtrace/probes.def "$runtime" runtime
			echo "status $?"
		done
		echo "--- driver: nothing asked for, nothing freed"; timeout 60 "$W/prog/edge"
		echo "--- runtime: program fail"; timeout 60 "$W/prog/fail"
	} > "$OUT/facts.txt" 2>&1
	grep -q 'absent\|OTHER' "$OUT/facts.txt" && grep 'absent\|OTHER' "$OUT/facts.txt" | sort | uniq -c | sed 's/^/  note: /'
	grep -q '^GPU 0' "$OUT/facts.txt"
	verdict $? "facts (facts.txt)"
}
