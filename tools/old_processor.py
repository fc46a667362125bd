"""Load and use every native package under emulated old processors, and say which of them die.

Wheels are built for the processors of those who build them: one that holds AVX-512 instructions,
say, dies with SIGILL on a machine without them, and no test on a newer machine shows it. qemu's
user-mode emulation runs this very Python as if the processor were an old one (Linux on x86-64
only).
"""

import argparse
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from importlib import metadata
from typing import NamedTuple

QEMU = "qemu-x86_64"
MISSING = f"{QEMU} is not installed. Debian and Ubuntu: apt-get install qemu-user."
PROCESSORS = {  # of the x86-64 levels, the first machine that has each
    "as it is": (),
    "v2 (Nehalem)": (QEMU, "-cpu", "Nehalem"),  # to SSE4.2
    "v3 (Haswell)": (QEMU, "-cpu", "Haswell"),  # to AVX2 and FMA
}
OPTIONAL = {"bliss-audio", "pymusly"}  # the report goes on without them
NEVER_LOADED = {"greenlet", "hypothesis"}  # for developing: no report loads them


class Use(NamedTuple):
    "A package, and a small program that uses it; it runs in an empty folder of its own."

    package: str
    code: str


class Outcome(NamedTuple):
    "How a use ended, in a word, and after how many seconds."

    word: str
    seconds: float

    @property
    def fine(self) -> bool:
        return self.word == "ok"


