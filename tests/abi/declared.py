# SPDX-License-Identifier: Apache-2.0
"""What the headers of a CUDA toolkit declare, by the names that its libraries export."""
import re
import subprocess

HEADER = {"driver": "cuda.h", "runtime": "cuda_runtime_api.h"}
# With the second, the headers rename calls to their _ptsz and _ptds twins; with the third they declare what they rename, that is
# what older programs call.
MODES = {"legacy": [], "per-thread": ["-DCUDA_API_PER_THREAD_DEFAULT_STREAM"], "older": ["-D__CUDA_API_VERSION_INTERNAL"]}


class Declared:
    def __init__(self, *include):
        """Folders, the first one first."""
        self.include = ["-I" + folder for folder in include]
        self.code = {(layer, mode): self.preprocess(layer, mode) for layer in HEADER for mode in MODES}

    def preprocess(self, layer, mode):
        done = subprocess.run(["cc", "-E", "-P", *self.include, *MODES[mode], "-x", "c", "-"], text=True,
                              input="#include <%s>\n" % HEADER[layer], capture_output=True, check=True)
        return done.stdout

    def functions(self, layer, modes=MODES):
        return {name for mode in modes for name in re.findall(r"\b(_*cu\w+)\s*\(", self.code[layer, mode])}
