"Valid sound files of odd kinds are used in full; others are refused for their true reason."

import tracemalloc

import av
import mutagen.apev2
import mutagen.id3
import numpy as np
import pytest
import soundfile as sf

from song_metric.audio import AudioError, CountedMP3, Stream, open_sound, read_middle
from song_metric.tags import read_tags

RATE = 22050
TAG = b"ID3\4\0\0\0\0\0\x0aTIT2\0\0\0\0\0\0"


def tone(seconds=8.0, rate=RATE, seed=0):
    t = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(seed).standard_normal(len(t))
    return (0.3 * np.sin(2 * np.pi * 440 * t) + 0.05 * noise).astype("float32")


def sound_bytes(path, samples, rate=RATE, **how) -> bytes:
    "A sound file's bytes, as soundfile writes them."
    sf.write(path, samples, rate, **how)
    return path.read_bytes()


def encode(path, samples, codec, rate=RATE, picture=False, tags=(), **how):
    "Write a sound file with FFmpeg; with a film of one second, if asked for."
    if codec == "flac":
        flac = path.with_suffix(".flac")
        sf.write(flac, samples, rate)
        return wrap(path, flac, tags)
    with av.open(str(path), "w", **how) as container:
        container.metadata.update(tags)
        stream = container.add_stream(codec, rate=rate, layout="mono")
        stream.bit_rate = 64_000
        film = None
        if picture:
            size = dict(width=64, height=64, pix_fmt="yuv420p")
            film = container.add_stream("mpeg4", rate=5, **size)
        integers = (samples[None] * 32767).astype("int16")
        frame = av.AudioFrame.from_ndarray(integers, format="s16", layout="mono")
        frame.sample_rate = rate
        for part in [frame, None]:
            container.mux(stream.encode(part))
        if film:
            pictures = [av.VideoFrame(64, 64, "yuv420p") for _ in range(5)]
            for part in [*pictures, None]:
                container.mux(film.encode(part))


def wrap(path, given_path, tags=()) -> None:
    "Another container around the packets of a sound file: PyAV writes no FLAC, for example."
    with av.open(str(given_path)) as given, av.open(str(path), "w") as container:
        container.metadata.update(tags)
        stream = container.add_stream_from_template(given.streams.audio[0])
        for packet in given.demux(given.streams.audio[0]):
            packet.stream = stream
            if packet.size:
                container.mux(packet)


def reason(path) -> str:
    try:
        read_middle(path)
    except AudioError as error:
        return str(error)
    return "used"


def frames_of_mp3(path, samples, **how) -> bytes:
    "An MP3 file without the frame that says how long it is."
    whole = sound_bytes(path, samples, **how)
    return whole[Stream(path).positions[0] :]


# the start of an MP3 file


@pytest.mark.parametrize(
    "before", [bytes(2000), TAG + bytes(1500), b"x" * 10, bytes(100_000), TAG + TAG + bytes(700)]
)
def test_mp3_that_starts_with_something_else(tmp_path, before):
    path = tmp_path / "song.mp3"
    path.write_bytes(before + frames_of_mp3(path, tone()))
    audio, _, duration = read_middle(path)
    assert duration == pytest.approx(8, abs=0.2)
    assert 0.15 < audio.std() < 0.3


# lengths


def test_mp3_that_says_less_than_there_is(tmp_path):
    path = tmp_path / "song.mp3"
    parts = [sound_bytes(path, tone(seconds), bitrate_mode="VARIABLE") for seconds in (4, 20)]
    path.write_bytes(b"".join(parts))
    assert read_middle(path)[2] == pytest.approx(24, abs=0.3)
    for frames in (0, 100):
        lying = bytearray(parts[1])
        at = max(lying.find(b"Xing"), lying.find(b"Info")) + 8
        lying[at : at + 4] = frames.to_bytes(4, "big")
        path.write_bytes(lying)
        assert read_middle(path)[2] == pytest.approx(20, abs=0.2)


