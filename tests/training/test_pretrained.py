"""Weights from elsewhere in a run: where they are found, what comes with them, and how they are laid out."""

from __future__ import annotations

import dataclasses
import json
import runpy
import shutil
import sys
from pathlib import Path

import jax
import numpy as np
import optax
import pytest

from butterflyer_jax import Config, UserError, load_config, runs
from butterflyer_jax.config import ModelConfig
from butterflyer_jax.distributed import sharding
from butterflyer_jax.export.exporter import export
from butterflyer_jax.models import create_model
from butterflyer_jax.models.weights import shipped
from butterflyer_jax.models.weights.translate import CAFFE_MEAN, CAFFE_STD
from butterflyer_jax.storage import download
from butterflyer_jax.training import pretrained
from butterflyer_jax.training import state as state_lib
from tests.conftest import ROOT, SPECIES
from tests.helpers.imported_weights import (
    PLAIN,
    TORCH_FILES,
    config_of,
    create_state,
    filled,
    write_keras_file,
)


def test_nothing_happens_without(tmp_path: Path) -> None:
    config = Config()
    assert pretrained.settle(config, tmp_path / "run") == (config, None)


def test_species_of_the_source_may_have_other_names(caplog: pytest.LogCaptureFixture) -> None:
    theirs = ("Danaus plexippus", "red_admiral", "Amber Wing", "Comma", "Polygonia c-album", "Kept")
    ours = ("Monarch", "Red Admiral", "Amber Wings", "Polygonia c album", "Kept")
    with caplog.at_level("INFO"):
        found = pretrained.other_names(theirs, ours, {})
    # Two of their names are that of the fourth.
    assert found == {"Danaus plexippus": "Monarch", "red_admiral": "Red Admiral"}
    assert "by other names: Danaus plexippus and Monarch, red_admiral and Red Admiral" in caplog.text
    assert (
        "Amber Wings (Amber Wing), Polygonia c album (Polygonia c-album); model.pretrained_species can" in caplog.text
    )
    assert pretrained.other_names(theirs, ours, {"Comma": "Monarch"}) == {
        "Comma": "Monarch",
        "red_admiral": "Red Admiral",
        "Polygonia c-album": "Polygonia c album",
    }


def test_mean_and_deviation_come_with_the_weights(tmp_path: Path) -> None:
    config = config_of(write_keras_file(tmp_path / "w.h5"))
    settled, weights = pretrained.settle(config, tmp_path / "run")
    assert (settled.model.mean, settled.model.std) == (CAFFE_MEAN, CAFFE_STD)
    assert weights is not None
    assert config.model.mean == ModelConfig().mean, "the caller's config is left alone"
    first = {x.target: x.value for x in weights.tensors}["/block1_conv1/kernel"]
    # As given already, or kept on purpose.
    again, _ = pretrained.settle(settled, tmp_path / "run")
    assert again == settled
    own = config_of(tmp_path / "w.h5", mean=(0.5, 0.5, 0.5), pretrained_input="config")
    kept, weights = pretrained.settle(own, tmp_path / "run")
    assert kept == own
    assert weights is not None
    turned = {x.target: x.value for x in weights.tensors}["/block1_conv1/kernel"]
    np.testing.assert_array_equal(first, turned[:, :, ::-1])
    imagenet, _ = pretrained.settle(config_of(tmp_path / "w.h5", pretrained_input="imagenet"), tmp_path / "run")
    assert imagenet.model.mean == ModelConfig().mean
    with pytest.raises(UserError, match=r"w\.h5 brings its own.*pretrained_input=config"):
        pretrained.settle(config_of(tmp_path / "w.h5", mean=(0.5, 0.5, 0.5)), tmp_path / "run")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("/nowhere/w.pth", "no such file of weights: /nowhere/w.pth"),
        (TORCH_FILES / "recorded.npz", r"recorded\.npz is not a file of weights: its name must end with \.safetensors"),
        (TORCH_FILES, r"no run in .*torch_files: it has no config\.json"),
        (TORCH_FILES / "normed.safetensors", "holds vgg11 with batch norm, the config says vgg11 without"),
        ("http://127.0.0.1:9/model.onnx", r"model\.onnx is not a file of weights"),
        ("http://127.0.0.1:9/model.pth", "cannot reach http://127.0.0.1:9/model.pth"),
    ],
)
def test_wrong_sources_are_one_line(source: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        pretrained.settle(config_of(source), tmp_path / "run")


def test_another_variant_is_reported_with_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        pretrained.settle(config_of(PLAIN, variant="vgg16"), tmp_path / "run")
    assert "plain.safetensors holds vgg11 without batch norm, the config says vgg16 without batch norm" in str(
        error.value
    )
    assert "--config.model.variant=vgg11" in str(error.value)


def test_a_wrong_regex_is_one_line() -> None:
    with pytest.raises(UserError, match=r"model\.pretrained_allow = '\(' is not a regular expression"):
        config_of(PLAIN, pretrained_allow="(")


def test_an_address_goes_through_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "cached_file", lambda url, folder: TORCH_FILES / url.rpartition("/")[2])
    for scheme in ("https://host", "gs://bucket/models"):
        _, weights = pretrained.settle(config_of(f"{scheme}/plain.safetensors"), tmp_path / "run")
        assert weights is not None
        assert weights.origin == f"{scheme}/plain.safetensors"


def test_values_lie_where_the_initial_ones_lay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, weights = pretrained.settle(config_of(PLAIN), tmp_path / "run")
    assert weights is not None
    before, after = create_state(config), filled(config, weights)
    assert jax.tree.structure(after) == jax.tree.structure(before)
    for new, old in zip(jax.tree.leaves(after), jax.tree.leaves(before), strict=True):
        assert (new.shape, new.dtype, new.sharding) == (old.shape, old.dtype, old.sharding)
    values = {x.target: x.value for x in weights.tensors}
    for layer, parts in after.variables.params.items():
        for part, leaf in parts.items():
            # Five classes there, three species here.
            expected = before.variables.params[layer][part] if layer == "logits" else values[f"/{layer}/{part}"]
            np.testing.assert_array_equal(leaf, expected)
    printed = capsys.readouterr().err
    assert "10 renamed, 10 reshaped, 2 re-initialised, 2 left over; mean 0.485/0.456/0.406" in printed

    # The step may write over what it is given: the source's arrays are not part of it.
    kept = {path: np.array(value) for path, value in values.items()}
    add = jax.jit(lambda params: jax.tree.map(lambda x: x + 1, params), donate_argnums=0)
    jax.block_until_ready(add(after.variables.params))
    jax.tree.map(np.testing.assert_array_equal, values, kept)


def test_a_head_without_dense_layers_takes_the_features(tmp_path: Path) -> None:
    config, weights = pretrained.settle(config_of(PLAIN, head="gap"), tmp_path / "run")
    assert weights is not None
    with pytest.raises(UserError, match=r"/fc1/kernel: the network has no such layer.*\^/logits/\|\^/\(fc1\|fc2\)"):
        filled(config, weights)
    config.model.pretrained_allow = "^/(logits|fc1|fc2)/"
    state = filled(config, weights)
    assert set(state.variables.params) == {
        *(f"block{b}_conv{k}" for b, depth in enumerate((1, 1, 2, 2, 2), 1) for k in range(1, depth + 1)),
        "logits",
    }


def test_a_run_gives_all_it_has(trained_run: Path, tmp_path: Path) -> None:
    old = runs.read(trained_run)
    expected = runs.load_model(old).variables
    saved = json.loads((trained_run / "config.json").read_text())
    other = tmp_path / "other"
    shutil.copytree(trained_run, other)
    saved["config"]["model"]["mean"] = [0.4, 0.4, 0.4]
    (other / "config.json").write_text(json.dumps(saved))

    model = dataclasses.replace(old.config.model, pretrained=str(other), pretrained_allow="")
    config, weights = pretrained.settle(dataclasses.replace(old.config, model=model), tmp_path / "run")
    assert config.model.mean == (0.4, 0.4, 0.4)
    assert weights is not None
    state = filled(config, weights)
    jax.tree.map(np.testing.assert_array_equal, state.variables, expected)
    with pytest.raises(UserError, match="of other species"):
        filled(config, weights, ("x", "y", "z"))
    model = dataclasses.replace(model, pretrained_input="caffe")
    with pytest.raises(UserError, match="a run brings its own mean"):
        pretrained.settle(dataclasses.replace(old.config, model=model), tmp_path / "run")


def test_an_average_of_weights_begins_with_them(tmp_path: Path) -> None:
    config, weights = pretrained.settle(config_of(PLAIN), tmp_path / "run")
    assert weights is not None
    config.optim.average = "ema"
    state = filled(config, weights)
    jax.tree.map(np.testing.assert_array_equal, state.averaged, state.variables)
    [first, second] = (x.params["fc1"]["kernel"] for x in (state.averaged, state.variables))
    assert first.unsafe_buffer_pointer() != second.unsafe_buffer_pointer()


def test_another_width_is_said_with_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"8 channels, the config's have 128; set .*width_multiplier=0\.015625, or"):
        pretrained.settle(config_of(PLAIN, width_multiplier=0.25), tmp_path / "run")


def test_a_grown_run_answers_as_before_for_the_species_it_knew(trained_run: Path, tmp_path: Path) -> None:
    old = runs.read(trained_run)
    loaded = runs.load_model(old)
    fields = dataclasses.replace(old.config.model, pretrained=str(trained_run))
    config, weights = pretrained.settle(dataclasses.replace(old.config, model=fields), tmp_path / "run")
    assert weights is not None
    more = ("Azure", SPECIES[0], SPECIES[2], "Zebra", SPECIES[1])
    model, tx = create_model(config.model, len(more)), optax.sgd(0.1)
    abstract_state = state_lib.abstract_state(model, tx, config, sharding.make_mesh(1))
    state = state_lib.create_state(model, tx, config, abstract_state)
    values = pretrained.match(weights, state.variables, config.model, more)
    new = pretrained.insert(state, values).variables
    images = jax.random.uniform(jax.random.key(0), (4, 32, 32, 3))
    before, after = (
        jax.jit(lambda variables, network=network: network.apply(variables, images, train=False))(values.collections())
        for network, values in ((loaded.model, loaded.variables), (model, new))
    )
    np.testing.assert_allclose(after[:, [1, 4, 2]], before, rtol=1e-5)


def test_a_table_says_what_a_species_was_called(tmp_path: Path) -> None:
    table = tmp_path / "names.csv"
    table.write_text("source,species\nBlue,Blue Stripe\n", encoding="utf-8-sig")
    assert pretrained.read_renamed(table) == {"Blue": "Blue Stripe"}
    for text, message in (
        ("a,b\n1,2\n", "columns source,species"),
        ("source,species\nBlue\n", "columns source,species"),
        ("source,species\na,b\na,c\n", "twice"),
        ("", "columns source,species"),
    ):
        table.write_text(text)
        with pytest.raises(UserError, match=message):
            pretrained.read_renamed(table)
    table.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not a table in UTF-8"):
        pretrained.read_renamed(table)
    with pytest.raises(UserError, match="no such file"):
        pretrained.read_renamed(tmp_path / "gone.csv")


def test_drawn_weights_start_the_network_of_the_cpu_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = load_config("cpu")
    assert config.model.pretrained == "drawn"
    settled, weights = pretrained.settle(config, tmp_path / "run")
    assert weights is not None
    assert settled == config, "they were made with the config's own mean and deviation"
    state = filled(config, weights)
    table = capsys.readouterr().err.splitlines()
    anew = [line.split()[1] for line in table if line.startswith("  re-initialised")]
    assert sorted(anew) == ["/logits/bias", "/logits/kernel"]
    assert len(table) == 4, "of tensors that are taken, their number says enough"
    assert not any("NOT ALLOWED" in line for line in table)
    # A fresh network's running statistics are 0 and 1.
    stats = state.variables.batch_stats
    assert all(np.abs(layer["mean"]).max() > 0.1 for layer in stats.values())


def test_packed_weights_are_the_features_of_the_run(
    trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """scripts/pack_weights.py makes of a run's export what `drawn` names."""
    export(trained_run, "safetensors", tmp_path / "model.safetensors")
    monkeypatch.setattr(shipped, "FOLDER", tmp_path / "drawn")
    monkeypatch.setattr(sys, "argv", ["pack_weights.py", str(tmp_path / "model.safetensors")])
    runpy.run_path(str(ROOT / "scripts" / "pack_weights.py"), run_name="__main__")
    config = runs.read(trained_run).config.model
    file = shipped.file_of(config.variant, config.batch_norm, config.width_multiplier)
    assert file.stat().st_size < 0.6 * (tmp_path / "model.safetensors").stat().st_size
    (tmp_path / "plain").touch()
    for written in (file, tmp_path / "model.safetensors"):
        assert written.stat().st_mode == (tmp_path / "plain").stat().st_mode, "others may read it as any file"
    packed = pretrained.load(dataclasses.replace(config, pretrained="drawn"))
    whole = pretrained.load(dataclasses.replace(config, pretrained=str(trained_run)))
    values = {x.target: x.value for x in whole.tensors}
    kept = {x.target: x.value for x in packed.tensors if x.value is not None}
    assert set(values) - set(kept) == {"/logits/kernel", "/logits/bias"}
    assert packed.mean == pytest.approx(whole.mean)
    for path, value in kept.items():
        np.testing.assert_allclose(value, values[path], rtol=1e-3, atol=1e-6)
    with pytest.raises(UserError, match=r"no drawn weights for vgg13 with batch norm .*width_multiplier=0\.0625"):
        pretrained.load(dataclasses.replace(config, variant="vgg13", pretrained="drawn"))
