"An embedding that is added in chapter 02's way stands wherever the register is read."

from pathlib import Path

import numpy as np
import pytest

from song_metric.baselines import RawEmbedding, fit_and_save
from song_metric.files import RunError
from song_metric.register import RAW, Embedding, register, registered
from song_metric.runs import Chapter

SONGS, PER_SONG, BANDS, FRAMES = 6, 2, 8, 8
TOY = Embedding("toy", "02_baselines/toy.npy")


def chapter_01(run: Path) -> np.ndarray:
    "Examples of a few songs, as chapter 01 leaves them."
    chapter = Chapter(run, "01_spectrograms")
    rng = np.random.default_rng(0)
    examples = rng.random((SONGS, PER_SONG, BANDS, FRAMES)).astype(np.float16)
    np.save(chapter.path("examples.npy"), examples)
    chapter.finish()
    return examples


def chapter_02(run: Path, examples: np.ndarray, added: dict) -> None:
    "The raw row, and what `added` {row: estimator} makes, in chapter 02's way."
    chapter = Chapter(run, "02_baselines")
    fitted = np.arange(SONGS * PER_SONG)
    rows = [Embedding("raw", RAW, 0)]
    rows += [fit_and_save(chapter, *pair, examples, fitted) for pair in added.items()]
    register(chapter, rows)
    chapter.finish()


def chapter_03(run: Path) -> None:
    "A net of two training seeds."
    chapter = Chapter(run, "03_ali")
    net = Embedding("ALI", "03_ali/ali.npy", 2, trainings=2)
    for number, file in enumerate(net.files):
        np.save(chapter.path(Path(file).name), np.full((SONGS, PER_SONG, 3), float(number)))
    register(chapter, [net])
    chapter.finish()


def toy_run(run: Path, added: dict) -> Path:
    "A run whose chapters 01 to 03 were written by hand."
    examples = chapter_01(run)
    chapter_02(run, examples, added)
    chapter_03(run)
    return run


def test_an_added_embedding_stands_in_the_register(tmp_path):
    run = toy_run(tmp_path, {TOY: RawEmbedding()})
    found = registered(run)
    assert [embedding.title for embedding in found] == ["raw", "ALI", "toy"]
    raw, net, toy = (embedding.load(run) for embedding in found)
    assert [len(codes) for codes in (raw, net, toy)] == [1, 2, 1]
    assert np.array_equal(raw[0], toy[0]) and raw[0].shape == (SONGS, PER_SONG, BANDS * FRAMES)
    assert net[1].max() == 1


def test_two_of_one_title_are_refused(tmp_path):
    run = toy_run(tmp_path, {Embedding("ALI", "02_baselines/other.npy"): RawEmbedding()})
    with pytest.raises(RunError, match="Two embeddings are called 'ALI'"):
        registered(run)


def test_a_chapter_reads_through_its_record(tmp_path):
    run = toy_run(tmp_path, {TOY: RawEmbedding()})
    chapter = Chapter(run, "04_evaluation")
    for embedding in registered(chapter):
        embedding.load(chapter)
    assert {"02_baselines/embeddings.csv", "03_ali/ali-1.npy", RAW} <= set(chapter.inputs)
