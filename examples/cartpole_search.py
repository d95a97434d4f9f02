"""Records a random search on CartPole: `python examples/cartpole_search.py`, then

runbus query "SELECT episode, return FROM episode_returns WHERE run_id = 'cartpole-search' ORDER BY episode"
"""

import gymnasium
import numpy as np

from runbus.gymnasium import RecordSteps

EPISODES = 50

random = np.random.default_rng(1)
env = RecordSteps(gymnasium.make("CartPole-v1"), run="cartpole-search", agent="agent-0", config={"episodes": EPISODES})
best, best_return = np.zeros(4), 0.0
for episode in range(EPISODES):
    weights = best + random.normal(size=4)
    observation, _ = env.reset(seed=1 if episode == 0 else None)
    total, over = 0.0, False
    while not over:
        observation, reward, terminated, truncated, _ = env.step(int(weights @ observation > 0))
        total, over = total + float(reward), terminated or truncated
    if total >= best_return:
        best, best_return = weights, total
    env.recorder.log({"best_return": best_return})
env.close()
