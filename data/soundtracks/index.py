"""Write tracks.csv from Debian packages (.deb files) in a folder:

    python data/soundtracks/index.py FOLDER

It needs dpkg-deb and the package mutagen. What the files' tags do not say (artist, title) is taken
from the package's own lists; licences are as its copyright file gives them for the music.
"""

import csv
import hashlib
import io
import json
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from shutil import copyfileobj
from typing import IO, NamedTuple

import mutagen

from song_metric.sources.soundtracks import KEPT_FOR_JUDGING

SMALLEST = 300 * 1024  # smaller files are sound effects
SOUNDS = (".ogg", ".opus", ".mp3", ".flac", ".wav")
ARCHIVES = (".zip", ".pk3")  # zip archives; what is in them counts as if it lay in a folder


class Album(NamedTuple):
    "What a package does not say of its music in a form that a program can read."

    name: str
    licence: str  # of the music
    artist: str = ""  # where neither tags nor lists name one
    music: str = ""  # a pattern of the files that are music; all for none


PACKAGES = {
    "0ad-data": Album("0 A.D.", "CC-BY-SA-3.0", "Wildfire Games", "audio/music/"),
    "adonthell-data": Album("Adonthell: Waste's Edge", "GPL-2.0-or-later"),
    "amoebax-data": Album("Amoebax", "LAL-1.2", music="/music/"),
    "ardentryst": Album("Ardentryst", "CC-BY-SA-3.0", "Jordan Trudgett", "/Music/"),
    "berusky2-data": Album("Berusky 2", "GPL-2.0-or-later", music="/music/"),
    "colobot-common-sounds": Album("Colobot", "GPL-3.0-or-later", music="/music/"),
    "enigma-data": Album("Enigma", "GPL-2.0-only", music="/music/(game|menu/enigma)"),
    "fillets-ng-data": Album("Fish Fillets", "GPL-2.0-only", music="/music/"),
    "flare-game": Album("Flare", "CC-BY-SA-3.0", music="/music/.*_theme"),
    "freecol": Album("FreeCol", "CC-BY-4.0", "Alexander Zhelanov", "/music/"),
    "freedroidrpg-data": Album("FreedroidRPG", "GPL-2.0-or-later"),
    "fretsonfire-songs-sectoid": Album("Sectoid", "MIT", "Carlos Viola Iborra"),
    "gigalomania-data": Album("Gigalomania", "CC-BY-3.0", "Sindre Froyn", "/music/"),
    "gunroar-data": Album("Gunroar", "BSD-2-Clause", "Kenta Cho", "/musics/"),
    "hedgewars-data": Album("Hedgewars", "GPL-2.0-only"),
    "hyperrogue-music": Album("HyperRogue", "CC-BY-SA-3.0"),
    "lugaru-data": Album("Lugaru", "CC-BY-SA-3.0", music="/Music"),
    "marsshooter-data": Album("M.A.R.S.", "CC-BY-SA-3.0", "Obsidian Shell"),
    "mu-cade-data": Album("Mu-cade", "BSD-2-Clause", "Kenta Cho", "/musics/"),
    "neverball-common": Album("Neverball", "GPL-2.0-or-later", music="/bgm/"),
    "nexuiz-music": Album("Nexuiz", "GPL-2.0-or-later"),
    "noiz2sa-data": Album("Noiz2sa", "BSD-2-Clause", "Kenta Cho"),
    "openarena-088-data": Album("OpenArena", "GPL-2.0-or-later", music="/music/OA"),
    "parsec47-data": Album("PARSEC47", "BSD-2-Clause", "Kenta Cho"),
    "planetblupi-music-ogg": Album("Planet Blupi", "GPL-3.0-or-later"),
    "pushover-data": Album("Pushover", "GPL-3.0-or-later", "Roberto Lorenz"),
    "redeclipse-data": Album(
        "Red Eclipse", "CC-BY-SA-3.0", 'Derek "JoJo" Stegall', "/music/track_"
    ),
    "singularity-music": Album("Endgame: Singularity", "CC-BY-SA-3.0"),
    "torus-trooper-data": Album("Torus Trooper", "BSD-2-Clause", "Kenta Cho", "/musics/"),
    "trackballs-data": Album("Trackballs", "GPL-2.0-or-later", music="/music/tb_"),
    "tumiki-fighters-data": Album("Tumiki Fighters", "BSD-2-Clause", "Kenta Cho"),
    "ufoai-music": Album(
        "UFO: Alien Invasion", "CC-BY-SA-3.0", music="/music/(?!alBasrahM|greecei|turinItalyM)"
    ),  # those three are in the public domain, which has no SPDX name
    "unknown-horizons": Album("Unknown Horizons", "CC-BY-SA-3.0", music="/music/"),
    "warmux-data": Album("WarMUX", "GPL-2.0-or-later", music="/music/"),
    "warzone2100-music": Album("Warzone 2100", "GPL-2.0-or-later", "Martin Severn"),
    "wesnoth-1.16-music": Album("The Battle for Wesnoth", "GPL-2.0-or-later"),
    "wordwarvi-sound": Album("Word War vi", "CC-BY-SA-3.0", "Stephen M. Cameron"),
    "zaz-data": Album("Zaz", "CC-BY-SA-3.0", music="/mus"),
}
# package → beginnings of file names → what the copyright file gives for these files
LICENCES = {
    "ufoai-music": {
        "AlexFightmare": "GPL-2.0-only",
        "David": "CC-BY-3.0",
        "Psymong": "GPL-2.0-only",
        "azrael1": "CC-BY-3.0",
        "dawn": "GPL-2.0-only",
        "dbsea": "GPL-2.0-only",
        "karlmacklin": "CC-BY-3.0",
        "space": "GPL-2.0-only",
        "ufo1": "GPL-2.0-only",
        "ufo2": "GPL-2.0-only",
        "van_": "CC-BY-3.0",
    }
}
# the same for artists, as copyright files and lists of authors name them; one spelling for each
ARTISTS = {
    "amoebax-data": {"": "Àlex Almarza"},
    "berusky2-data": {"": "Martin Linda"},
    "hyperrogue-music": {
        "hr-domina": "Lincoln Domina",
        "hr-savino": "Will Savino",
        "hr3-": "Shawn Parrotte",
    },
    "nexuiz-music": {
        "calling-bogus": "Gerd (elysis) Raudenbusch",
        "neuronal-diving": "Gerd (elysis) Raudenbusch",
        "subcities": "Gerd (elysis) Raudenbusch",
        "thru-the-mirror": "Gerd (elysis) Raudenbusch",
    },
    "trackballs-data": {
        "tb_design": "Dietrich Radel",
        "tb_genesis": "Dietrich Radel",
        "tb_hrluebke": "Marco Göbel",
        "tb_plinkeplanke": "Marco Göbel",
        "tb_schizophrenia": "Attila Boros",
        "tb_sorrow": "Attila Boros",
    },
    "ufoai-music": {
        "AlexFightmare": "Alex Parker",
        "Crystan": "Christian Hoffmann",
        "David": "David Reeves",
        "Marine": "Marine Baklund",
        "Psymong": "Simon Green",
        "TheThings": "Slippycurb",
        "azrael1": "azrael1322",
        "ufo1": "Paul Bee",
        "ufo2": "Paul Bee",
        "van_": "Manuel Marino",
    },
    "warmux-data": {
        "Divertissement": "Lawrence Azzoug",
        "Mike_Errecart": "Mike Errecart",
        "Olivier_Militon": "Olivier Militon",
        "circux": "Sébastien Sabouret",
        "construction": "Lawrence Azzoug",
        "diabolicux": "Sébastien Sabouret",
        "exoticux": "Sébastien Sabouret",
        "woodlux": "Sébastien Sabouret",
    },
}
# titles in tags that say less than the name of the file
UNTITLED = re.compile(r"\.mp3|^\W|^\d+ - Track")


