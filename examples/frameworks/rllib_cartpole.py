"""Trains PPO on CartPole with RLlib, all of its runners recorded: `python rllib_cartpole.py`, then

runbus query "SELECT agent_id, env, episode, return FROM episode_returns WHERE run_id = 'rllib-cartpole' ORDER BY ALL"
"""

from ray.rllib.algorithms.ppo import PPOConfig

from runbus.rllib import RecordRunners

config = (
    PPOConfig()
    .environment("CartPole-v1")
    .env_runners(num_env_runners=1, num_envs_per_env_runner=4)
    .training(train_batch_size_per_learner=400, minibatch_size=100, num_epochs=4)
    .evaluation(evaluation_interval=2, evaluation_num_env_runners=1)
    .callbacks(**RecordRunners(run="rllib-cartpole").callbacks())
)
algorithm = config.build_algo()
for _ in range(2):
    algorithm.train()
algorithm.stop()
