"""Collects with TorchRL from four CartPoles, a random policy: `python torchrl_cartpole.py`, then

runbus query "SELECT env, episode, return FROM episode_returns WHERE run_id = 'torchrl-cartpole' ORDER BY env, episode"
"""

from torchrl.collectors import Collector
from torchrl.envs import GymEnv, SerialEnv

from runbus.rollout import Rollouts

ENVS, STEPS = 4, 1_024

rollouts = Rollouts(envs=ENVS, run="torchrl-cartpole", agent="worker-0")
collector = Collector(
    SerialEnv(ENVS, lambda: GymEnv("CartPole-v1")),
    None,  # a policy; None acts at random
    frames_per_batch=256,
    total_frames=STEPS,
    post_collect_hook=rollouts.record_tensordict,
)
for _batch in collector:
    pass  # learn from it
collector.shutdown()
rollouts.close()
