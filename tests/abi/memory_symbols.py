# SPDX-License-Identifier: Apache-2.0
"""Which exported symbols of libcuda and libcudart deal with memory, by their names, and which of those probes.def knows.

The names are NVIDIA's to choose: a call that a new release brings is caught by the pattern of its family, and has to be put into
probes.def, probed or with a reason why it is not, or under one of the exceptions here."""
import re

# Families whose calls allocate, free, map, import, export, register, reset or move memory, or say where others do so: on which
# device, in which context, pool or captured stream.
MEMORY = {
    "driver": (
        r"cuMem", r"cuArray", r"cuMipmappedArray", r"cuIpc", r"cuMulticast", r"cuStreamAttachMem",
        r"cu(Import|Destroy)?External", r"cuGraphics", r"cuGL", r"cuEGL", r"cuVDPAU", r"cuCheckpoint",
        r"cu(Green)?Ctx(Create|Destroy|Attach|Detach|SetLimit)", r"cuDevicePrimaryCtx(Retain|Release|Reset)",
        r"cuGraph.*Mem(Alloc|Free)", r"cuGraphAddNode", r"cuDeviceGraphMem", r"cu(Module|Library)(Load|Unload)",
        r"cuCtx(Set|Push|Pop)Current", r"cuCtxEnablePeerAccess", r"cuDeviceGet(Uuid|(Default)?MemPool|GraphMem)",
        r"cuStream(Create|Destroy|BeginCapture|EndCapture)", r"cuGraphInstantiate",
    ),
    "runtime": (
        r"cudaMalloc", r"cudaFree", r"cudaHost", r"cudaMem", r"cudaArray", r"cudaMipmapped", r"cudaIpc",
        r"cudaStreamAttachMem", r"cuda(Import|Destroy)?External", r"cudaGraphics", r"cudaGL", r"cudaEGL", r"cudaVDPAU",
        r"cudaDeviceReset", r"cudaThreadExit", r"cuda(Device|Thread)SetLimit", r"cuda(Set|Init)Device$",
        r"cudaGraph.*Mem(Alloc|Free)", r"cudaGraphAddNode", r"cudaDeviceGraphMem", r"cudaLibrary(Load|Unload)",
        r"cudaStream(Begin|End)Capture", r"__cuda(Unr|R)egister(FatBinary|Var|ManagedVar|HostVar)", r"__cudaInitModule",
    ),
}

# Members of those families that hold no memory.
EXCEPT = (
    r"cu(da)?Mem(cpy|set|BatchDecompress)",  # copy
    r"cu\w+Descriptor(_v2)?$", r"cu(da)?\w+GetParams$", r"cu(da)?\w+Get(MemoryRequirements|SparseProperties)$",  # query
    r"cu(da)?(?!MemPoolGetAttribute)(Mem|MemPool|Array|MipmappedArray|MemRange|MemHost|Host)"
    r"Get(?!HandleForAddressRange|(Default)?MemPool)",
    r"cu(da)?(GL|VDPAU)GetDevices?(_v2)?$", r"cuMulticastGet", r"cuCheckpointProcessGet",
    r"cu(da)?Mem(Pool)?Set(Access|Attribute|MemPool)$", r"cu(da)?\w+Set\w*MapFlags(_v2)?$",  # set
    r"cuGLInit$", r"cuEGLApiInit$", r"cudaGLSetGLDevice$", r"cudaVDPAUSetVDPAUDevice$",
    r"cu(da)?Ipc(Get|Open)EventHandle$", r"cu(da)?\w*ExternalSemaphore",  # events and semaphores
    r"cuCheckpointProcess(Lock|Unlock)$", r"__cudaRegisterFatBinaryEnd$",
)

_MEMORY = {layer: re.compile("|".join(patterns)) for layer, patterns in MEMORY.items()}
_EXCEPT = re.compile("|".join(EXCEPT))
_ROW = re.compile(r"^(PROBE|UNPROBED)\((\w+), *(DRIVER|RUNTIME), *(\w+)(?:, *(\w+))?[^)]*\)", re.M)


def is_memory(layer, symbol):
    return bool(_MEMORY[layer].match(symbol)) and not _EXCEPT.match(symbol)


class Table:
    """The rows of probes.def."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            rows = _ROW.findall(file.read())
        self.probed = {"driver": [], "runtime": []}
        self.unprobed = {"driver": [], "runtime": []}
        self.shape, self.op = {}, {}  # of what is probed
        for macro, symbol, layer, shape, op in rows:
            if macro == "PROBE":
                self.shape[symbol], self.op[symbol] = shape, op
            (self.probed if macro == "PROBE" else self.unprobed)[layer.lower()].append(symbol)

    def known(self, layer):
        return self.probed[layer] + self.unprobed[layer]

    def unknown(self, layer, symbols):
        """Memory symbols that are no row, sorted."""
        return sorted({symbol for symbol in symbols if is_memory(layer, symbol)} - set(self.known(layer)))

    def strangers(self):
        """Rows that the patterns would miss if they were new, and rows that are there twice."""
        for layer in ("driver", "runtime"):
            rows = self.known(layer)
            for symbol in sorted(set(rows)):
                if not is_memory(layer, symbol):
                    yield "%s is a row and by its name no memory symbol" % symbol
                if rows.count(symbol) > 1:
                    yield "%s is a row more than once" % symbol
