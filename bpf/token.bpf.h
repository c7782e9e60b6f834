/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/* Tokens, see wire.h: SipHash-2-4 (Aumasson, Bernstein: "SipHash: a fast short-input PRF") with the key of this load. */

#define HANDLE_WORDS 8 /* CUipcMemHandle, CUmemPoolPtrExportData, CUmemFabricHandle */

struct sip {
	__u64 v0, v1, v2, v3;
};

static __always_inline __u64 rotate(__u64 word, int bits)
{
	return word << bits | word >> (64 - bits);
}

static __always_inline void sip_round(struct sip *sip)
{
	sip->v0 += sip->v1;
	sip->v1 = rotate(sip->v1, 13) ^ sip->v0;
	sip->v0 = rotate(sip->v0, 32);
	sip->v2 += sip->v3;
	sip->v3 = rotate(sip->v3, 16) ^ sip->v2;
	sip->v0 += sip->v3;
	sip->v3 = rotate(sip->v3, 21) ^ sip->v0;
	sip->v2 += sip->v1;
	sip->v1 = rotate(sip->v1, 17) ^ sip->v2;
	sip->v2 = rotate(sip->v2, 32);
}

static __always_inline void sip_word(struct sip *sip, __u64 word)
{
	sip->v3 ^= word;
	sip_round(sip);
	sip_round(sip);
	sip->v0 ^= word;
}

static __always_inline struct sip sip_begin(void)
{
	return (struct sip) {
		.v0 = settings.token_key[0] ^ 0x736f6d6570736575,
		.v1 = settings.token_key[1] ^ 0x646f72616e646f6d,
		.v2 = settings.token_key[0] ^ 0x6c7967656e657261,
		.v3 = settings.token_key[1] ^ 0x7465646279746573,
	};
}

/* Never 0, which says that there is no token. */
static __always_inline __u64 sip_end(struct sip *sip, __u64 bytes)
{
	__u64 hash;

	sip_word(sip, bytes << 56);
	sip->v2 ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(sip);
	hash = sip->v0 ^ sip->v1 ^ sip->v2 ^ sip->v3;
	return hash ? hash : 1;
}

/* Of a 64-byte handle in user memory. scratch: as many bytes of ours; the handle does not stay there. */
static __always_inline __u64 token_of_bytes(__u64 *scratch, __u64 where)
{
	struct sip sip = sip_begin();

	if (bpf_probe_read_user(scratch, HANDLE_WORDS * sizeof(*scratch), (const void *)where))
		return 0;
	for (int i = 0; i < HANDLE_WORDS; i++) {
		sip_word(&sip, scratch[i]);
		scratch[i] = 0;
	}
	return sip_end(&sip, HANDLE_WORDS * sizeof(*scratch));
}

/* Of the open file behind a descriptor of the current process: the same in every process that it was passed to. */
static __always_inline __u64 token_of_descriptor(__s32 fd)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct sip sip = sip_begin();
	struct file **files, *file = NULL;

	if (!table || fd < 0 || (__u32)fd >= BPF_CORE_READ(table, max_fds))
		return 0;
	files = BPF_CORE_READ(table, fd);
	if (bpf_core_read(&file, sizeof(file), files + fd) || !file)
		return 0;
	sip_word(&sip, (__u64)file);
	sip_word(&sip, (__u64)BPF_CORE_READ(file, f_inode));
	return sip_end(&sip, 2 * sizeof(__u64));
}
