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

# Families that hold no memory, so that a family that is new is noticed by its being none of these. What a program is told of its memory,
# and what it sets, is none either.
OTHER = (
    r"Bind|Unbind|Choose|Create(Channel|Surface|Texture)|Destroy(Surface|Texture)|Surf|Tex|TensorMap",
    r"Ctx(Disable|From|Get|Record|Reset|Set(Cache|Flags|Shared)|Synchronize|Wait)|GreenCtx(Get|Record|StreamCreate|Wait)",
    r"Dev(Sm)?Resource|Device(CanAccess|Compute|Disable|Enable|Flush|Get|PrimaryCtx(Get|Set)|Register|Set|Synchronize|Total|Unregister)",
    r"Driver|Runtime|Event|Func|Get|Init$|Kernel|Launch|Link|Logs|Occupancy|Param|Peek|Pointer|UserObject|Flush|Coredump",
    r"Graph(Add(Batch|Child|Dependencies|Empty|Event|External|Host|Kernel|Memcpy|Memset)|(?!Add|ics))|SetValidDevices",
    r"(Library|Module)(Enumerate|Get)|Set(DeviceFlags|DoubleFor)|(Signal|Wait)ExternalSemaphores|Thread(Exchange|Get|Set|Synchronize)",
    r"Stream(Add|Batch|Copy|Create|Destroy|Get|Is|Query|Set|Synchronize|Update|Wait|Write)",
)

_MEMORY = {layer: re.compile("|".join(patterns)) for layer, patterns in MEMORY.items()}
_EXCEPT = re.compile("|".join(EXCEPT))
_OTHER = re.compile("cu(da)?(%s)" % "|".join(OTHER))
_ROW = re.compile(r"^(PROBE|UNPROBED)\((\w+), *(DRIVER|RUNTIME), *(\w+)(?:, *(\w+))?[^)]*\)", re.M)


def is_memory(layer, symbol):
    return bool(_MEMORY[layer].match(symbol)) and not _EXCEPT.match(symbol)


def is_known_name(layer, symbol):
    """Of a family that has been looked at, whatever came of that."""
    return bool(_MEMORY[layer].match(symbol) or _OTHER.match(symbol))


class Table:
    """The rows of probes.def."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            text = file.read()
        rows = _ROW.findall(text)
        reasons = dict(re.findall(r'^REASON\((\w+), "(.*)"\)', text, re.M))
        self.probed = {"driver": [], "runtime": []}
        self.unprobed = {"driver": [], "runtime": []}
        self.shape, self.op = {}, {}  # of what is probed
        self.reason = {symbol: reasons[reason] for macro, symbol, _, reason, _ in rows if macro == "UNPROBED"}
        self.kind = dict(re.findall(r"^PROBE\((\w+),.* (\w+)\)", text, re.M))
        for macro, symbol, layer, shape, op in rows:
            if macro == "PROBE":
                self.shape[symbol], self.op[symbol] = shape, op
            (self.probed if macro == "PROBE" else self.unprobed)[layer.lower()].append(symbol)

    def class_of(self, layer, symbol):
        """In words."""
        if symbol in self.probed[layer]:
            return "probed    %-14s %-15s %s" % tuple(what[symbol].lower() for what in (self.op, self.shape, self.kind))
        return "unprobed  " + self.reason[symbol] if symbol in self.reason else "new"

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
