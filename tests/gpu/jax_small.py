# SPDX-License-Identifier: Apache-2.0
"""A matrix product and its gradient. How memory is had is chosen by XLA_PYTHON_CLIENT_PREALLOCATE and XLA_PYTHON_CLIENT_MEM_FRACTION."""
import jax
import jax.numpy as jnp


def main():
    assert jax.devices()[0].platform == "gpu"
    a = jnp.ones((1024, 1024), dtype=jnp.float32)
    value, gradient = jax.jit(jax.value_and_grad(lambda x: (x @ x).sum()))(a)
    gradient.block_until_ready()
    print(f"value {float(value):.6g}, gradient {float(gradient[0, 0]):.6g}")
    del a, gradient


if __name__ == "__main__":
    main()
