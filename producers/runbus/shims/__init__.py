"""Takes what loops already say to TensorBoard, W&B, Stable-Baselines3 and transformers, and records it as metrics.

One thin module each, named like what it stands in for, over `runbus.recorder.Metrics` (docs/shims.md).
"""
