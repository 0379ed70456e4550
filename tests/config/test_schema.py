from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from butterflyer_jax import Config, UserError, load_config
from butterflyer_jax.config import ModelConfig, describe, flatten

CONFIGS = sorted((Path(__file__).parent.parent.parent / "configs").glob("*.py"))


def write_config(folder: Path, body: str) -> Path:
    path = folder / "config.py"
    path.write_text(body)
    return path


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_of_ours_loads_and_says_what_it_is(path: Path) -> None:
    assert isinstance(load_config(path), Config)
    assert path.read_text().startswith('"""')


def test_every_number_has_a_range_and_every_field_a_documentation() -> None:
    numbers = {name for name, (_, kind) in flatten(Config()).items() if kind in (int, float)}
    assert numbers == {name for name, _, doc in describe() if re.fullmatch(r".+ \[\S+ (or more|to \S+)\]", doc)}
    assert all(doc for _, _, doc in describe())
    # `help` shows them.
    assert "\n  batch_size: photos per step" in (Config.__doc__ or "")
    assert "\n  mixup: alpha of mixup" in (type(Config().augment).__doc__ or "")


def test_overrides_are_parsed_by_the_type_of_the_field(tmp_path: Path) -> None:
    path = write_config(tmp_path, "from butterflyer_jax import Config\ndef get_config(): return Config()")
    overrides = [
        "optim.learning_rate=3",
        "batch_size=4",
        "model.batch_norm=true",
        "model.variant=vgg11",
        "model.mean=(0.1, 0.2, 0.3)",
    ]
    config = load_config(path, overrides)
    assert (config.optim.learning_rate, config.batch_size, config.model.batch_norm) == (3.0, 4, True)
    assert (config.model.variant, config.model.mean) == ("vgg11", (0.1, 0.2, 0.3))


def test_configs_do_not_share_state() -> None:
    first = Config()
    first.model.variant = "vgg11"
    assert Config().model.variant == "vgg16"


def test_json_round_trip() -> None:
    config = Config(seed=7, model=ModelConfig(mean=(0.1, 0.2, 0.3)))
    assert Config.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["optim.learning_rat=1"], "unknown config field optim.learning_rat; did you mean optim.learning_rate?"),
        (["max_reject_fraction=1"], "field max_reject_fraction; did you mean build.max_reject_fraction?"),
        (["zzz=1"], "unknown config field zzz; --help"),
        (["optim.lr=1"], "unknown config field optim.lr; did you mean optim.learning_rate?"),
        (["epochs=1"], "unknown config field epochs; did you mean num_epochs?"),
        (["batch_size=many"], "config field batch_size = many must be of type int"),
        (["batch_size=1.5"], "config field batch_size = 1.5 must be of type int"),
        (["optim.learning_rate=fast"], "config field optim.learning_rate = fast must be of type float"),
        (["parallel.fsdp=maybe"], "config field parallel.fsdp = maybe must be of type bool"),
        (["stop.patience="], "config field stop.patience needs a value: --config.stop.patience=VALUE"),
        (["batch_size=-1"], "batch_size = -1 must be 0 or more"),
        (["batch_size=3000000000"], "batch_size = 3000000000 must be at most 2,147,483,648"),
        (["batch_size"], "needs a value"),
        (["optim.name=adamax"], "optim.name = 'adamax' must be one of sgd, adamw"),
        (["model.mean=(1, 2)"], "model.mean"),
        (["build.val_fraction=0.5", "build.test_fraction=0.5"], "leave nothing to train on"),
        (["augment.strength=brutal"], "augment.strength = 'brutal' must be one of none, light, medium, strong"),
        (["augment.erase_probability=1.1"], "augment.erase_probability = 1.1 must be 0 to 1"),
        (["tracking.wandb=maybe"], "tracking.wandb = 'maybe' must be one of off, online, offline"),
        (["augment.mixup=-0.1"], "augment.mixup = -0.1 must be 0 to 10"),
        (["data.negatives=0.01", "batch_size=32"], "data.negatives = 0.01 makes 0 of batch_size = 32 images negatives"),
        (["augment.mixup=nan"], "augment.mixup = nan must be 0 to 10"),
        (["augment.mixup=0.2", "batch_size=7"], "batch_size = 7 must be even for augment.mixup or cutmix"),
        (["augment.cutmix=1", "batch_size=7"], "batch_size = 7 must be even for augment.mixup or cutmix"),
    ],
)
def test_wrong_overrides_are_named(tmp_path: Path, overrides: list[str], message: str) -> None:
    path = write_config(tmp_path, "from butterflyer_jax import Config\ndef get_config(): return Config()")
    with pytest.raises(UserError) as error:
        load_config(path, overrides)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("def get_config(): return {}", "must return a butterflyer_jax.config.Config"),
        ("x = 1", "config.py: it defines no get_config()"),
        ("def get_config(:", "cannot read config"),
        ("from butterflyer_jax import Config\ndef get_config(): return Config(batchsize=1)", "batchsize"),
        ("from butterflyer_jax import Config\ndef get_config(): return Config(batch_size='8')", "must be of type int"),
        ("from butterflyer_jax import Config\ndef get_config(): return Config(model=3)", "model must be a ModelConfig"),
    ],
)
def test_wrong_config_files_are_one_line(tmp_path: Path, body: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        load_config(write_config(tmp_path, body))
    assert message in str(error.value)


def test_the_config_of_a_run_is_no_config_file(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"deterministic": false}')
    with pytest.raises(UserError, match=r"config\.json: .*; a config is a Python file that defines get_config\(\), or"):
        load_config(tmp_path / "config.json")


def test_no_such_config_file() -> None:
    with pytest.raises(UserError, match=r"no such config file: nowhere\.py"):
        load_config("nowhere.py")


@pytest.mark.parametrize(("section", "values"), [("model", {"depth": 3}), ("colour", 1)])
def test_a_saved_config_with_an_unknown_field_is_refused(section: str, values: Any) -> None:
    with pytest.raises(UserError, match="unknown config field"):
        Config.from_dict({section: values})


def test_a_misspelt_attribute_raises_and_names_the_nearest() -> None:
    config = Config()
    with pytest.raises(UserError, match=r"unknown config field lerning_rate; did you mean learning_rate\?"):
        config.optim.lerning_rate = 0.1


def test_an_error_in_a_config_file_names_file_line_and_the_nearest_field(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("from butterflyer_jax.config import Config\n\ndef get_config():\n    return Config(batchsize=3)\n")
    message = f"cannot read config {file}, line 4: unknown config field batchsize; did you mean batch_size?"
    with pytest.raises(UserError, match=re.escape(message)):
        load_config(file)
