// SPDX-License-Identifier: Apache-2.0
// Structures and numbers of NVIDIA's headers as the product has them: TAKEN holds the #defines, the structures and the table of formats
// of bpf/, as they stand there (check-headers); the numbers of probe.h are its own. Part of prototypes.cc.
#pragma once
#include <linux/types.h>
#include TAKEN

#define SAME(theirs, member, ours, field)                                                                              \
	static_assert(offsetof(theirs, member) == offsetof(ours, field) &&                                             \
			      sizeof(theirs::member) == sizeof(ours::field),                                           \
		      #theirs "::" #member " is not " #ours "::" #field)
#define AT(theirs, member, at, bytes)                                                                                  \
	static_assert(offsetof(theirs, member) == (at) && sizeof(theirs::member) == (bytes),                           \
		      #theirs "::" #member " is not at " #at)
#define IS(ours, theirs) static_assert((ours) == (theirs), #ours " is not " #theirs)

// An argument that points to one of these, or is one.
#define STRUCT_AT(name, theirs)                                                                                        \
	template <typename T> struct name : std::bool_constant<is_pointer_to<T, theirs>> {                             \
	}
#define STRUCT(name, theirs)                                                                                           \
	template <typename T> struct name : std::is_same<T, theirs> {                                                  \
	}

#ifdef LAYER_DRIVER
STRUCT_AT(array_desc_at, CUDA_ARRAY_DESCRIPTOR);
STRUCT_AT(array3d_desc_at, CUDA_ARRAY3D_DESCRIPTOR);
STRUCT_AT(prop_at, CUmemAllocationProp);
STRUCT_AT(pool_prop_at, CUmemPoolProps);
STRUCT_AT(multicast_prop_at, CUmulticastObjectProp);
STRUCT_AT(location_at, CUmemLocation);
STRUCT(location, CUmemLocation);
STRUCT_AT(node_at, CUgraphNodeParams);
STRUCT_AT(alloc_node_at, CUDA_MEM_ALLOC_NODE_PARAMS);
STRUCT_AT(external_desc_at, CUDA_EXTERNAL_MEMORY_HANDLE_DESC);
STRUCT_AT(buffer_desc_at, CUDA_EXTERNAL_MEMORY_BUFFER_DESC);

static_assert(sizeof(CUdeviceptr) == 8, "an address is read as 8 bytes");
IS(CUDA_OUT_OF_MEMORY, CUDA_ERROR_OUT_OF_MEMORY);

SAME(CUDA_ARRAY_DESCRIPTOR, Width, array_desc_2d, extent[0]);
SAME(CUDA_ARRAY_DESCRIPTOR, Height, array_desc_2d, extent[1]);
SAME(CUDA_ARRAY_DESCRIPTOR, Format, array_desc_2d, format);
SAME(CUDA_ARRAY_DESCRIPTOR, NumChannels, array_desc_2d, channels);
SAME(CUDA_ARRAY3D_DESCRIPTOR, Width, array_desc, extent[0]);
SAME(CUDA_ARRAY3D_DESCRIPTOR, Height, array_desc, extent[1]);
SAME(CUDA_ARRAY3D_DESCRIPTOR, Depth, array_desc, extent[2]);
SAME(CUDA_ARRAY3D_DESCRIPTOR, Format, array_desc, format);
SAME(CUDA_ARRAY3D_DESCRIPTOR, NumChannels, array_desc, channels);
SAME(CUDA_ARRAY3D_DESCRIPTOR, Flags, array_desc, flags);
IS(sizeof(array_desc_2d), sizeof(CUDA_ARRAY_DESCRIPTOR));
IS(sizeof(array_desc), sizeof(CUDA_ARRAY3D_DESCRIPTOR));
IS(ARRAY_LAYERED, CUDA_ARRAY3D_LAYERED);
IS(ARRAY_CUBEMAP, CUDA_ARRAY3D_CUBEMAP);
IS(VT_ARRAY_SPARSE, CUDA_ARRAY3D_SPARSE);
IS(VT_ARRAY_DEFERRED, CUDA_ARRAY3D_DEFERRED_MAPPING);

#define FORMAT(name, channels, bits) IS(element_bits(CU_AD_FORMAT_##name, channels), bits);
#include "formats.def"

AT(CUmemLocation, type, 0, 4);
AT(CUmemLocation, id, 4, 4);
IS(sizeof(CUmemLocation), 8);
SAME(CUmemAllocationProp, requestedHandleTypes, prop, handle_types);
SAME(CUmemAllocationProp, location, prop, location);
SAME(CUmemPoolProps, handleTypes, prop, handle_types);
SAME(CUmemPoolProps, location, prop, location);
AT(CUmulticastObjectProp, size, MULTICAST_SIZE, 8);
IS(VT_LOCATION_DEVICE, CU_MEM_LOCATION_TYPE_DEVICE);
IS(VT_LOCATION_HOST, CU_MEM_LOCATION_TYPE_HOST);
IS(VT_LOCATION_HOST_NUMA, CU_MEM_LOCATION_TYPE_HOST_NUMA);
IS(VT_LOCATION_HOST_NUMA_CURRENT, CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT);
IS(location_of_device(CU_DEVICE_CPU), (__u64)CU_MEM_LOCATION_TYPE_HOST);
IS(location_of_device(3), CU_MEM_LOCATION_TYPE_DEVICE | 3ull << 32);

AT(CUDA_EXTERNAL_MEMORY_BUFFER_DESC, size, BUFFER_SIZE, 8);
SAME(CUDA_EXTERNAL_MEMORY_HANDLE_DESC, type, external_desc, type);
SAME(CUDA_EXTERNAL_MEMORY_HANDLE_DESC, handle.fd, external_desc, fd);
SAME(CUDA_EXTERNAL_MEMORY_HANDLE_DESC, size, external_desc, size);
IS(EXTERNAL_TYPE_FD, CU_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD);
IS(VT_HANDLE_TYPE_FD, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR);
IS(VT_HANDLE_TYPE_FABRIC, CU_MEM_HANDLE_TYPE_FABRIC);
IS(sizeof(CUmemFabricHandle), HANDLE_WORDS * 8);
IS(sizeof(CUipcMemHandle), HANDLE_WORDS * 8);
IS(sizeof(CUmemPoolPtrExportData), HANDLE_WORDS * 8);

AT(CUDA_MEM_ALLOC_NODE_PARAMS, bytesize, NODE_BYTESIZE, 8);
AT(CUDA_MEM_ALLOC_NODE_PARAMS, dptr, NODE_DPTR, 8);
AT(CUgraphNodeParams, type, 0, 4);
AT(CUgraphNodeParams, alloc.bytesize, NODE_UNION + NODE_BYTESIZE, 8);
AT(CUgraphNodeParams, alloc.dptr, NODE_UNION + NODE_DPTR, 8);
AT(CUgraphNodeParams, free.dptr, NODE_UNION, 8);
IS(VT_NODE_MEM_ALLOC, CU_GRAPH_NODE_TYPE_MEM_ALLOC);
IS(VT_NODE_MEM_FREE, CU_GRAPH_NODE_TYPE_MEM_FREE);
IS(VT_GRAPH_USED, CU_GRAPH_MEM_ATTR_USED_MEM_CURRENT);
IS(VT_GRAPH_RESERVED, CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT);

// Counters of 64 bits from here to there; those before are of other widths.
IS(VT_POOL_RESERVED, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT);
IS(VT_POOL_USED, CU_MEMPOOL_ATTR_USED_MEM_CURRENT);
IS(POOL_COUNTERS_FROM, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT);
IS(POOL_COUNTERS_TO, CU_MEMPOOL_ATTR_USED_MEM_HIGH);
IS(ADVICE_SET_PREFERRED, CU_MEM_ADVISE_SET_PREFERRED_LOCATION);
IS(ADVICE_UNSET_PREFERRED, CU_MEM_ADVISE_UNSET_PREFERRED_LOCATION);
IS(WRONG_THREAD, CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD);
#else
STRUCT_AT(channel_desc_at, cudaChannelFormatDesc);
STRUCT_AT(pitched_at, cudaPitchedPtr);
STRUCT(extent, cudaExtent);
STRUCT_AT(pool_prop_at, cudaMemPoolProps);
STRUCT_AT(alloc_node_at, cudaMemAllocNodeParams);
STRUCT_AT(external_desc_at, cudaExternalMemoryHandleDesc);
STRUCT_AT(buffer_desc_at, cudaExternalMemoryBufferDesc);

IS(CUDA_OUT_OF_MEMORY, cudaErrorMemoryAllocation);
AT(cudaPitchedPtr, ptr, 0, 8); // its head is read: ptr, pitch
AT(cudaPitchedPtr, pitch, 8, 8);
static_assert(sizeof(cudaExtent) == 24 && std::is_trivially_copyable<cudaExtent>::value,
	      "by value: on the stack (x86-64)");
AT(cudaExtent, width, 0, 8); // read as three words
AT(cudaExtent, height, 8, 8);
AT(cudaExtent, depth, 16, 8);
AT(cudaChannelFormatDesc, x, 0, 4); // read as four numbers
AT(cudaChannelFormatDesc, y, 4, 4);
AT(cudaChannelFormatDesc, z, 8, 4);
AT(cudaChannelFormatDesc, w, 12, 4);
IS(ARRAY_LAYERED, cudaArrayLayered);
IS(ARRAY_CUBEMAP, cudaArrayCubemap);
IS(VT_ARRAY_SPARSE, cudaArraySparse);
IS(VT_ARRAY_DEFERRED, cudaArrayDeferredMapping);
AT(cudaMemLocation, type, 0, 4);
AT(cudaMemLocation, id, 4, 4);
SAME(cudaMemPoolProps, handleTypes, prop, handle_types);
SAME(cudaMemPoolProps, location, prop, location);
IS(VT_LOCATION_DEVICE, cudaMemLocationTypeDevice);
IS(VT_LOCATION_HOST, cudaMemLocationTypeHost);
IS(VT_LOCATION_HOST_NUMA, cudaMemLocationTypeHostNuma);
IS(VT_LOCATION_HOST_NUMA_CURRENT, cudaMemLocationTypeHostNumaCurrent);
AT(cudaExternalMemoryBufferDesc, size, BUFFER_SIZE, 8);
SAME(cudaExternalMemoryHandleDesc, type, external_desc, type);
SAME(cudaExternalMemoryHandleDesc, handle.fd, external_desc, fd);
SAME(cudaExternalMemoryHandleDesc, size, external_desc, size);
IS(EXTERNAL_TYPE_FD, cudaExternalMemoryHandleTypeOpaqueFd);
IS(VT_HANDLE_TYPE_FD, cudaMemHandleTypePosixFileDescriptor);
IS(VT_HANDLE_TYPE_FABRIC, cudaMemHandleTypeFabric);
IS(sizeof(cudaIpcMemHandle_t), HANDLE_WORDS * 8);
IS(sizeof(cudaMemPoolPtrExportData), HANDLE_WORDS * 8);
AT(cudaMemAllocNodeParams, bytesize, NODE_BYTESIZE, 8);
AT(cudaMemAllocNodeParams, dptr, NODE_DPTR, 8);
#endif
