# SPDX-License-Identifier: Apache-2.0
"""What a process' driver calls, as CUPTI's callbacks show them (account.h), make of its memory: a ledger of our own to judge the
tracer's by. Knows nothing of vramtrace but the words of its events."""
import collections

BLOCKS = {
    "cuMemAlloc_v2": "device", "cuMemAllocPitch_v2": "device", "cuMemAllocManaged": "managed", "cuMemHostAlloc": "pinned",
    "cuMemAllocHost_v2": "pinned", "cuMemHostRegister_v2": "registered", "cuMemAllocAsync": "pool",
    "cuMemAllocAsync_ptsz": "pool", "cuMemAllocFromPoolAsync": "pool", "cuMemAllocFromPoolAsync_ptsz": "pool",
    "cuArrayCreate_v2": "array", "cuArray3DCreate_v2": "array", "cuMipmappedArrayCreate": "array",
    "cuGraphAddMemAllocNode": "graph", "cuGraphAddNode": "graph", "cuGraphAddNode_v2": "graph",
    "cuImportExternalMemory": "imported", "cuMemPoolImportPointer": "imported",
    "cuExternalMemoryGetMappedBuffer": "imported virtual",  # shows what was imported as a whole
}
FREES = ("cuMemFree_v2", "cuMemFreeHost", "cuMemFreeAsync", "cuMemFreeAsync_ptsz", "cuMemHostUnregister", "cuArrayDestroy",
         "cuMipmappedArrayDestroy", "cuDestroyExternalMemory")
OPENS = ("cuIpcOpenMemHandle", "cuIpcOpenMemHandle_v2")
EXPORTS = ("cuIpcGetMemHandle", "cuMemExportToShareableHandle", "cuMemPoolExportPointer")
CONTEXT_ENDS = ("cuCtxDestroy_v2", "cuDevicePrimaryCtxRelease", "cuDevicePrimaryCtxRelease_v2", "cuDevicePrimaryCtxReset",
                "cuDevicePrimaryCtxReset_v2")
FAILED_ALLOCATIONS = (*BLOCKS, *OPENS, "cuMemCreate", "cuMemMap", "cuMemImportFromShareableHandle", "cuMemPoolCreate")
FAILED_FREES = (*FREES, "cuIpcCloseMemHandle", "cuMemRelease", "cuMemUnmap", "cuMemPoolDestroy")
SIZELESS_FAILURES = ("array", "imported", "imported virtual", "graph")

INVALID_CONTEXT = 201  # CUDA_ERROR_INVALID_CONTEXT
DESCRIPTOR, DEVICE_LOCATION = 1, 1  # CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, CU_MEM_LOCATION_TYPE_DEVICE
LAYERED, CUBEMAP, SPARSE, DEFERRED = 1, 4, 0x40, 0x80  # CUDA_ARRAY3D_*
FORMAT_BYTES = {1: 1, 2: 2, 3: 4, 8: 1, 9: 2, 10: 4, 16: 2, 32: 4}  # CUarray_format

Call = collections.namedtuple("Call", "name result tid enter leave mono fields")


def parse_call(words):
    """The words of a `call` line, without the first."""
    name, result, tid, enter, leave, mono, *pairs = words
    fields = {key: int(value, 0) if value != "(nil)" else 0 for key, value in (pair.split("=", 1) for pair in pairs)}
    return Call(name, int(result), int(tid), int(enter), int(leave), int(mono), fields)