def lists(contents: dict) -> dict[str, tuple[str, str]]:
    "{member: (artist, title)} from album.json files."
    found = {}
    for name, data in contents.items():
        if PurePosixPath(name).name == "album.json":
            for track in json.loads(data)["tracks"]:
                found[str(PurePosixPath(name).parent / track["filename"])] = (
                    track["author"],
                    track["title"],
                )
    return found


def named(names: dict[str, str], name: str) -> str:
    "What is given for a file's name by its beginning; '' for none."
    return next((value for start, value in names.items() if name.startswith(start)), "")


def is_wanted(name: str, size: int, music: str) -> bool:
    "Whether a file is music, or a list of it."
    if name.endswith("album.json"):
        return True
    return size > SMALLEST and name.endswith(SOUNDS) and re.search(music, name) is not None


def zipped(file: IO[bytes], top: str, music: str) -> Iterator[tuple[str, bytes]]:
    "(path, content) of what is wanted of a zip archive."
    with tempfile.TemporaryFile() as whole:
        copyfileobj(file, whole)
        with zipfile.ZipFile(whole) as archive:
            for member in archive.infolist():
                if is_wanted(f"{top}/{member.filename}", member.file_size, music):
                    yield f"{top}/{member.filename}", archive.read(member)


def files(deb: Path, music: str) -> Iterator[tuple[str, bytes]]:
    "(path, content) of what is wanted of a package."
    words = ["dpkg-deb", "--fsys-tarfile", deb]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
            for member in filter(tarfile.TarInfo.isfile, archive):
                name = member.name.removeprefix("./")
                if name.endswith(ARCHIVES):
                    yield from zipped(archive.extractfile(member), name, music)
                elif is_wanted(name, member.size, music):
                    yield name, archive.extractfile(member).read()


