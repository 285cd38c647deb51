"""What the settings of IMPALA's objective do: the entropy bonus and the clipping of rewards."""

import dataclasses

import numpy as np
import pytest
import torch
from test_impala_learner import make_fragment, make_learner, samples, update, weights

from savanna.algorithms.impala.loss import impala_loss
from savanna.modules.actions import Categorical


def test_the_bonus_pays_for_entropy():
    logits = torch.tensor([[2.0, 0.0]], requires_grad=True)
    loss, _ = impala_loss(
        samples([0.0], [0.0]),
        logits,
        torch.zeros(1),
        actions=Categorical(2),
        clip=None,
        vf_loss_coeff=0.0,
        entropy_coeff=0.1,
    )
    loss.backward()
    unlikely, likely = logits.grad[0, 1], logits.grad[0, 0]
    assert unlikely < 0 < likely, "a step down the gradient makes the choice more even"


@pytest.mark.parametrize("clipped", [True, False])
def test_rewards_are_clipped_where_that_is_asked_for(clipped):
    fragment = make_fragment(np.random.default_rng(0))
    large = dataclasses.replace(fragment, rewards=fragment.rewards * 10)
    outcomes = []
    for given in (fragment, large):
        learner = make_learner(clip_rewards=clipped)
        update(learner, [given])
        outcomes.append(weights(learner))
    same = [torch.equal(value, outcomes[1][name]) for name, value in outcomes[0].items()]
    assert all(same) is clipped
