# SPDX-License-Identifier: Apache-2.0
"""A program that calls the CUDA runtime as stdin tells it, one command a line, and answers each with one line.

  load [FILE]            dlopen the runtime (libcudart.so.13); the last one loaded is used from then on
  malloc|managed|host|async BYTES [COUNT]   answers "RESULT ADDRESS"; of COUNT calls the last
  free|freehost|freeasync ADDRESS           answers "RESULT"
  hostalloc|pitch|volume|pool BYTES [COUNT] cudaHostAlloc, cudaMallocPitch, cudaMalloc3D (one row), cudaMallocFromPoolAsync
  driver-malloc BYTES    cuMemAlloc_v2 by itself
  device N | reset       cudaSetDevice, cudaDeviceReset; answers "RESULT"
  thread COMMAND         the same on a new thread
  together THREADS BYTES COUNT   that many threads at once, each allocates COUNT times and frees every other block
  fork COMMAND           a forked child does it and exits; answers the child's exit status
  spawn                  a forked child that runs this program anew from the same stdin; ends when it ends
  exec                   this program again, in the same process
  exit STATUS | abort
"""
import ctypes
import os
import sys
import threading

FILE = os.path.abspath(__file__)
runtime = None
driver = None
ALLOCATIONS = {"malloc": "cudaMalloc", "managed": "cudaMallocManaged", "host": "cudaMallocHost", "async": "cudaMallocAsync",
               "hostalloc": "cudaHostAlloc", "pool": "cudaMallocFromPoolAsync", "driver-malloc": "cuMemAlloc_v2",
               "pitch": "cudaMallocPitch", "volume": "cudaMalloc3D"}
MORE = {"managed": (ctypes.c_uint(1),), "async": (None,), "hostalloc": (ctypes.c_uint(0),), "pool": (None, None)}
FREES = {"free": "cudaFree", "freehost": "cudaFreeHost", "freeasync": "cudaFreeAsync", "driver-free": "cuMemFree_v2"}


def load(name="libcudart.so.13"):
    global runtime, driver
    runtime = ctypes.CDLL(name)
    driver = None
    return "loaded"


def function(name):
    global driver
    if not name.startswith("cuda"):
        driver = driver or ctypes.CDLL("libcuda.so.1")
        return getattr(driver, name)
    return getattr(runtime, name)


class Extent(ctypes.Structure):
    _fields_ = [("width", ctypes.c_size_t), ("height", ctypes.c_size_t), ("depth", ctypes.c_size_t)]


def arguments_of(name, address, size):
    if name == "pitch":
        return ctypes.byref(address), ctypes.byref(ctypes.c_size_t()), ctypes.c_size_t(size), ctypes.c_size_t(1)
    if name == "volume":
        return ctypes.byref(address), Extent(size, 1, 1)
    return (ctypes.byref(address), ctypes.c_size_t(size), *MORE.get(name, ()))


def allocate(name, size, count=1):
    call = function(ALLOCATIONS[name])
    for _ in range(int(count)):
        address = (ctypes.c_uint64 * 4)()  # as large as a cudaPitchedPtr, whose first member is the address
        result = call(*arguments_of(name, address, int(size)))
    return "%d 0x%x" % (result, address[0])


def free(name, address):
    arguments = (None,) if name == "freeasync" else ()
    return str(function(FREES[name])(ctypes.c_void_p(int(address, 16)), *arguments))


def set_device(number):
    return str(function("cudaSetDevice")(int(number)))


def reset():
    return str(function("cudaDeviceReset")())


def together(threads, size, count):
    def work():
        for turn in range(int(count)):
            answer = allocate("malloc", int(size) + turn).split()
            if answer[0] == "0" and turn % 2:
                free("free", answer[1])
    workers = [threading.Thread(target=work) for _ in range(int(threads))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return "done"


def on_thread(*command):
    answers = []
    worker = threading.Thread(target=lambda: answers.append(perform(list(command))))
    worker.start()
    worker.join()
    return answers[0]


def forked(*command):
    child = os.fork()
    if not child:
        try:
            perform(list(command))
        finally:
            os._exit(7)
    return str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def again():
    os.execv("/usr/bin/python3", ["/usr/bin/python3", "-B", FILE])


def spawn():
    child = os.fork()
    if not child:
        again()
    os.waitpid(child, 0)
    return "ended"


def perform(words):
    name, rest = words[0], words[1:]
    if name in ALLOCATIONS:
        return allocate(name, *rest)
    if name in FREES:
        return free(name, *rest)
    if name == "exit":
        os._exit(int(rest[0]))
    return {"load": load, "device": set_device, "reset": reset, "thread": on_thread, "together": together, "fork": forked, "spawn": spawn, "exec": again,
            "abort": os.abort}[name](*rest)


def main():
    # Unbuffered and byte by byte: what follows a spawn or exec is for the next program to read.
    line = b""
    while True:
        byte = os.read(0, 1)
        if byte == b"\n":
            print(perform(line.decode().split()), flush=True)
        line = b"" if byte == b"\n" else line + byte
        if not byte:
            return


main()
