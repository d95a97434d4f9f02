"""Trains the demo's agents: small numpy learners on real Gymnasium environments."""
