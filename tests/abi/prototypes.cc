// SPDX-License-Identifier: Apache-2.0
// What bpf/shapes.bpf.h takes for granted of the order of arguments, against NVIDIA's headers. Compiled, never run; by check-headers,
// once per layer (LAYER_DRIVER or not) and way to include the headers, with ROWS, the rows of probes.def that this combination
// declares, ERRORS, errors.def, and TAKEN, see layouts.h.
// C++, for a template can look at the arguments of any prototype.
#include <cstddef>
#include <type_traits>

#ifdef LAYER_DRIVER
#include <cuda.h>
#else
#include <cuda_runtime_api.h>
#endif
#include "probe/table.h"

// What one argument may be. A register holds each of these whole; only what is so told by its name lies on the stack (x86-64).
template <typename T>
constexpr bool is_plain = std::is_integral<T>::value || std::is_enum<T>::value || std::is_pointer<T>::value;
template <typename T, typename S>
constexpr bool is_pointer_to = std::is_same<std::remove_const_t<std::remove_pointer_t<T>>, S>::value;

template <typename T> struct any : std::bool_constant<is_plain<T>> {
};
template <typename T> struct pointer : std::is_pointer<T> {
};
template <typename T> struct word : std::bool_constant<is_plain<T> && !std::is_enum<T>::value && sizeof(T) == 8> {
};
template <typename T> struct size : std::is_same<T, size_t> {
};
template <typename T> struct number : std::bool_constant<is_plain<T> && sizeof(T) == 4> {
};
// What it points to is read, or written by the call.
template <typename T> struct out : std::false_type {
};
template <typename T> struct out<T *> : word<T> {
};
template <typename T> struct out_size : std::is_same<T, size_t *> {
};
template <typename T>
constexpr bool is_handle = std::is_class<T>::value && sizeof(T) == 64 && std::is_trivially_copyable<T>::value;
template <typename T> struct handle : std::bool_constant<is_handle<T>> {
};
template <typename T>
struct handle_at
    : std::bool_constant<std::is_pointer<T>::value && is_handle<std::remove_cv_t<std::remove_pointer_t<T>>>> {
};
template <typename T> struct bytes_16 : std::bool_constant<sizeof(std::remove_pointer_t<T>) == 16> {
};
template <> struct bytes_16<void *> : std::false_type {
};

template <typename... Args> struct list {
};
template <typename L, template <typename> class... Want> struct begins : std::bool_constant<sizeof...(Want) == 0> {
};
template <typename A, typename... Args, template <typename> class W, template <typename> class... Want>
struct begins<list<A, Args...>, W, Want...> : std::bool_constant<W<A>::value && begins<list<Args...>, Want...>::value> {
};

// Calls return one of the numbers of errors.def, in 32 bits.
template <typename R> constexpr bool is_result = sizeof(R) == 4 && std::is_enum<R>::value;

template <typename F, template <typename> class... Want> struct starts : std::false_type {
};
template <typename R, typename... Args, template <typename> class... Want>
struct starts<R(Args...), Want...> : std::bool_constant<is_result<R> && begins<list<Args...>, Want...>::value> {
};

template <typename F, template <typename> class... Want> struct takes : std::false_type {
};
template <typename R, typename... Args, template <typename> class... Want>
struct takes<R(Args...), Want...>
    : std::bool_constant<sizeof...(Args) == sizeof...(Want) && starts<R(Args...), Want...>::value> {
};

#include "layouts.h"

#define SHAPE(name, ...) template <typename F> constexpr bool name = __VA_ARGS__

