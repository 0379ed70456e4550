"""What may change in a run that is resumed."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from butterflyer_jax import Config, UserError
from butterflyer_jax.runs import changes
from butterflyer_jax.runs.changes import NOTHING, Allowed


def identity(config: Config | None = None, fingerprint: str = "a") -> dict[str, Any]:
    return json.loads(json.dumps({"config": (config or Config()).to_dict(), "fingerprint": fingerprint}))


def with_rate(rate: float, **rest: Any) -> Config:
    return dataclasses.replace(Config(), optim=dataclasses.replace(Config().optim, learning_rate=rate), **rest)


def test_what_does_not_reach_the_weights_may_change_at_any_time() -> None:
    other = Config(log_every_steps=3)
    other.tracking.wandb = "offline"
    other.stop.patience = 4
    assert changes.check("run", identity(), identity(other), NOTHING) == []


def test_a_learning_rate_needs_an_option_that_the_refusal_names() -> None:
    wanted = identity(with_rate(0.5))
    with pytest.raises(UserError, match=r"optim\.learning_rate was 0\.01, is 0\.5\. .* or add --change to train on .*"):
        changes.check("run", identity(), wanted, NOTHING)
    assert changes.check("run", identity(), wanted, Allowed(change=True)) == ["optim.learning_rate was 0.01, is 0.5"]


def test_more_epochs_need_an_option_and_fewer_have_none() -> None:
    longer = identity(Config(num_epochs=200))
    with pytest.raises(UserError, match="add --extend to"):
        changes.check("run", identity(), longer, NOTHING)
    assert changes.check("run", identity(), longer, Allowed(extend=True))
    with pytest.raises(
        UserError, match=r"num_epochs was 200, is 100\. Take another --output, or the same config\. May"
    ):
        changes.check("run", longer, identity(), Allowed(True, True))


def test_both_options_are_named_together() -> None:
    with pytest.raises(UserError, match=r"or add (--change --extend|--extend --change) to train on.{,30}$"):
        changes.check("run", identity(), identity(with_rate(0.5, num_epochs=200)), NOTHING)


@pytest.mark.parametrize(
    "wanted",
    [identity(Config(batch_size=64)), identity(Config(seed=1)), identity(fingerprint="b")],
    ids=["batch size", "seed", "data"],
)
def test_the_rest_may_not_change_and_the_rule_is_printed(wanted: dict[str, Any]) -> None:
    with pytest.raises(
        UserError, match=r"holds a run of another config: .*or the same config\. May change: .*tracking\.\*"
    ):
        changes.check("run", identity(), wanted, Allowed(True, True))


def test_other_photos_name_the_option_that_starts_from_the_run() -> None:
    with pytest.raises(UserError, match=r"another --output and --config\.model\.pretrained=runs/first, which keeps"):
        changes.check("runs/first", identity(), identity(fingerprint="b"), NOTHING)
