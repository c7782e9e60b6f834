/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include <sys/random.h>

#include "base/clock.h"

void hash_init(struct hash *hash)
{
	if (getrandom(hash->secrets, sizeof(hash->secrets), GRND_NONBLOCK) == sizeof(hash->secrets))
		return;
	/* Early in boot there may be no entropy yet: then something that an outsider cannot easily know. */
	hash->secrets[0] = clock_mono_ns();
	hash->secrets[1] = (uint64_t)(uintptr_t)hash << 16 ^ hash->secrets[0];
}
