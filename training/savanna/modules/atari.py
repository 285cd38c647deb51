"""The actor-critic network for Atari frames, as an RLModule that takes uint8 observations."""

from __future__ import annotations

from typing import Any

import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.apis.value_function_api import ValueFunctionAPI
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import nn

ENCODERS: dict[str, tuple[tuple[tuple[int, int, int], ...], int]] = {
    # name: ((channels, kernel, stride), ...), hidden units
    "small": (((16, 8, 4), (32, 4, 2)), 256),  # 42 x 42, cheapest
    "medium": (((32, 5, 3), (32, 4, 2), (32, 3, 1)), 256),  # 42 x 42, learns from fewer samples
    "nature": (((32, 8, 4), (64, 4, 2), (64, 3, 1)), 512),  # 84 x 84, Mnih et al. 2015
}


class PixelStandardizer(nn.Module):
    """Subtracts each pixel's mean and divides by one standard deviation for all pixels.

    Running statistics over the first `limit` frames, then frozen, so that the policy's function
    stops changing. They are buffers, so weights and checkpoints include them. Centring helps
    learning more than any other setting: an Atari screen is mostly a constant background, which
    otherwise drowns the few pixels that move.
    """

    mean: torch.Tensor
    square: torch.Tensor
    count: torch.Tensor

    def __init__(self, height: int, width: int, limit: int) -> None:
        super().__init__()
        self.limit = limit
        self.register_buffer("mean", torch.zeros(height, width))
        self.register_buffer("square", torch.zeros(()))  # mean square distance from the mean
        self.register_buffer("count", torch.zeros(()))  # frames seen

    def update(self, frames: torch.Tensor) -> None:
        """Add single frames, uint8 `[F, height, width]` (Chan et al. 1979, parallel mean)."""
        if self.count >= self.limit or len(frames) == 0:
            return
        batch = frames.float()
        mean = batch.mean(dim=0)
        square = (batch - mean).square().mean()
        total = self.count + len(frames)
        share = len(frames) / total
        shift = mean - self.mean
        self.square += (square - self.square) * share
        self.square += shift.square().mean() * share * (1 - share)
        self.mean += shift * share
        self.count.copy_(total)

    def forward(self, frames: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """uint8 `[..., height, width]` -> standardized `dtype` of the same shape."""
        scale = torch.where(self.count > 0, (self.square + 1e-4).rsqrt(), 1 / 255)
        return (frames.to(dtype) - self.mean.to(dtype)) * scale.to(dtype)


class AtariModule(TorchRLModule, ValueFunctionAPI):
    """Convolutions, one hidden layer, and two heads: policy logits and state value.

    `model_config`: `encoder` (a name in `ENCODERS`), `standardize_frames` (number of frames for
    the pixel statistics; 0: divide by 255 instead), `bfloat16` (`None`: if the processor supports
    it in hardware; the heads and the loss stay in float32).
    """

    def setup(self) -> None:
        filters, hidden = ENCODERS[self.model_config["encoder"]]
        channels, height, width = self.observation_space.shape
        self.standardizer = PixelStandardizer(
            height, width, limit=self.model_config["standardize_frames"]
        )
        layers: list[nn.Module] = []
        size = height
        for out, kernel, stride in filters:
            layers += [orthogonal(nn.Conv2d(channels, out, kernel, stride), 2**0.5), nn.ReLU()]
            channels, size = out, (size - kernel) // stride + 1
        layers += [
            nn.Flatten(),
            orthogonal(nn.Linear(channels * size * size, hidden), 2**0.5),
            nn.ReLU(),
        ]
        # CPU (AMX, AVX-512) and GPU convolutions in bfloat16 need channels last.
        self.encoder = nn.Sequential(*layers).to(
            memory_format=torch.channels_last  # type: ignore[call-overload]
        )
        self.policy_head = orthogonal(nn.Linear(hidden, self.action_space.n), 0.01)
        self.value_head = orthogonal(nn.Linear(hidden, 1), 1.0)
        self._bfloat16: bool | None = self.model_config.get("bfloat16")

    @property
    def compute_dtype(self) -> torch.dtype:
        """bfloat16 if configured, or by default if fast on this device; else float32."""
        if self._bfloat16 is None:
            self._bfloat16 = fast_bfloat16(self.standardizer.mean.device)
        return torch.bfloat16 if self._bfloat16 else torch.float32

    def standardize(self, frames: torch.Tensor) -> torch.Tensor:
        """uint8 frames of any leading shape -> standardized frames in `compute_dtype`."""
        standardized: torch.Tensor = self.standardizer(frames, self.compute_dtype)
        return standardized

    def logits_and_values(self, stacks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Standardized `[B, stack, height, width]` -> logits `[B, actions]`, values `[B]`."""
        stacks = stacks.contiguous(memory_format=torch.channels_last)
        with torch.autocast(
            stacks.device.type, torch.bfloat16, enabled=stacks.dtype == torch.bfloat16
        ):
            hidden = self.encoder(stacks)
        hidden = hidden.float()
        return self.policy_head(hidden), self.value_head(hidden).squeeze(-1)

    def _forward(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        logits, values = self.logits_and_values(self.standardize(batch[Columns.OBS]))
        return {Columns.ACTION_DIST_INPUTS: logits, Columns.VF_PREDS: values}

    def compute_values(self, batch: dict[str, Any], embeddings: Any = None) -> torch.Tensor:
        return self.logits_and_values(self.standardize(batch[Columns.OBS]))[1]


def fast_bfloat16(device: torch.device) -> bool:
    """Whether this device multiplies bfloat16 matrices in hardware."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    try:
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    except AttributeError:  # a torch without these probes
        return False


def orthogonal(layer: Any, gain: float) -> Any:
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer
