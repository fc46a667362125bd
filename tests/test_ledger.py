"The ledger: a row is made once, an interrupted one goes on, and none lacks its recipe."

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from conftest import toy_catalog

from song_metric.files import RunError
from song_metric.register import Embedding, register
from song_metric.runs import Chapter

ROOT = Path(__file__).resolve().parent.parent
SONGS, PER_SONG, BANDS, FRAMES = 12, 4, 8, 8
SCORES = ["ami", "one_song_ami", "precision_at_10", "map", "pairing_auc"]
SMALL = dict(latent_dim=4, width=2, batch_size=8, agreement=1.0, progress=False)


@pytest.fixture(scope="module")
def tool():
    "The module tools/ledger.py."
    spec = importlib.util.spec_from_file_location("ledger", ROOT / "tools/ledger.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["ledger"] = module
    threads = torch.get_num_threads()
    spec.loader.exec_module(module)
    module.DRAWS = module.STARTS = 2
    yield module
    torch.set_num_threads(threads)
    torch.set_flush_denormal(False)


@pytest.fixture
def run(tmp_path) -> Path:
    "What the ledger reads of a run: examples of twelve songs by six artists, and a row of codes."
    run = tmp_path / "toy"
    songs = toy_catalog(SONGS).assign(artist=[f"artist {i // 2 % 6}" for i in range(SONGS)])
    codes = np.random.default_rng(0).normal(size=(SONGS, PER_SONG, BANDS, FRAMES))
    first = Chapter(run, "01_spectrograms")
    np.save(first.path("examples.npy"), codes.astype(np.float16))
    songs.to_csv(first.path("songs.csv"), index=False)
    first.finish()
    second = Chapter(run, "02_baselines")
    held_out = np.arange(SONGS) % 3 > 0
    songs.assign(held_out=held_out).to_csv(second.path("split.csv"), index=False)
    np.save(second.path("pca.npy"), codes[..., 0].astype(np.float32))
    register(second, [Embedding("PCA", "02_baselines/pca.npy", seconds=3)])
    second.finish()
    third = Chapter(run, "03_ali")
    np.save(third.path("ali.npy"), codes[..., 1].astype(np.float32))
    register(third, [Embedding("ALI", "03_ali/ali.npy")])
    third.finish()
    return run


@pytest.fixture
def make(tool, run, tmp_path, monkeypatch):
    "Runs the tool with some variants: a function that gives the ledger's rows."
    monkeypatch.setenv("SONG_METRIC_CACHE", str(tmp_path / "cache"))

    def call(*variants: dict, book="book.csv", options=("--seed", "0")) -> pd.DataFrame:
        declared = dict(families=[dict(name="toys", settings=SMALL, variants=list(variants))])
        (tmp_path / "variants.yaml").write_text(yaml.safe_dump(declared))
        files = ["--variants", tmp_path / "variants.yaml", "--ledger", tmp_path / book]
        given = ["ledger.py", "--run", run, *files, *options]
        monkeypatch.setattr(sys, "argv", [str(argument) for argument in given])
        tool.main()
        return pd.read_csv(tmp_path / book)

    return call


GAME = dict(name="game", about="a game", updates=8)


def test_a_row_is_made_once_and_again_when_its_recipe_changes(make, capsys):
    rows = make(GAME)
    assert list(rows["variant"]) == ["game"] and rows[SCORES].notna().all(axis=None)
    assert "game, seed 0" in capsys.readouterr().out
    assert make(GAME).equals(rows)
    assert not capsys.readouterr().out
    changed = make(GAME | dict(settings=dict(share=0.0)))
    assert "game, seed 0" in capsys.readouterr().out
    assert len(changed) == 1 and changed["pairing_auc"].isna().all(), "no game was played"


def test_an_interrupted_training_goes_on(make, tool, monkeypatch, capsys):
    whole = make(GAME, book="whole.csv")
    watch, looked = tool.Stopwatch.__call__, []

    def stop_at_the_fourth(self, ali, epoch):
        looked.append(epoch)
        if len(looked) == 4:
            raise KeyboardInterrupt
        return watch(self, ali, epoch)

    monkeypatch.setattr(tool.Stopwatch, "__call__", stop_at_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        make(GAME)
    resumed = make(GAME)
    assert looked == [1, 2, 3, 4, 4, 5, 6, 7, 8]
    assert resumed[SCORES].equals(whole[SCORES])


def test_rows_of_the_report_are_scored_and_not_trained(make):
    titled = dict(name="marks", about="the report's", title="PCA")
    rows = make(titled, options=("--seed", "0", "1"))
    assert list(rows["seed"]) == [0], "PCA has one training"
    assert rows["seconds"][0] == 3


def test_an_unknown_row_is_refused(make):
    with pytest.raises(RunError, match=r"has no variant nothing"):
        make(GAME, options=("--row", "nothing"))


def test_every_row_of_the_ledger_has_its_recipe(tool):
    ledger = tool.read_ledger(tool.BESIDE / "ledger.csv")
    declared = {v.name: v.recipe() for v in tool.read_variants(tool.BESIDE / "variants.yaml")}
    assert len(ledger) and not ledger.duplicated(tool.KEY).any()
    for row in ledger.itertuples():
        assert row.recipe == declared[row.variant], row.variant