SHAPE(OUT_SIZE, takes<F, out, size>::value || takes<F, out, size, number>::value);
SHAPE(OUT_SIZE_STREAM, takes<F, out, size, pointer>::value);
SHAPE(OUT_SIZE_POOL, takes<F, out, size, pointer, pointer>::value);
SHAPE(OUT_PITCH, starts<F, out, out_size, size, size>::value);
SHAPE(ADDR, starts<F, word>::value);
SHAPE(ADDR_STREAM, takes<F, word, pointer>::value);
SHAPE(ADDR_SIZE, takes<F, word, size>::value || takes<F, word, size, number>::value);
SHAPE(DEVICE, takes<F, number>::value);
SHAPE(PID, starts<F, number>::value);
SHAPE(OUT, starts<F, out>::value);
SHAPE(OUT_FOR, takes<F, out, word>::value || takes<F, out, number>::value);
SHAPE(OUT_3, takes<F, out, any, number>::value);
SHAPE(OUT_4, takes<F, out, any, any, number>::value);
SHAPE(OUT_5, takes<F, out, any, any, any, number>::value);
SHAPE(ADDR_OUT, takes<F, word, out>::value);
SHAPE(SHARE_OUT, starts<F, pointer, word, number>::value);
SHAPE(SHARE_IN, starts<F, out, pointer, number>::value);
SHAPE(TOKEN_OUT, takes<F, handle_at, word>::value);
SHAPE(TOKEN_VALUE, takes<F, out, handle, number>::value);
SHAPE(TOKEN_IN, takes<F, out, pointer, handle_at>::value);
SHAPE(NODE_FREE, takes<F, out, pointer, pointer, size, word>::value);
SHAPE(OUT_BUFFER, takes<F, out, pointer, buffer_desc_at>::value);
SHAPE(EXTERNAL, takes<F, out, external_desc_at>::value);
SHAPE(NODE_ALLOC, takes<F, out, pointer, pointer, size, alloc_node_at>::value);
SHAPE(OUT_PROP, takes<F, out, pool_prop_at>::value);
SHAPE(NONE, true);
#ifdef LAYER_DRIVER
SHAPE(ARRAY, takes<F, out, array_desc_at>::value);
SHAPE(ARRAY3D, takes<F, out, array3d_desc_at>::value);
SHAPE(MIPMAP, takes<F, out, array3d_desc_at, number>::value);
SHAPE(OUT_SIZE_PROP, starts<F, out, size, prop_at>::value);
SHAPE(OUT_MULTICAST, takes<F, out, multicast_prop_at>::value);
SHAPE(OUT_LOCATION, takes<F, out, location_at, number>::value);
SHAPE(MAP, starts<F, word, size, size, word>::value);
SHAPE(NODE_4, takes<F, out, pointer, pointer, size, node_at>::value);
SHAPE(NODE_5, takes<F, out, pointer, pointer, pointer, size, node_at>::value);
SHAPE(ADVISE, takes<F, word, size, number, number>::value);
SHAPE(ADVISE_AT, takes<F, word, size, number, location>::value);
SHAPE(PREFETCH, takes<F, word, size, number, pointer>::value);
SHAPE(PREFETCH_AT, takes<F, word, size, location, number, pointer>::value);
SHAPE(ATTRIBUTE, takes<F, pointer, number, pointer>::value || takes<F, number, number, pointer>::value);
SHAPE(UUID, takes<F, bytes_16, number>::value);
#else
SHAPE(OUT_PITCHED_PTR, takes<F, pitched_at, extent>::value);
SHAPE(RT_ARRAY, takes<F, out, channel_desc_at, size, size, number>::value);
SHAPE(RT_ARRAY3D, takes<F, out, channel_desc_at, extent, number>::value);
SHAPE(RT_MIPMAP, takes<F, out, channel_desc_at, extent, number, number>::value);
#endif

#define PROBE(symbol, layer, shape, op, kind)                                                                          \
	static_assert(shape<decltype(symbol)>, #symbol ": its prototype is not of shape " #shape);
#include ROWS

#ifdef LAYER_DRIVER
#define DRIVER(check) check
#define RUNTIME(check)
#else
#define DRIVER(check)
#define RUNTIME(check) check
#endif
#define ERROR(layer, number, name) layer(static_assert(number == name, #name " is another number");)
#include ERRORS