TONE = "import numpy as np; t = np.arange(22050) / 22050; x = .3 * np.sin(2765 * t)\n"
USES = [
    Use(
        "numpy",
        "import numpy as np; a = np.random.default_rng(0).random((40, 40))\n"
        "assert np.allclose(a @ np.linalg.inv(a), np.eye(40)); np.sort(a); np.fft.rfft(a)",
    ),
    Use(
        "scipy",
        "import numpy as np; from scipy import fft, linalg, optimize, spatial, signal\n"
        "fft.rfft(np.ones(256)); linalg.svd(np.ones((9, 9))); "
        "spatial.cKDTree(np.eye(9)).query(np.eye(9))\n"
        "optimize.nnls(np.eye(3), np.ones(3)); signal.resample_poly(np.ones(99), 2, 3)",
    ),
    Use(
        "scikit-learn",
        "import numpy as np; from sklearn.cluster import KMeans; from sklearn.decomposition "
        "import PCA\n"
        "from sklearn.neighbors import NearestNeighbors; X = np.random.default_rng(0).random((60, "
        "8))\n"
        "KMeans(3, n_init=1).fit(X); PCA(2).fit(X); NearestNeighbors().fit(X).kneighbors(X)",
    ),
    Use(
        "torch",
        "import torch; from torch import nn; torch.manual_seed(0)\n"
        "net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 1))\n"
        "step = torch.optim.Adam(net.parameters()); loss = net(torch.randn(4, 1, 8, "
        "8)).square().mean()\n"
        "loss.backward(); step.step(); assert (torch.randn(9, 9) @ torch.randn(9, "
        "9)).isfinite().all()",
    ),
    Use(
        "safetensors",
        "import numpy as np; from safetensors.numpy import load, save\n"
        "assert load(save({'a': np.arange(9.)}))['a'].sum() == 36",
    ),
    Use(
        "numba",
        "from numba import njit\n@njit\ndef total(n):\n    s = 0.\n    for i in range(n): s += i "
        "** .5\n    return s\n"
        "assert total(100) > 600",
    ),
    Use(
        "librosa",
        TONE + "import librosa\nm = librosa.feature.melspectrogram(y=x, sr=22050)\n"
        "librosa.feature.mfcc(S=librosa.power_to_db(m)); assert m.max() > 0",
    ),
    Use(
        "soundfile",
        TONE + "import soundfile as sf\n"
        "for kind in ('WAV', 'FLAC', 'OGG', 'MP3'):\n"
        "    sf.write('a', x, 22050, format=kind); assert len(sf.read('a')[0]) >= 22050",
    ),
    Use("soxr", TONE + "import soxr; assert len(soxr.resample(x, 22050, 16000)) == 16000"),
    Use(
        "av",
        "import av, fractions, numpy as np\n"
        "with av.open('a.m4a', 'w') as out:\n"
        "    stream = out.add_stream('aac', rate=44100)\n"
        "    frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), 'f4'), 'fltp', 'mono'); "
        "frame.rate = 44100\n"
        "    out.mux(stream.encode(frame)); out.mux(stream.encode(None))\n"
        "with av.open('a.m4a') as file: assert list(file.decode(audio=0))",
    ),
    Use(
        "faiss-cpu",
        "import faiss, numpy as np; X = np.random.default_rng(0).random((200, 16), 'f4')\n"
        "index = faiss.IndexFlatL2(16); index.add(X); assert (index.search(X, 1)[1][:, 0] == "
        "np.arange(200)).all()\n"
        "graph = faiss.IndexHNSWFlat(16, 8); graph.add(X); graph.search(X, 3)",
    ),
    Use(
        "pandas",
        "import pandas as pd; t = pd.DataFrame(dict(a=['x', 'y', 'x'], b=[1., 2., 3.]))\n"
        "t.to_csv('a.csv'); assert pd.read_csv('a.csv').groupby('a')['b'].sum()['x'] == 4",
    ),
    Use(
        "matplotlib",
        "import matplotlib; matplotlib.use('Agg'); import matplotlib.pyplot as plt\n"
        "plt.scatter([1, 2], [3, 4]); plt.contour([[0, 1], [1, 2]]); plt.savefig('a.png'); "
        "plt.savefig('a.pdf')",
    ),
    Use(
        "pillow",
        "from PIL import Image; Image.new('RGB', (9, 9)).resize((5, 5)).save('a.jpg'); "
        "Image.open('a.jpg').load()",
    ),
    Use(
        "midirenderer",
        "import mido, os, pretty_midi; from midirenderer import render_wave_from\n"
        "song = mido.MidiFile(); track = mido.MidiTrack(); song.tracks.append(track)\n"
        "track += [mido.Message('note_on', note=60), mido.Message('note_off', note=60, "
        "time=200)]; song.save('a.mid')\n"
        "font = os.path.join(os.path.dirname(pretty_midi.__file__), 'TimGM6mb.sf2')\n"
        "assert len(render_wave_from(open(font, 'rb').read(), open('a.mid', 'rb').read())) > 1000",
    ),
    Use(
        "bliss-audio",
        TONE + "import soundfile as sf; sf.write('a.wav', np.tile(x, 10), 22050)\n"
        "from bliss_audio import Song; assert len(Song('a.wav').analysis) > 9",
    ),
    Use(
        "pymusly",
        TONE + "from pymusly import MuslyJukebox; m = MuslyJukebox('timbre', 'none')\n"
        "assert len(m.serialize_track(m.track_from_audiodata(np.tile(x, 10).tolist()))) > 99",
    ),
    Use(
        "mutagen",
        TONE + "import soundfile as sf, mutagen; sf.write('a.flac', x, 22050)\n"
        "f = mutagen.File('a.flac'); f['title'] = 'A'; f.save(); assert "
        "mutagen.File('a.flac')['title'] == ['A']",
    ),
    Use(
        "bokeh",
        "from bokeh.plotting import figure; from bokeh.embed import file_html\n"
        "p = figure(); p.scatter([1, 2], [3, 4]); assert '<script' in file_html(p)",
    ),
    Use(
        "pyzmq",
        "import zmq; c = zmq.Context(); a = c.socket(zmq.PAIR); port = "
        "a.bind_to_random_port('tcp://127.0.0.1')\n"
        "b = c.socket(zmq.PAIR); b.connect(f'tcp://127.0.0.1:{port}'); a.send(b'x'); assert "
        "b.recv() == b'x'",
    ),
    Use("psutil", "import psutil; assert psutil.Process().memory_info().rss > 0"),
]


def is_compiled(file: metadata.PackagePath) -> bool:
    "Whether a package's file is compiled code."
    return re.search(r"\.(so|pyd)(\.|$)", file.name) is not None


@lru_cache
def native_packages() -> list[str]:
    "Names of the installed packages that bring compiled code."
    packages = [d for d in metadata.distributions() if any(map(is_compiled, d.files or []))]
    return sorted({re.sub(r"[-_.]+", "-", package.name).lower() for package in packages})


def loading(package: str) -> Use:
    "A use that only loads a package's compiled modules: for small ones that other packages bring."
    lines = ["from importlib import import_module"]
    for file in metadata.files(package) or []:
        module = re.fullmatch(r"(.+)\.(?:abi3|cpython[^/]*)\.so", str(file))
        if module and "test" not in module[1] and "_vendored" not in module[1]:
            lines.append(f"import_module({module[1].replace('/', '.')!r})")
    return Use(package, "\n".join(lines))


