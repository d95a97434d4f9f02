"""Records a random policy on 16 CartPoles at once: `python examples/vector_random.py`, then

runbus query "SELECT env, episode, return FROM episode_returns WHERE run_id = 'vector-random' ORDER BY env, episode"
"""

import gymnasium
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from runbus.gymnasium.vector import RecordSteps

ENVS, STEPS = 16, 200

made = SyncVectorEnv([lambda: gymnasium.make("CartPole-v1")] * ENVS, autoreset_mode=AutoresetMode.SAME_STEP)
envs = RecordSteps(made, run="vector-random", agent="worker-0", config={"envs": ENVS})
envs.action_space.seed(1)
envs.reset(seed=1)
for _ in range(STEPS):
    envs.step(envs.action_space.sample())
envs.close()
