"An embedding that is added in chapter 02's way stands wherever the register is read."

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from song_metric.baselines import RawEmbedding, fit_and_save
from song_metric.evaluation import rotated, score_embeddings
from song_metric.files import RunError
from song_metric.metric import pool_songs
from song_metric.register import RAW, Embedding, register, registered
from song_metric.retrieval import suggestion_table, suggestions
from song_metric.runs import Chapter
from song_metric.space import SongSpace
from song_metric.tables import summary_table
from song_metric.visualization import plot_maps, plot_scores, tsne_map

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
    codes = np.random.default_rng(1).random((SONGS, PER_SONG, 3))
    for number, file in enumerate(net.files):
        np.save(chapter.path(Path(file).name), codes + number)
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
    assert np.allclose(net[1], net[0] + 1)


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


# What chapters 04 to 06 do with the register, on a run of a few songs

GENRES = np.repeat(["jazz", "rock"], SONGS // 2)


@pytest.fixture(scope="module")
def embeddings(tmp_path_factory):
    "The register's rows of a run with a toy embedding, and their codes by title."
    run = toy_run(tmp_path_factory.mktemp("toy"), {TOY: RawEmbedding()})
    rows = registered(run)
    return rows, {row.title: row.load(run) for row in rows if not row.missing}


@pytest.fixture(scope="module")
def scores(embeddings):
    "Chapter 04's scores: two songs of each genre are held out."
    _, codes = embeddings
    held_out = np.arange(SONGS) % 3 > 0
    return score_embeddings(codes, GENRES, held_out, seeds=range(2), workers=1)


def test_it_has_scores_and_a_row_in_the_summary(scores):
    table = summary_table(scores)
    assert list(table.index) == ["raw", "ALI", "toy"]
    assert table.loc["toy"].equals(table.loc["raw"].rename("toy")), "equal codes, equal cells"
    assert "±" in table.loc["ALI", "k-means V"] and "±" not in table.loc["toy", "k-means V"]


def test_it_stands_in_the_score_plot(scores):
    names = plot_scores(scores).axes[0].get_yticklabels()
    assert [name.get_text() for name in names] == ["raw", "ALI", "toy"]


def test_it_has_a_map_unless_it_is_a_control(embeddings):
    rows, codes = embeddings
    drawn = [row.title for row in rows if not row.control]
    maps = {name: tsne_map(pool_songs(codes[name][0], "mean"), 2)[0] for name in drawn}
    assert [ax.get_title() for ax in plot_maps(maps, GENRES).axes] == ["raw", "ALI", "toy"]


def test_it_makes_suggestions(embeddings):
    _, codes = embeddings
    vectors = {name: rotated(pool_songs(each[0], "directions")) for name, each in codes.items()}
    songs = pd.DataFrame(dict(genre=GENRES, artist=[f"artist {i}" for i in range(SONGS)]))
    songs = songs.assign(song_id=songs.index.astype(str), title="", album="", path="")
    space = SongSpace(vectors["raw"], songs)
    table = suggestion_table(suggestions(vectors, space, np.arange(SONGS), bootstrap=5))
    assert table.loc["toy"].equals(table.loc["raw"].rename("toy"))
