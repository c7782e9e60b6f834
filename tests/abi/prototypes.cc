// SPDX-License-Identifier: Apache-2.0
// What bpf/shapes.bpf.h takes for granted, against NVIDIA's headers. Compiled, never run; by check-headers, once per layer
// (LAYER_DRIVER or not) and stream mode, with ROWS, the rows of probes.def that this combination declares, and ERRORS, errors.def.
// C++, for a template can look at the first arguments of any prototype.
#include <cstddef>
#include <type_traits>

#ifdef LAYER_DRIVER
#include <cuda.h>
#else
#include <cuda_runtime_api.h>
#endif
#include "probe/table.h"

// What one argument register holds whole, and what a pointer that is read through points to.
template <typename T> constexpr bool is_word = sizeof(T) == 8 && (std::is_pointer<T>::value || std::is_integral<T>::value);

// Calls return one of the numbers of errors.def, in 32 bits.
template <typename R> constexpr bool is_result = sizeof(R) == 4 && std::is_enum<R>::value;

template <typename F> struct OUT_SIZE : std::false_type {};
template <typename R, typename Out, typename... Rest>
struct OUT_SIZE<R(Out *, size_t, Rest...)> : std::bool_constant<is_result<R> && is_word<Out>> {};

template <typename F> struct OUT_PITCH : std::false_type {};
template <typename R, typename Out, typename... Rest>
struct OUT_PITCH<R(Out *, size_t *, size_t, size_t, Rest...)> : std::bool_constant<is_result<R> && is_word<Out>> {};

template <typename F> struct ADDR : std::false_type {};
template <typename R, typename Address, typename... Rest>
struct ADDR<R(Address, Rest...)> : std::bool_constant<is_result<R> && is_word<Address>> {};

#ifdef LAYER_DRIVER
static_assert(sizeof(CUdeviceptr) == 8, "an address is read as 8 bytes");
static_assert(CUDA_OUT_OF_MEMORY == CUDA_ERROR_OUT_OF_MEMORY, "the driver's out of memory");
#define DRIVER(check) check
#define RUNTIME(check)
#else
template <typename F> struct OUT_PITCHED_PTR : std::false_type {};
template <typename R>
struct OUT_PITCHED_PTR<R(cudaPitchedPtr *, cudaExtent)> : std::bool_constant<is_result<R>> {};

static_assert(offsetof(cudaPitchedPtr, ptr) == 0 && offsetof(cudaPitchedPtr, pitch) == 8, "its head is read: ptr, pitch");
static_assert(sizeof(cudaPitchedPtr::ptr) == 8 && sizeof(cudaPitchedPtr::pitch) == 8, "as two words");
static_assert(sizeof(cudaExtent) == 24 && std::is_trivially_copyable<cudaExtent>::value, "by value: on the stack (x86-64)");
static_assert(offsetof(cudaExtent, width) == 0 && offsetof(cudaExtent, height) == 8 && offsetof(cudaExtent, depth) == 16,
	      "read as three words: width, height, depth");
static_assert(CUDA_OUT_OF_MEMORY == cudaErrorMemoryAllocation, "the runtime's out of memory");
#define DRIVER(check)
#define RUNTIME(check) check
#endif

#define PROBE(symbol, layer, shape, op, kind)                                                                          \
	static_assert(shape<decltype(symbol)>::value, #symbol ": its prototype is not of shape " #shape);
#include ROWS

#define ERROR(layer, number, name) layer(static_assert(number == name, #name " is another number");)
#include ERRORS
