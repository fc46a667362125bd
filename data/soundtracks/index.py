"""Write tracks.csv from Debian packages (.deb files) in a folder:

    python data/soundtracks/index.py FOLDER

It needs dpkg-deb and the package mutagen. What the files' tags do not say (artist, title) is taken
from the package's own lists; licences are as its copyright file gives them for the music.
"""

import csv
import hashlib
import io
import json
import subprocess
import sys
import tarfile
from collections import Counter
from pathlib import Path, PurePosixPath

import mutagen

SMALLEST = 300 * 1024  # smaller files are sound effects
# package → album, licence of the music, artist where neither tags nor lists name one
PACKAGES = {
    "freedroidrpg-data": ("FreedroidRPG", "GPL-2.0-or-later", ""),
    "fretsonfire-songs-sectoid": ("Sectoid", "MIT", "Carlos Viola Iborra"),
    "hedgewars-data": ("Hedgewars", "GPL-2.0-only", ""),
    "hyperrogue-music": ("HyperRogue", "CC-BY-SA-3.0", ""),
    "marsshooter-data": ("M.A.R.S.", "CC-BY-SA-3.0", "Obsidian Shell"),
    "planetblupi-music-ogg": ("Planet Blupi", "GPL-3.0-or-later", ""),
    "singularity-music": ("Endgame: Singularity", "CC-BY-SA-3.0", ""),
    "warzone2100-music": ("Warzone 2100", "GPL-2.0-or-later", "Martin Severn"),
    "wesnoth-1.16-music": ("The Battle for Wesnoth", "GPL-2.0-or-later", ""),
}
ARTISTS = {
    "hr-domina": "Lincoln Domina",
    "hr-savino": "Will Savino",
    "hr3-": "Shawn Parrotte",
}  # as hyperrogue's copyright file gives them


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


def rows(deb: Path) -> list[dict]:
    package, version = subprocess.run(
        ["dpkg-deb", "-W", "--showformat=${Package}\t${Version}", deb],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\t")
    album, licence, artist = PACKAGES[package]
    archive = tarfile.open(
        fileobj=io.BytesIO(
            subprocess.run(
                ["dpkg-deb", "--fsys-tarfile", deb], capture_output=True, check=True
            ).stdout
        )
    )
    contents = {
        m.name.removeprefix("./"): archive.extractfile(m).read()
        for m in archive
        if m.isfile()
        and (
            m.name.endswith("album.json")
            or m.size > SMALLEST
            and m.name.endswith((".ogg", ".opus", ".mp3", ".flac", ".wav"))
        )
    }
    listed, sounds = (
        lists(contents),
        {name: data for name, data in contents.items() if not name.endswith(".json")},
    )
    twice, found = Counter(PurePosixPath(name).name for name in sounds), []
    for name, data in sorted(sounds.items()):
        path, file = PurePosixPath(name), mutagen.File(io.BytesIO(data), easy=True)
        tags = {
            key: (file.tags or {}).get(key, [""])[0] if file else "" for key in ("artist", "title")
        }
        by, title = listed.get(
            name,
            (next((who for start, who in ARTISTS.items() if path.name.startswith(start)), ""), ""),
        )
        folder = package.removesuffix("-data").removesuffix("-ogg").removesuffix("-music")
        base = path.name if twice[path.name] == 1 else f"{path.parent.name}-{path.name}"
        found.append(
            dict(
                package=package,
                version=version,
                member=name,
                file=f"{folder}/{base}",
                album=album,
                artist=by or tags["artist"] or artist,
                title=title or tags["title"] or PurePosixPath(base).stem,
                licence=licence,
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
