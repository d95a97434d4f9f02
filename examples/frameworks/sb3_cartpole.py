"""Trains PPO on CartPole with Stable-Baselines3, steps, evaluations and losses recorded: `python sb3_cartpole.py`, then

runbus query "SELECT agent_id, env, episode, return FROM episode_returns WHERE run_id = 'sb3-cartpole' ORDER BY ALL"
runbus query "SELECT name, at, value FROM metrics WHERE run_id = 'sb3-cartpole' ORDER BY name, at"
"""

from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.env_util import make_vec_env

from runbus.sb3 import MetricsCallback, RecordVecEnv

recorded = RecordVecEnv(make_vec_env("CartPole-v1", n_envs=4, seed=1), run="sb3-cartpole", agent="worker-0")
evaluated = RecordVecEnv(make_vec_env("CartPole-v1", seed=100), run="sb3-cartpole", agent="eval")

model = PPO("MlpPolicy", recorded, n_steps=256, seed=1, device="cpu")
learner = MetricsCallback("sb3-cartpole")
model.learn(4_096, callback=[learner, EvalCallback(evaluated, eval_freq=512, n_eval_episodes=5, verbose=0)])
recorded.close()
evaluated.close()
