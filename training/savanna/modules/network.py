"""The actor-critic network for any spaces, as an RLModule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.apis.value_function_api import ValueFunctionAPI
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import nn

from savanna.envs.observing import MASK
from savanna.modules.actions import ILLEGAL, Gaussian, actions_of
from savanna.modules.atari import orthogonal
from savanna.modules.parts import ACTIVATIONS, Encoder, Memory, ReturnScale, each_part
from savanna.modules.rllib_distribution import RLlibDistribution, distribution_class

DEFAULTS: dict[str, Any] = {
    "fcnet_hiddens": [64, 64],
    "fcnet_activation": "tanh",
    "vf_share_layers": None,
    "picture_units": 256,
    "use_lstm": False,
    "lstm_cell_size": 128,
    "max_seq_len": 20,
}
"""Settings of the network (`model_config`). `fcnet_hiddens`: units of the dense layers, which take
the vector and `picture_units` numbers for each picture. `use_lstm`: `lstm_cell_size` cells of
memory behind them, which PPO teaches with `max_seq_len` steps in a row. `vf_share_layers`: whether
policy and value share all but their last layers; `None`: where there are pictures or memory."""

MEMORY = "memory"


def settings_problems(settings: Mapping[str, Any]) -> list[str]:
    """A line for each of `DEFAULTS` that is no such setting."""
    found = []
    hiddens, units = settings["fcnet_hiddens"], settings["picture_units"]
    if not isinstance(hiddens, (list, tuple)) or not all(map(_is_count, hiddens)):
        found.append(f"model_config.fcnet_hiddens must be a list of whole numbers, not {hiddens}.")
    if not _is_count(units):
        found.append(f"model_config.picture_units must be a whole number above 0, not {units}.")
    for name in ("lstm_cell_size", "max_seq_len"):
        if not _is_count(settings[name]):
            found.append(f"model_config.{name} must be a whole number above 0.")
    if settings["use_lstm"] and settings["vf_share_layers"] is False:
        found.append(
            "model_config.vf_share_layers must not be false with use_lstm: there is one memory."
        )
    if settings["fcnet_activation"] not in ACTIVATIONS:
        found.append(f"model_config.fcnet_activation must be one of {', '.join(ACTIVATIONS)}.")
    return found


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


class Network(TorchRLModule, ValueFunctionAPI):
    """Convolutions for pictures, dense layers for everything, two heads. `DEFAULTS` has its
    settings; spaces are those of `savanna.envs.as_seen`."""

    def setup(self) -> None:
        settings = DEFAULTS | {k: v for k, v in self.model_config.items() if k in DEFAULTS}
        space = self.observation_space
        parts = dict(space.spaces) if isinstance(space, gym.spaces.Dict) else {"": space}
        self._has_parts = isinstance(space, gym.spaces.Dict)
        self.masked = parts.pop(MASK, None) is not None
        shared = settings["vf_share_layers"]
        if shared is None:
            shared = settings["use_lstm"] or any(len(part.shape) == 3 for part in parts.values())
        self.encoder = Encoder(parts, settings)
        units = self.encoder.units
        self.memory = None
        if settings["use_lstm"]:
            self.memory = Memory(units, settings["lstm_cell_size"])
            units = self.memory.cells
        self.value_encoder = None if shared else Encoder(parts, settings)
        self.actions = actions_of(self.action_space)
        gaussian = isinstance(self.actions, Gaussian)
        heads = self.actions.size if isinstance(self.actions, Gaussian) else self.actions.outputs
        self.policy_head = orthogonal(nn.Linear(units, heads), 0.01)
        self.value_head = orthogonal(nn.Linear(units, 1), 1.0)
        self.log_deviation = nn.Parameter(torch.zeros(heads)) if gaussian else None
        self.returns = ReturnScale()

    def logits_and_values(self, observations: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Observations `[B, ...]` -> what `self.actions` takes `[B, outputs]`, values `[B]`."""
        hidden = self.encoder(observations)
        return self._outputs(hidden, observations), self._values(hidden, observations)

    def outputs(self, observations: Any) -> torch.Tensor:
        """The first of these alone."""
        return self._outputs(self.encoder(observations), observations)

    # With memory: its state is `[N, 2 * cells]`, zeros when an episode starts.

    def no_state(self, count: int) -> torch.Tensor:
        assert self.memory is not None
        return torch.zeros(count, 2 * self.memory.cells)

    def step(self, observations: Any, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Outputs `[N, outputs]`, and the state after these observations."""
        assert self.memory is not None
        hidden, state = self.memory(self.encoder(observations).unsqueeze(0), state)
        return self._outputs(hidden[0], observations), state

    def unroll(
        self, observations: Any, state: torch.Tensor, starts: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Outputs `[T, N, outputs]` and values `[T, N]` of sequences; the state is forgotten
        before the observations that `starts` `[T, N]` names, the first of their episodes."""
        hidden, _ = self._remembered(observations, state, starts)
        return self._outputs(hidden, observations), self._values(hidden, observations)

    def _remembered(
        self, observations: Any, state: torch.Tensor, starts: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        assert self.memory is not None
        shape = next(iter(observations.values()) if self._has_parts else iter([observations])).shape
        encoded = self.encoder(each_part(lambda part: part.flatten(0, 1), observations))
        remembered: tuple[torch.Tensor, torch.Tensor] = self.memory(
            encoded.unflatten(0, shape[:2]), state, starts
        )
        return remembered

    def _outputs(self, hidden: torch.Tensor, observations: Any) -> torch.Tensor:
        outputs: torch.Tensor = self.policy_head(hidden)
        if self.log_deviation is not None:
            outputs = torch.cat([outputs, self.log_deviation.expand_as(outputs)], -1)
        if self.masked:
            outputs = torch.where(observations[MASK] > 0, outputs, ILLEGAL)
        return outputs

    def _values(self, hidden: torch.Tensor, observations: Any) -> torch.Tensor:
        if self.value_encoder is not None:
            hidden = self.value_encoder(observations)
        values: torch.Tensor = self.returns(self.value_head(hidden).squeeze(-1))
        return values

    def see_returns(self, returns: torch.Tensor) -> None:
        """Fit the scale of values to what they are to be; values stay the same."""
        self.returns.update(returns, self.value_head)

    # RLlib's interface; with memory its batches are `[B, T, ...]`.

    def get_initial_state(self) -> Any:
        return {} if self.memory is None else {MEMORY: self.no_state(1)[0]}

    def _forward(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        hidden, state = self._hidden(batch)
        return {Columns.ACTION_DIST_INPUTS: self._outputs(hidden, batch[Columns.OBS])} | state

    def _forward_exploration(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        with torch.no_grad():
            found = self._forward(batch)
            if self.actions.continuous:
                distribution = self.get_exploration_action_dist_cls().from_logits(
                    found[Columns.ACTION_DIST_INPUTS]
                )
                actions = distribution.sample()
                found[Columns.ACTIONS] = actions
                found[Columns.ACTION_LOGP] = distribution.logp(actions)
                found[Columns.ACTIONS_FOR_ENV] = self.actions.for_env(actions)
        return found

    def _forward_train(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        hidden, _ = self._hidden(batch)
        return {
            Columns.ACTION_DIST_INPUTS: self._outputs(hidden, batch[Columns.OBS]),
            Columns.EMBEDDINGS: hidden,
        }

    def compute_values(self, batch: dict[str, Any], embeddings: Any = None) -> torch.Tensor:
        if embeddings is None and self.value_encoder is None:
            embeddings, _ = self._hidden(batch)
        return self._values(embeddings, batch[Columns.OBS])

    def _hidden(self, batch: dict[str, Any]) -> tuple[torch.Tensor, dict[str, Any]]:
        observations = batch[Columns.OBS]
        if self.memory is None:
            return self.encoder(observations), {}
        turned = each_part(lambda part: part.transpose(0, 1), observations)
        hidden, state = self._remembered(turned, batch[Columns.STATE_IN][MEMORY])
        return hidden.transpose(0, 1), {Columns.STATE_OUT: {MEMORY: state}}

    def get_train_action_dist_cls(self) -> type[RLlibDistribution]:
        return distribution_class(self.actions)

    get_exploration_action_dist_cls = get_inference_action_dist_cls = get_train_action_dist_cls
