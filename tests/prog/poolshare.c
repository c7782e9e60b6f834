// SPDX-License-Identifier: Apache-2.0
/*
 * poolshare
 * A pool in two processes: the child makes a pool that can be exported and 16 MiB of it, and hands over a descriptor of the pool
 * and the words for the block; the parent imports both, and frees its view of the block first, as the interface demands.
 */
#include "prog.h"
#include "prog_share.h"

static void export_pool(int peer)
{
	struct cudaMemPoolPtrExportData words;
	struct cudaMemPoolProps props;
	cudaMemPool_t pool;
	int descriptor;
	void *block;

	memset(&props, 0, sizeof(props));
	props.allocType = cudaMemAllocationTypePinned;
	props.handleTypes = cudaMemHandleTypePosixFileDescriptor;
	props.location.type = cudaMemLocationTypeDevice;
	must(cudaMemPoolCreate(&pool, &props), "cudaMemPoolCreate");
	must(cudaMallocFromPoolAsync(&block, 16 * MIB, pool, NULL), "cudaMallocFromPoolAsync");
	must(cudaStreamSynchronize(NULL), "cudaStreamSynchronize");
	must(cudaMemPoolExportToShareableHandle(&descriptor, pool, cudaMemHandleTypePosixFileDescriptor, 0),
	     "cudaMemPoolExportToShareableHandle");
	must(cudaMemPoolExportPointer(&words, block), "cudaMemPoolExportPointer");
	send_descriptor(peer, descriptor);
	close(descriptor);
	send_bytes(peer, &words, sizeof(words));
	await_turn(peer); /* the importer has let go */
	must(cudaFreeAsync(block, NULL), "cudaFreeAsync");
	must(cudaStreamSynchronize(NULL), "cudaStreamSynchronize");
	must(cudaMemPoolDestroy(pool), "cudaMemPoolDestroy");
	exit(0);
}

static void import_pool(int peer, pid_t child)
{
	struct cudaMemPoolPtrExportData words;
	cudaMemPool_t pool;
	int descriptor = receive_descriptor(peer);
	void *block;

	receive_bytes(peer, &words, sizeof(words));
	must(cudaMemPoolImportFromShareableHandle(&pool, (void *)(long)descriptor, cudaMemHandleTypePosixFileDescriptor,
						  0),
	     "cudaMemPoolImportFromShareableHandle");
	close(descriptor);
	must(cudaMemPoolImportPointer(&block, pool, &words), "cudaMemPoolImportPointer");
	usleep(20000);
	must(cudaFreeAsync(block, NULL), "cudaFreeAsync");
	must(cudaStreamSynchronize(NULL), "cudaStreamSynchronize");
	must(cudaMemPoolDestroy(pool), "cudaMemPoolDestroy");
	send_turn(peer);
	must_say(child_status(child) == 0, "the exporter failed");
}

int main(void)
{
	share(export_pool, import_pool);
	return 0;
}
