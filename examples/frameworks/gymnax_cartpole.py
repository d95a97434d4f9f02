"""Rolls a random policy out in 64 CartPoles of gymnax, on whatever device JAX has: `python gymnax_cartpole.py`, then

runbus query "SELECT env, episode, return FROM episode_returns WHERE run_id = 'gymnax-cartpole' ORDER BY env, episode"
"""

from __future__ import annotations

from functools import partial

import gymnax
import jax

from runbus.rollout import Rollouts

ENVS, T, ROLLOUTS = 64, 32, 4
STEPS = ENVS * T * ROLLOUTS

env, params = gymnax.make("CartPole-v1")


def step(carry: tuple[object, object], key: jax.Array) -> tuple[object, object]:
    """Step every environment; return what a learner stores, with the observation that an end had."""
    seen, state = carry
    choose, go = jax.random.split(key)
    action = jax.random.randint(choose, (ENVS,), 0, 2)
    shown, state, reward, terminated, truncated, info = jax.vmap(env.step, (0, 0, 0, None))(
        jax.random.split(go, ENVS), state, action, params
    )
    return (shown, state), (seen, action, reward, terminated, truncated, info["final_observation"])


@partial(jax.jit, donate_argnums=0)
def collect(carry: tuple[object, object], key: jax.Array) -> tuple[object, object]:
    """Return the environments after T steps, and the steps: arrays (T, ENVS, ...)."""
    carry, steps = jax.lax.scan(step, carry, jax.random.split(key, T))
    return carry, steps


first, *keys = jax.random.split(jax.random.key(1), 1 + ROLLOUTS)
carry = jax.vmap(env.reset, (0, None))(jax.random.split(first, ENVS), params)
with Rollouts(envs=ENVS, run="gymnax-cartpole", agent="worker-0", config={"envs": ENVS}) as rollouts:
    for key in keys:
        carry, (*steps, final) = collect(carry, key)
        rollouts.record(*steps, next_observations=final)
