// SPDX-License-Identifier: Apache-2.0
/*
 * pools [numa]
 * Stream-ordered memory: of the default pool, of a pool of its own, of one on the host; a pool that keeps what is freed and is
 * trimmed; one that is destroyed while a block of it lives; blocks that are freed by the call that is not of their kind.
 * numa: none of that, but a pool on a NUMA node of the host.
 */
#include "prog.h"

static cudaStream_t stream;

static cudaMemPool_t make_pool(enum cudaMemLocationType type)
{
	struct cudaMemPoolProps props;
	cudaMemPool_t pool;

	memset(&props, 0, sizeof(props));
	props.allocType = cudaMemAllocationTypePinned;
	props.location.type = type;
	must(cudaMemPoolCreate(&pool, &props), "cudaMemPoolCreate");
	return pool;
}

static void *take(size_t bytes, cudaMemPool_t pool)
{
	void *block;

	must(cudaMallocFromPoolAsync(&block, bytes, pool, stream), "cudaMallocFromPoolAsync");
	return block;
}

static void use_default_pool(void)
{
	void *block;

	must(cudaMallocAsync(&block, 40 * MIB, stream), "cudaMallocAsync");
	must(cudaFreeAsync(block, stream), "cudaFreeAsync");
	must(cudaMallocAsync(&block, 1000, NULL), "cudaMallocAsync");
	must(cudaFree(block), "cudaFree of pool memory");
	must(cudaMalloc(&block, MIB), "cudaMalloc");
	must(cudaFreeAsync(block, stream), "cudaFreeAsync of other memory");
	must(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
}

/* What the pool keeps is reserved, not used, until it is trimmed. */
static void keep_and_trim(void)
{
	cudaMemPool_t pool = make_pool(cudaMemLocationTypeDevice);
	unsigned long long keep = ~0ULL, reserved, used;

	must(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &keep), "cudaMemPoolSetAttribute");
	must(cudaFreeAsync(take(8 * MIB, pool), stream), "cudaFreeAsync");
	must(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
	must(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrReservedMemCurrent, &reserved), "cudaMemPoolGetAttribute");
	must(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrUsedMemCurrent, &used), "cudaMemPoolGetAttribute");
	if (reserved < 8 * MIB || used)
		fprintf(stderr, "pools: %llu reserved, %llu used\n", reserved, used);
	must(cudaMemPoolTrimTo(pool, 0), "cudaMemPoolTrimTo");
	must(cudaMemPoolDestroy(pool), "cudaMemPoolDestroy");
}

/* The pool is gone, its block is not. */
static void destroy_early(void)
{
	cudaMemPool_t pool = make_pool(cudaMemLocationTypeDevice);
	void *block = take(4 * MIB, pool);

	must(cudaMemPoolDestroy(pool), "cudaMemPoolDestroy");
	must(cudaFreeAsync(block, stream), "cudaFreeAsync");
	must(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
}

/* No memory of the GPU. */
static void use_host_pool(enum cudaMemLocationType type)
{
	cudaMemPool_t pool = make_pool(type);

	must(cudaFreeAsync(take(2 * MIB, pool), stream), "cudaFreeAsync");
	must(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
	must(cudaMemPoolDestroy(pool), "cudaMemPoolDestroy");
}

/* The default pool of a device, replaced. */
static void set_pool(void)
{
	cudaMemPool_t pool = make_pool(cudaMemLocationTypeDevice), before;
	void *block;

	must(cudaDeviceGetDefaultMemPool(&before, 0), "cudaDeviceGetDefaultMemPool");
	must(cudaDeviceSetMemPool(0, pool), "cudaDeviceSetMemPool");
	must(cudaMallocAsync(&block, 3 * MIB, stream), "cudaMallocAsync");
	must(cudaFreeAsync(block, stream), "cudaFreeAsync");
	must(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
	must(cudaDeviceSetMemPool(0, before), "cudaDeviceSetMemPool");
	must(cudaMemPoolDestroy(pool), "cudaMemPoolDestroy");
}

int main(int argc, char **argv)
{
	must(cudaStreamCreate(&stream), "cudaStreamCreate");
	if (argc > 1 && !strcmp(argv[1], "numa")) {
		use_host_pool(cudaMemLocationTypeHostNuma);
		return 0;
	}
	use_default_pool();
	keep_and_trim();
	destroy_early();
	use_host_pool(cudaMemLocationTypeHost);
	set_pool();
	must(cudaStreamDestroy(stream), "cudaStreamDestroy");
	return 0;
}