def all_uses() -> list[Use]:
    "The uses above of what is installed, and the loading of every other native package."
    named = {use.package for use in USES} | NEVER_LOADED | {"song-metric"}
    others = [loading(name) for name in native_packages() if name not in named]
    return [use for use in USES if version(use.package)] + others


def version(package: str) -> str:
    "The installed version of a package; '' where there is none."
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def run_use(use: Use, before: tuple[str, ...] = (), timeout: float = 600) -> Outcome:
    "Run a use in a process of its own, under the command `before`."
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        quiet = {"OMP_NUM_THREADS": "1", "QEMU_LOG_FILENAME": os.devnull}
        places = {"NUMBA_CACHE_DIR": folder, "MPLCONFIGDIR": folder}
        try:
            done = subprocess.run(
                [*before, sys.executable, "-c", use.code],
                cwd=folder,
                env={**os.environ, **quiet, **places},
                timeout=timeout,
                capture_output=True,
                text=True,
                errors="replace",
            )
        except subprocess.TimeoutExpired:
            return Outcome(f"not done after {timeout:.0f} s", timeout)
    return Outcome(ending(done.returncode, done.stderr), time.monotonic() - start)


def ending(status: int, errors: str) -> str:
    "An exit status in a word: ok, died (SIGILL), or failed with its last line."
    if status == 0:
        return "ok"
    number = -status if status < 0 else status - 128  # a shell, and some emulators, add 128
    if number in {s.value for s in signal.Signals}:
        return f"died ({signal.Signals(number).name})"
    last = (errors.strip().splitlines() or [f"status {status}"])[-1]
    return f"failed: {last[:90]}"


def check(
    uses: list[Use],
    processors: dict,
    jobs: int = 1,
    timeout: float = 600,
    told: Callable[[str], None] = print,
) -> dict[str, dict[str, Outcome]]:
    "Outcomes by package and processor; `told` gets a line for each use that has ended."
    tasks = [(use, name) for use in uses for name in processors]

    def run_task(task: tuple[Use, str]) -> Outcome:
        use, name = task
        outcome = run_use(use, processors[name], timeout)
        told(f"{use.package:<24} {name:<14} {outcome.word} ({outcome.seconds:.0f} s)")
        return outcome

    with ThreadPoolExecutor(jobs) as pool:
        outcomes = list(pool.map(run_task, tasks))
    found = {use.package: {} for use in uses}
    for (use, name), outcome in zip(tasks, outcomes):
        found[use.package][name] = outcome
    return found


def table(found: dict) -> str:
    "The outcomes as lines: package, version, and a word for each processor."
    names = list(next(iter(found.values())))
    rows = [("package", "version", *names)]
    for package, outcomes in found.items():
        label = package + (" (optional)" if package in OPTIONAL else "")
        rows.append((label, version(package), *(outcomes[name].word for name in names)))
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def broken(found: dict) -> list[str]:
    "Packages that are needed and do not work on some processor."
    return [
        package
        for package, outcomes in found.items()
        if package not in OPTIONAL and not all(outcome.fine for outcome in outcomes.values())
    ]


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    "What the command line asks for."
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("packages", nargs="*", help="only these (default: every native package)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes side by side")
    parser.add_argument("--timeout", type=float, default=600, help="seconds for each use")
    return parser.parse_args(arguments)


def why_not_here() -> str:
    "Why old processors cannot be emulated here; '' where they can."
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return "Old processors are emulated on Linux and x86-64 only."
    return "" if shutil.which(QEMU) else MISSING


def main(arguments: list[str] | None = None) -> int:
    "The command: 0 where all that is needed works, 1 where something dies, 2 where none can say."
    given = parse_arguments(arguments)
    uses = all_uses()
    if given.packages:
        uses = [use for use in uses if use.package in given.packages]
    problem = why_not_here()
    if not uses:
        problem = f"None of these is a native package here: {', '.join(given.packages)}."
    if problem:
        print(problem)
        return 2
    start = time.monotonic()
    print_now = partial(print, flush=True)
    found = check(uses, PROCESSORS, given.jobs, given.timeout, print_now)
    wrong = broken(found)
    verdict = "all that is needed works."
    if wrong:
        verdict = f"these would die, or fail, for some users: {', '.join(wrong)}."
    print(f"\n{table(found)}\n\nAfter {(time.monotonic() - start) / 60:.1f} minutes: {verdict}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