def test_mp3_that_says_more_than_there_is(tmp_path):
    path = tmp_path / "song.mp3"
    whole = sound_bytes(path, tone(20))
    path.write_bytes(whole[: len(whole) * 6 // 10])
    assert reason(path).startswith(
        "truncated or damaged: the header promises 20.0 s, but the sound ends after 1"
    )


def test_a_part_of_a_counted_mp3_is_what_stands_in_the_file(tmp_path):
    path = tmp_path / "song.mp3"
    samples = np.concatenate([np.zeros(10 * RATE, "float32"), tone(30)])
    whole = sound_bytes(path, samples, bitrate_mode="VARIABLE")
    expected = sf.read(path, dtype="float32")[0]
    path.write_bytes(whole[Stream(path).positions[0] :])
    with open_sound(path) as sound:
        assert isinstance(sound, CountedMP3)
        part = np.concatenate(list(sound.blocks_from(15 * RATE, 5 * RATE)))[:, 0]
    assert len(part) == 5 * RATE
    errors = []
    for shift in range(500, 1700):  # what the encoder puts in front, and only the first frame told
        there = expected[15 * RATE - shift + 2000 :][:2000]
        errors.append(np.abs(part[2000:4000] - there).max())
    assert min(errors) < 1e-5


def test_long_mp3_needs_little_memory(tmp_path):
    path = tmp_path / "song.mp3"
    samples = np.concatenate([np.zeros(15 * RATE, "float32"), tone(45)])
    piece = frames_of_mp3(path, samples, bitrate_mode="VARIABLE")
    path.write_bytes(piece * 20)
    tracemalloc.start()
    duration = read_middle(path, 5)[2]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert duration == pytest.approx(1200, abs=3)
    assert peak < len(piece) * 20 / 2


def test_flac_of_unknown_length(tmp_path):
    path = tmp_path / "song.flac"
    streamed = bytearray(sound_bytes(path, tone(40), subtype="PCM_24"))
    expected = read_middle(path, 30, None)
    streamed[21] &= 0xF0
    streamed[22:26] = bytes(4)
    for before in (b"", TAG):
        path.write_bytes(before + streamed)
        audio, start, duration = read_middle(path, 30, None)
        assert (start, duration) == (5, 40)
        assert np.array_equal(audio, expected[0])


def write_ogg(path, samples, rate, kind):
    "Vorbis (ogg), Opus (opus) or FLAC (oga)."
    if kind == "oga":
        encode(path, samples, "flac", rate)
    else:
        subtype = "OPUS" if kind == "opus" else "VORBIS"
        sf.write(path, samples, rate, format="OGG", subtype=subtype)


@pytest.mark.parametrize("kind", ["ogg", "opus", "oga"])
def test_joined_ogg(tmp_path, kind):
    if kind == "ogg" and int(av.__version__.split(".")[0]) < 18:
        pytest.skip("FFmpeg before 8.1 loses the second part of joined Vorbis; it is listed")
    rate = 48000
    path = tmp_path / f"song.{kind}"
    parts = []
    for number, seconds in enumerate((3, 9)):
        write_ogg(path, tone(seconds, rate, number * (kind != "oga")), rate, kind)
        parts.append(path.read_bytes())
    path.write_bytes(b"".join(parts + parts[:1]))
    with open_sound(path) as sound:
        samples = np.concatenate(list(sound.blocks_from(0, sound.frames)))
    assert len(samples) == pytest.approx(15 * rate, abs=0.1 * rate)
    assert np.abs(samples[:: rate // 50]).max() > 0.1
    audio, start, duration = read_middle(path, 4, None)
    assert duration == pytest.approx(15, abs=0.1)
    assert start == pytest.approx(5.5, abs=0.1)
    assert audio.std() > 0.15
    path.write_bytes(b"".join(parts)[:-1])
    assert "last Ogg page is incomplete" in reason(path)


# kinds of files

KINDS = [
    ("song.m4a", "aac", {}),
    ("alac.m4a", "alac", {}),
    ("song.aac", "aac", dict(format="adts")),
    ("song.wma", "wmav2", {}),
    ("song.wv", "wavpack", {}),
    ("song.tta", "tta", {}),
    ("song.ac3", "ac3", {}),
    ("song.mka", "flac", {}),
    ("song.oga", "flac", {}),
]


@pytest.mark.parametrize("name, codec, how", KINDS, ids=[name for name, *_ in KINDS])
def test_what_libsndfile_does_not_read_is_used(tmp_path, name, codec, how):
    rate = 44100
    path = tmp_path / name
    encode(path, np.concatenate([tone(6, rate), np.zeros(6 * rate, "float32")]), codec, rate, **how)
    audio, start, duration = read_middle(path, 4, None)
    assert duration == pytest.approx(12, abs=0.1)
    assert start == pytest.approx(4, abs=0.1)
    assert audio[:80_000].std() == pytest.approx(0.218, abs=0.02)
    quiet = rate * 2 + 6000
    assert np.abs(audio[quiet:]).max() < 0.01


def test_aac_after_a_tag(tmp_path):
    path = tmp_path / "song.aac"
    encode(path, tone(), "aac", format="adts")
    path.write_bytes(TAG + path.read_bytes())
    assert read_middle(path)[2] == pytest.approx(8, abs=0.2)
    path.write_bytes(TAG + b"\xff\xf1\x50\x80" + bytes(5000))
    assert reason(path) == "damaged: it starts like AAC, but no sound can be read from it"


@pytest.mark.parametrize(
    "start, name",
    [
        (b"DSD ", "DSD"),
        (b"FRM8", "DSD"),
        (b"MPCK", "Musepack"),
        (b"MAC ", "Monkey's Audio"),
        (b"\x0bw\0\0", "AC-3"),
    ],
)
def test_broken_files_are_told_by_their_true_name(tmp_path, start, name):
    path = tmp_path / "song.mp3"
    path.write_bytes(start + bytes(5000))
    assert reason(path).startswith(f"damaged: it starts like {name}")


def test_what_is_no_sound_is_refused(tmp_path):
    (tmp_path / "film.mp4").touch()
    encode(tmp_path / "film.mp4", tone(), "aac", picture=True)
    (tmp_path / "list.mp3").write_text("#EXTM3U\n#EXTINF:9,x\nfile:///etc/passwd\n")
    (tmp_path / "zeros.mp3").write_bytes(bytes(100_000))
    (tmp_path / "notes.mp3").write_bytes(b"MThd\0\0\0\6" + bytes(99))
    expected = {
        "film.mp4": "format not supported: a video",
        "list.mp3": "not audio: text",
        "zeros.mp3": "not audio",
        "notes.mp3": "format not supported: MIDI",
    }
    found = {name: reason(tmp_path / name) for name in expected}
    assert all(found[name].startswith(start) for name, start in expected.items()), found


def test_a_cut_m4a_is_known(tmp_path):
    path = tmp_path / "song.m4a"
    encode(path, tone(20), "aac", container_options=dict(movflags="faststart"))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert reason(path).startswith("truncated or damaged: the header promises 20.0 s")


# channels


@pytest.mark.parametrize("channels", [3, 9, 24])
def test_channels_without_names(tmp_path, channels):
    samples = np.tile(tone()[:, None], (1, channels))
    sf.write(tmp_path / "song.wav", samples, RATE)
    wrap(tmp_path / "song.mka", tmp_path / "song.wav")
    from_wave = read_middle(tmp_path / "song.wav")[0]
    assert np.array_equal(read_middle(tmp_path / "song.mka")[0], from_wave)


@pytest.mark.parametrize("shares", [(1, -1), (1, -0.9), (-1, 0.95), (1, 1, 0, -1, -1), (1, -0.8)])
def test_channels_that_cancel(tmp_path, shares):
    path = tmp_path / "song.wav"
    sf.write(path, tone()[:, None] * np.array(shares, "float32"), RATE, subtype="FLOAT")
    audio = read_middle(path, 30, None)[0]
    assert np.allclose(np.abs(audio), np.abs(tone()) * np.abs(shares).mean(), atol=1e-5)


@pytest.mark.parametrize("shares", [(1, 1), (1, 0), (1, -0.5), (0.2, 1), (1, 1, 1)])
def test_other_channels_are_averaged_to_the_bit(tmp_path, shares):
    path = tmp_path / "song.wav"
    samples = tone()[:, None] * np.array(shares, "float32")
    sf.write(path, samples, RATE, subtype="FLOAT")
    expected = sum(samples.T[1:], samples[:, 0]) / np.float32(len(shares))
    assert np.array_equal(read_middle(path, 30, None)[0], expected)


# silence


@pytest.mark.parametrize(
    "sounding, start",
    [((0, 60, 150, 180), 30), ((120, 130), 110), ((0, 180), 75), ((0, 10), 0), ((175, 180), 150)],
)
def test_silence_in_the_middle(tmp_path, sounding, start):
    path = tmp_path / "song.flac"
    seconds = np.arange(180 * 8000) / 8000
    spans = list(zip(sounding[::2], sounding[1::2]))
    samples = tone(180, 8000) * sum((seconds >= a) & (seconds < b) for a, b in spans)
    sf.write(path, samples, 8000)
    audio, found, duration = read_middle(path)
    assert duration == 180
    assert found == pytest.approx(start, abs=20)
    at = round(found * 8000)
    error = read_middle(path, 30, None)[0] - samples[at : at + 30 * 8000]
    assert np.abs(error).max() < 1e-4
    longest = max(b - a for a, b in spans)
    assert (np.abs(audio) > 1e-3).mean() > 0.9 * min(30, longest) / 30


def test_silence_everywhere(tmp_path):
    sf.write(tmp_path / "song.flac", np.zeros(90 * RATE), RATE)
    assert reason(tmp_path / "song.flac").startswith("silent")


# tags


def test_tags_of_the_kind_apev2(tmp_path):
    path = tmp_path / "song.mp3"
    sf.write(path, tone(), RATE)
    tags = mutagen.apev2.APEv2()
    tags.update(GENRE=["Jazz", "Blues"], artist="Ana", Title="Um")
    tags.save(path)
    assert read_tags(path) == dict(genre="Jazz; Blues", artist="Ana", title="Um")
    other = mutagen.id3.ID3()
    other.add(mutagen.id3.TIT2(3, "Dois"))
    other.save(path)
    assert read_tags(path) == dict(genre="Jazz; Blues", artist="Ana", title="Dois")


@pytest.mark.parametrize(
    "name, codec",
    [("song.m4a", "aac"), ("song.mka", "flac"), ("song.wma", "wmav2"), ("song.wv", "wavpack")],
)
def test_tags_of_other_kinds(tmp_path, name, codec):
    tags = dict(genre="Jazz", artist="Ana", album="Mar", title="Um")
    encode(tmp_path / name, tone(1, 44100), codec, 44100, tags=tags)
    assert read_tags(tmp_path / name) == tags
