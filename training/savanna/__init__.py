"""Savanna's training package: reinforcement learning on Ray RLlib, one machine or many."""

__version__ = "0.1.0"
