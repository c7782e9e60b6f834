// SPDX-License-Identifier: Apache-2.0
/*
 * devices [hold]
 * All GPUs there are: blocks whose sizes tell their device, N + 1 MiB for the device N. Devices are switched between calls and
 * threads, memory is made by VMM location, by pool and by stream while another device is current, and freed under yet another.
 * hold: ends with all of it held.
 */
#include <pthread.h>
#include <stdbool.h>

#include "prog.h"
#include "prog_cuda.h"

#define DEVICES_MAX 16
#define PER_DEVICE 6

static int count;
static bool hold;
static void *blocks[DEVICES_MAX][PER_DEVICE];

static size_t size_of(int device)
{
	return (device + 1) * MIB;
}

static void use(int device)
{
	must(cudaSetDevice(device), "cudaSetDevice");
}

/* A device of the thread's own, whatever the others do. */
static void *in_thread(void *arg)
{
	int device = *(int *)arg;

	use(device);
	must(cudaMalloc(&blocks[device][1], size_of(device)), "cudaMalloc");
	return NULL;
}

/* No cudaSetDevice at all: the first device. */
static void *in_new_thread(void *arg)
{
	must(cudaMalloc(arg, size_of(0)), "cudaMalloc");
	must(cudaFree(*(void **)arg), "cudaFree");
	return NULL;
}

static void run_thread(void *(*run)(void *), void *arg)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, run, arg) || pthread_join(thread, NULL))
		exit(1);
}

/* Of @device's memory, while another is current. */
static void allocate_from_afar(int device)
{
	struct cudaMemPoolProps props;
	cudaMemPool_t pool;
	cudaStream_t stream;

	memset(&props, 0, sizeof(props));
	props.allocType = cudaMemAllocationTypePinned;
	props.location.type = cudaMemLocationTypeDevice;
	props.location.id = device;
	use(device);
	must(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
	use((device + 1) % count);
	must(cudaMemPoolCreate(&pool, &props), "cudaMemPoolCreate");
	must(cudaMallocFromPoolAsync(&blocks[device][2], size_of(device), pool, NULL), "cudaMallocFromPoolAsync");
	must(cudaMallocAsync(&blocks[device][3], size_of(device), stream), "cudaMallocAsync");
	must(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
}

static void create_from_afar(int device)
{
	CUmemAllocationProp prop = device_memory(device);
	CUmemGenericAllocationHandle handle;

	must_cu(cuMemCreate(&handle, 2 * size_of(device), &prop, 0), "cuMemCreate");
	if (!hold)
		must_cu(cuMemRelease(handle), "cuMemRelease");
}

static void free_all(void)
{
	for (int device = 0; device < count; device++) {
		use((device + count - 1) % count);
		for (int i = 0; i < PER_DEVICE; i++)
			must(cudaFree(blocks[device][i]), "cudaFree");
	}
}

int main(int argc, char **argv)
{
	void *unused;

	hold = argc > 1 && !strcmp(argv[1], "hold");
	must(cudaGetDeviceCount(&count), "cudaGetDeviceCount");
	if (count > DEVICES_MAX)
		count = DEVICES_MAX;
	must(cudaMalloc(&blocks[0][0], size_of(0)), "cudaMalloc"); /* implicitly the first */
	for (int device = count - 1; device > 0; device--) {
		use(device);
		must(cudaMalloc(&blocks[device][0], size_of(device)), "cudaMalloc");
	}
	run_thread(in_new_thread, &unused);
	for (int device = 0; device < count; device++) {
		run_thread(in_thread, &device);
		allocate_from_afar(device);
		create_from_afar(device);
		use(device);
		must(cudaMallocManaged(&blocks[device][4], size_of(device), cudaMemAttachGlobal), "cudaMallocManaged");
		must(cudaMalloc(&blocks[device][5], size_of(device)), "cudaMalloc");
	}
	if (hold)
		_exit(0);
	free_all();
	return 0;
}