def tags_of(data: bytes) -> dict[str, str]:
    "Artist and title in a file's tags, '' where there are none."
    file = mutagen.File(io.BytesIO(data), easy=True)
    tags = (file.tags if file else None) or {}
    return {key: tags.get(key, [""])[0].strip() for key in ("artist", "title")}


def rows(deb: Path) -> list[dict]:
    "The tracks of a package."
    words = ["dpkg-deb", "-W", "--showformat=${Package}\t${Version}", deb]
    told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    package, version = told.split("\t")
    album = PACKAGES[package]
    contents = dict(files(deb, album.music))
    listed = lists(contents)
    sounds = {name: data for name, data in contents.items() if not name.endswith(".json")}
    twice = Counter(PurePosixPath(name).name for name in sounds)
    folder = package.removesuffix("-data").removesuffix("-ogg").removesuffix("-music")
    found = []
    for name, data in sorted(sounds.items()):
        path = PurePosixPath(name)
        tags = tags_of(data)
        if UNTITLED.search(tags["title"]):
            tags["title"] = ""
        by, title = listed.get(name, (named(ARTISTS.get(package, {}), path.name), ""))
        base = path.name if twice[path.name] == 1 else f"{path.parent.name}-{path.name}"
        found.append(
            dict(
                package=package,
                version=version,
                member=name,
                file=f"{folder}/{base}",
                album=album.name,
                artist=by or tags["artist"] or album.artist,
                title=title or tags["title"] or PurePosixPath(base).stem.rpartition(".-.")[2],
                licence=named(LICENCES.get(package, {}), path.name) or album.licence,
                bytes=len(data),
                sha256=hashlib.sha256(data).hexdigest(),
            )
        )
    return found


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    table = [row for deb in sorted(Path(sys.argv[1]).glob("*.deb")) for row in rows(deb)]
    with open(Path(__file__).with_name("tracks.csv"), "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, table[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)
    packages = {row["package"] for row in table}
    size = sum(row["bytes"] for row in table) / 1e6
    print(f"{len(table)} tracks of {len(packages)} packages, {size:.0f} MB")
    for name in KEPT_FOR_JUDGING:
        count = sum(row["album"] == name for row in table)
        print(f"{name}: {count} tracks, which weights that ship never learn from")