def extent_bytes(fields):
    """What an array's extent comes to, without the driver's padding."""
    pixel = FORMAT_BYTES.get(fields["format"], 0) * fields["channels"]
    width, height, depth = fields["width"], max(fields["height"], 1), max(fields["depth"], 1)
    total = 0
    for _level in range(max(fields["levels"], 1)):
        total += width * height * depth * pixel
        width, height = max(width // 2, 1), max(height // 2, 1)
        if not fields["flags"] & (LAYERED | CUBEMAP):
            depth = max(depth // 2, 1)
    return total


class Object:
    """Memory by handle: goes when no reference and no mapping is left; a descriptor of it may keep it longer."""

    def __init__(self, handle, size, kind):
        self.handle, self.size, self.kind = handle, size, kind
        self.references, self.mappings, self.exported = 1, 0, False


class Account:
    """events: what must have been told, as a multiset. soft: frees that a descriptor may delay or hinder. repeated: failures without a
    context that the same thread then did away with. created: by which call an address came to be, for the records of CUPTI that do
    not say it. ends: when contexts ended."""

    def __init__(self, calls):
        self.events, self.soft, self.devices = collections.Counter(), collections.Counter(), collections.Counter()
        self.created, self.ends = collections.defaultdict(list), []
        self.blocks = collections.defaultdict(list)  # address -> (size, kind), oldest first
        self.doubted = set()  # addresses of blocks that may have gone with a context
        self.opened = collections.Counter()
        self.handles, self.mappings = {}, {}
        self.array_bytes = []
        self.refused, self.repeated = {}, collections.Counter()
        for call in calls:
            self.apply(call)

    def apply(self, call):
        if call.name in CONTEXT_ENDS:
            self.ends.append((call.enter, call.leave))
            self.doubted.update(self.blocks)
        self.note_repeated(call)
        if call.result:
            self.failed(call)
        elif call.name in BLOCKS:
            self.block_made(call)
        elif call.name in FREES:
            self.freed(call)
        elif call.name in OPENS:
            self.opens(call)
        elif call.name in EXPORTS:
            self.exported(call)
        else:
            getattr(self, call.name, lambda call: None)(call)

    def note_repeated(self, call):
        """A runtime's first call may find no context; it makes one, and calls again."""
        request = (call.name, call.fields.get("size"), call.fields.get("addr") if call.name in FREES else None)
        if self.refused.pop(call.tid, None) == request and not call.result:
            what = "free_failed" if call.name in FREES else "alloc_failed"
            self.repeated[what, request[2], request[1], INVALID_CONTEXT] += 1
        if call.result == INVALID_CONTEXT:
            self.refused[call.tid] = request

    def failed(self, call):
        if call.name in FAILED_ALLOCATIONS:
            if call.name.startswith("cuGraphAddNode") and "size" not in call.fields:
                return
            size = None if BLOCKS.get(call.name) in SIZELESS_FAILURES else call.fields.get("size")
            self.events["alloc_failed", None, size, call.result] += 1
        elif call.name in FAILED_FREES and call.fields["addr"]:
            self.events["free_failed", call.fields["addr"], None, call.result] += 1

    def told(self, call, address, size, kind):
        self.events["alloc", address, size, kind] += 1
        self.created[address].append((call.enter, kind))

    def block_made(self, call):
        kind, fields = BLOCKS[call.name], call.fields
        address = fields.get("addr", 0)
        if not address:
            return  # nothing was asked for, or the node is of another sort
        size = extent_bytes(fields) if kind == "array" else fields.get("size")
        if kind == "array" and fields["flags"] & (SPARSE | DEFERRED):
            kind = "array virtual"
        elif kind == "array":
            self.array_bytes.append(size)
        if fields.get("capturing"):
            kind = "graph"
        if kind == "imported":
            size = None
        self.put(address, size, kind)
        self.told(call, address, size, kind)
        if "device" in fields and kind in ("device", "array", "array virtual"):
            self.devices[address, size, fields["device"]] += 1

    def put(self, address, size, kind):
        """What else is there is being freed by another thread, or has gone without a call: with a context, or within a graph."""
        there = [] if address in self.doubted else [block for block in self.blocks[address] if block[1] != "graph"]
        self.doubted.discard(address)
        self.blocks[address] = [*there, (size, kind)]

    def freed(self, call):
        address = call.fields["addr"]
        if not address:
            return
        if call.fields.get("capturing"):
            return  # becomes a node: the address goes with the graph
        if not self.blocks[address]:
            self.events["free_unmatched", address, None, None] += 1
            return
        size, kind = self.blocks[address].pop(0)
        self.events["free", address, size, kind] += 1

    def opens(self, call):
        address = call.fields["addr"]
        if not self.opened[address]:
            self.told(call, address, None, "imported")
        self.opened[address] += 1

    def cuIpcCloseMemHandle(self, call):
        address = call.fields["addr"]
        self.opened[address] -= 1
        if not self.opened[address]:
            self.events["free", address, None, "imported"] += 1

    def base_of(self, address):
        """Of the block in which the address lies; itself where there is none."""
        for base, blocks in self.blocks.items():
            if any(base <= address < base + size for size, _kind in blocks):
                return base
        return address

    def exported(self, call):
        address = call.fields["addr"]
        known = self.handles.get(address)
        if call.name != "cuMemExportToShareableHandle":
            address = self.base_of(address)
            known = known or self.blocks[address]
        elif known and call.fields["type"] == DESCRIPTOR:
            known.exported = True
        if known:
            self.events["export", address, None, None] += 1

    def cuMemCreate(self, call):
        fields = call.fields
        self.handles[fields["addr"]] = Object(fields["addr"], fields["size"], "vmm")
        self.told(call, fields["addr"], fields["size"], "vmm")
        if fields["location"] == DEVICE_LOCATION:
            self.devices[fields["addr"], fields["size"], fields["at"]] += 1

    def cuMemImportFromShareableHandle(self, call):
        handle = call.fields["addr"]
        known = self.handles.get(handle)
        if known and known.references:
            known.references += 1
            return
        self.handles[handle] = Object(handle, None, "imported")
        self.told(call, handle, None, "imported")

    def cuMemMap(self, call):
        fields = call.fields
        known = self.handles.get(fields["handle"])
        self.events["map", fields["addr"], fields["size"], fields["offset"]] += 1
        self.created[fields["addr"]].append((call.enter, "mapping"))
        self.mappings[fields["addr"]] = (fields["size"], known)
        if known:
            known.mappings += 1

    def cuMemUnmap(self, call):
        first, end = call.fields["addr"], call.fields["addr"] + call.fields["size"]
        for address in sorted(address for address in self.mappings if first <= address < end):
            size, known = self.mappings.pop(address)
            self.events["unmap", address, size, None] += 1
            if known:
                known.mappings -= 1
                self.check(known)

    def cuMemRelease(self, call):
        known = self.handles.get(call.fields["addr"])
        if known:
            known.references -= 1
            self.check(known)

    def cuMemRetainAllocationHandle(self, call):
        of = call.fields["of"]
        for address, (size, known) in self.mappings.items():
            if known and address <= of < address + size:
                known.references += 1
                self.handles[call.fields["addr"]] = known

    def check(self, known):
        if not known.references and not known.mappings:
            events = self.soft if known.exported else self.events
            events["free", known.handle, known.size, known.kind] += 1

    def maker(self, address, stamp):
        """The kind of what last came to be at the address, or None."""
        kinds = [kind for enter, kind in self.created.get(address, ()) if enter <= stamp]
        return kinds[-1] if kinds else None

    def ending(self, stamp):
        return any(enter <= stamp <= leave for enter, leave in self.ends)
