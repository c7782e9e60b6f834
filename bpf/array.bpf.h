/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * The bytes of an array, computed from its extent: the driver tells no size but that of a deferred one. It rounds up: how much, no
 * manual says. Formats and layouts: CUarray_format, CUDA_ARRAY_DESCRIPTOR, CUDA_ARRAY3D_DESCRIPTOR of cuda.h, cudaChannelFormatDesc of
 * driver_types.h.
 */

/* No card takes a larger extent (H100: 2^17), nor more levels; and what is within them needs no more than 64 bits. */
#define EXTENT_MAX (1 << 18)
#define LEVELS_MAX 19
/* CUDA_ARRAY3D_LAYERED, _CUBEMAP: depth counts layers or faces, which do not shrink with the level */
#define ARRAY_LAYERED 1
#define ARRAY_CUBEMAP 4

struct array_desc { /* CUDA_ARRAY3D_DESCRIPTOR; CUDA_ARRAY_DESCRIPTOR is the same without depth and flags */
	__u64 extent[3];
	__u32 format;
	__u32 channels;
	__u32 flags;
	__u32 pad;
};

struct array_desc_2d {
	__u64 extent[2];
	__u32 format;
	__u32 channels;
};

/* Of one channel; 0: a format of several planes or that we do not know. */
static __always_inline __u32 format_bits(__u32 format)
{
	switch (format) {
	case 0x01: /* UNSIGNED_INT8 */
	case 0x08:
	case 0xc0: /* UNORM_INT8X1, X2, X4: the channels are told besides */
	case 0xc1:
	case 0xc2:
	case 0xc6: /* SNORM_INT8 */
	case 0xc7:
	case 0xc8:
		return 8;
	case 0x02:
	case 0x09:
	case 0x10: /* HALF */
	case 0xc3: /* UNORM_INT16 */
	case 0xc4:
	case 0xc5:
	case 0xc9: /* SNORM_INT16 */
	case 0xca:
	case 0xcb:
		return 16;
	case 0x03:
	case 0x0a:
	case 0x20: /* FLOAT */
		return 32;
	default:
		return 0;
	}
}

/* Of one element of all channels. Block-compressed ones have 4 x 4 elements in 8 bytes (BC1, BC4) or 16; their channels do not count. */
static __always_inline __u64 element_bits(__u32 format, __u32 channels)
{
	if (format == 0x91 || format == 0x92 || format == 0x97 || format == 0x98) /* BC1, BC1_SRGB, BC4 */
		return 4;
	if (format >= 0x91 && format <= 0x9e)
		return 8;
	if (format == 0x50) /* UNORM_INT_101010_2 */
		return 32;
	return (__u64)format_bits(format) * channels;
}

/* Without a branch: the verifier follows each of them through all levels. */
static __always_inline __u64 at_least_1(__u64 extent)
{
	return extent | (extent - 1) >> 63;
}

static __always_inline __u64 level_bytes(const struct array_desc *desc, __u64 bits, __u32 level, __u32 level_of_depth)
{
	return at_least_1(desc->extent[0] >> level) * at_least_1(desc->extent[1] >> level) *
	       at_least_1(desc->extent[2] >> level_of_depth) * bits / 8;
}

static __always_inline __u64 array_bytes(const struct array_desc *desc, __u64 bits, __u32 levels)
{
	__u32 shrinks = desc->flags & (ARRAY_LAYERED | ARRAY_CUBEMAP) ? 0 : ~0u;
	__u64 sum = 0;

	if (desc->extent[0] > EXTENT_MAX || desc->extent[1] > EXTENT_MAX || desc->extent[2] > EXTENT_MAX)
		return 0;
	for (__u32 level = 0; level < LEVELS_MAX; level++) {
		if (level >= levels)
			break;
		sum += level_bytes(desc, bits, level, level & shrinks);
	}
	return sum;
}

/* cudaChannelFormatDesc: the bits of each channel, and what they mean. */
static __always_inline int read_runtime_array(__u8 shape, const struct call *call, struct array_desc *desc, __u64 *bits)
{
	__s32 channel[4] = {};
	int err = bpf_probe_read_user(channel, sizeof(channel), (const void *)call->arg[1]);

	*bits = (__u64)(__u32)channel[0] + (__u32)channel[1] + (__u32)channel[2] + (__u32)channel[3];
	if (*bits > 128)
		*bits = 0;
	if (shape == VT_SHAPE_RT_ARRAY) {
		desc->extent[0] = call->arg[2];
		desc->extent[1] = call->arg[3];
		desc->flags = (__u32)call->arg[4];
		return err;
	}
	desc->extent[0] = call->arg[3];
	desc->extent[1] = call->arg[4];
	desc->extent[2] = call->arg[5];
	desc->flags = shape == VT_SHAPE_RT_MIPMAP ? (__u32)(call->arg[2] >> 32) : (__u32)call->arg[2];
	return err;
}

static __always_inline int read_driver_array(__u8 shape, const struct call *call, struct array_desc *desc, __u64 *bits)
{
	struct array_desc_2d flat = {};
	int err;

	if (shape == VT_SHAPE_ARRAY) {
		err = bpf_probe_read_user(&flat, sizeof(flat), (const void *)call->arg[1]);
		desc->extent[0] = flat.extent[0];
		desc->extent[1] = flat.extent[1];
		desc->format = flat.format;
		desc->channels = flat.channels;
	} else {
		err = bpf_probe_read_user(desc, sizeof(*desc), (const void *)call->arg[1]);
	}
	*bits = element_bits(desc->format, desc->channels);
	if (*bits > 128)
		*bits = 0;
	return err;
}

static __always_inline bool is_array(__u8 shape)
{
	return shape >= VT_SHAPE_ARRAY && shape <= VT_SHAPE_RT_MIPMAP;
}

static __always_inline int read_array(__u8 shape, const struct call *call, struct outcome *outcome)
{
	struct array_desc desc = {};
	__u32 levels = 1;
	__u64 bits = 0;
	int err;

	if (shape >= VT_SHAPE_RT_ARRAY)
		err = read_runtime_array(shape, call, &desc, &bits);
	else
		err = read_driver_array(shape, call, &desc, &bits);
	if (shape == VT_SHAPE_MIPMAP || shape == VT_SHAPE_RT_MIPMAP)
		levels = (__u32)call->arg[2];
	outcome->size = array_bytes(&desc, bits, levels);
	outcome->a = desc.flags;
	outcome->b = levels;
	return err;
}
