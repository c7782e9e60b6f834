# SPDX-License-Identifier: Apache-2.0
"""One matrix product, without taking the whole card beforehand (XLA_PYTHON_CLIENT_PREALLOCATE=false)."""
import jax.numpy as jnp

a = jnp.ones((1024, 1024), dtype=jnp.float32)
b = (a @ a).block_until_ready()
assert float(b[0, 0]) == 1024.0
print("sum", float(b.sum()))
