#!/usr/bin/env python3
"""Compose the demo corpus: songs of 15 genres, arranged by Musical MIDI Accompaniment (mma) and
given melodies here.

    python data/demo/compose.py         # the corpus that ships: 15 genres x 60 songs
    python data/demo/compose.py --seed 2019 --songs-per-genre 120 --artists 30 --production \
        --out data/cache/choose         # another corpus, of other bands, each song produced

It writes `songs.csv` (one row a song) and `midi.tar.xz` (one MIDI file a song, about 30 seconds
each) to the folder `--out`, and needs mma (Debian and Ubuntu: `apt install mma`; version 21.09 made
the corpus that ships) with the Python packages mido and tqdm. A song depends only on the corpus
seed, its genre, its artist's index and its number: a larger corpus contains the smaller one, song
for song. Corpora of different seeds have no song and no band in common. Stopped and started again,
it goes on.

How a song is made: an artist is a band, drawn once: its grooves (some borrowed from a neighbouring
genre), the sound of each of its players, its mix, its tempo range, its way of building melodies. A
song of the band takes one groove, a key, a tempo, one chord progression for the verse and one for
the chorus, and a form. mma turns grooves and chords into an accompaniment. Drum-machine grooves
(mma's `zoom` library) have no bass and no chords: the band plays these from the rhythms in RIFFS
and BASSES. A melody with motifs, repetition and rests goes on top. The whole is cut at 30.5
seconds.

With --production, every two songs of a band were recorded in one session. What a session sounds
like (SoundFont, equaliser, compressor, reverberation, hiss) is drawn without regard to genre, and
is written into the MIDI file as a text, `song_metric production {...}`, which the renderer obeys.
"""

import argparse
import csv
import hashlib
import io
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

CORPUS_SEED = 2018  # of the corpus that ships
SESSION = 2  # songs of a band that are produced alike
FONTS = {"TimGM6mb": 4, "FluidR3_GM": 3, "sf_GMbank": 3}  # how often each is used
SECONDS = 30.5  # a preview is 30 seconds; the rest lets the last notes ring
BORROWED_GROOVE, BORROWED_SOUND, CROSSOVER = (
    0.3,
    0.06,
    0.06,
)  # how often a band, one of its players, a song comes from a neighbouring genre
PPQ = 192  # mma's ticks in a quarter note
COLUMNS = [
    "song_id",
    "genre",
    "artist",
    "album",
    "title",
    "file",
    "sha256",
    "bytes",
    "seed",
    "groove",
    "tempo",
    "key",
    "mode",
    "beats",
    "lead",
    "crossover",
]

# ------------------------------------------------------------------------------------------- genres
# grooves: "library:Groove slowest-fastest", in beats a minute. Sounds are General MIDI programs
# from 0, by family of instruments: a band
# draws one of each, the first of a list most often. A family that a genre does not name goes to the
# genre's riff_patch, or keeps the
# groove's own sound. chords name lists of CHORDS. mix shifts the loudness of the players, swaps
# replaces drums (ride for hi-hat, rim for snare ...).
GENRES = {
    "blues": dict(
        grooves="stdlib:Blues 84-124, stdlib:SlowBlues 60-84, stdlib:FastBlues 140-184, "
        "stdlib:CountryBlues 92-138, stdlib:Blues128 62-88, "
        "stdlib:BoggieWoggie 112-156, casio:Blues 92-128, casio:ShuffleBoogie 112-156, "
        "stdlib:ShuffleBoggie 112-150, zoom:BLUS01 84-120, "
        "zoom:BLUS02 76-116, zoom:SHFL01 96-132, casio:SlowRock 66-90",
        chords=["blues"] * 4 + ["shared"],
        scales=["blues", "blues", "minor_pentatonic", "mixolydian"],
        minor=0.2,
        swing=0.8,
        density=(0.35, 0.6),
        lead=[27, 22, 66, 26, 29, 0, 16],
        kit=[0, 8, 0, 32],
        keys=[0, 1, 3, 4],
        organ=[16, 17, 18],
        guitar=[25, 26, 27, 29],
        bass=[32, 33, 34],
        riffs=["strum", "stab", "shuffle"],
        basses=["walk", "root8", "boogie"],
        riff_patch=[0, 3, 16, 26, 27],
        mix=dict(drum=-8, lead=6),
        swaps=[{}, {42: 51}, {38: 37}],
        neighbours=["jazz", "rock", "soul", "swing", "country"],
    ),
    "bossa": dict(
        grooves="stdlib:BossaNova 112-150, stdlib:Samba 92-124, kara:kbossaA 112-146, "
        "yamaha:JazzBossaA 112-146, stdlib:Beguine 100-132, "
        "stdlib:JazzRhumba 104-136, yamaha:QuandoGSMainA 116-146, zoom:BOSSA01 104-140, "
        "zoom:BOSSA02 104-140, zoom:SAMBA01 92-120, stdlib:LatinWaltz 110-150",
        chords=["jazz", "jazz", "bossa", "bossa", "shared"],
        scales=["major", "major", "dorian", "pentatonic"],
        minor=0.3,
        swing=0,
        density=(0.2, 0.45),
        lead=[73, 24, 66, 11, 75, 71, 26],
        kit=[40, 32, 0],
        keys=[0, 4, 5, 11],
        guitar=[24, 24, 26],
        strings=[48, 49, 89],
        bass=[32, 35, 33],
        riffs=["bossa", "bossa", "pad"],
        basses=["bossa", "bossa"],
        riff_patch=[24, 24, 4, 0],
        mix=dict(drum=-34, bass=-6, chord=8, lead=-6),
        swaps=[{42: 70, 38: 37}, {38: 37}, {42: 70}],
        neighbours=["jazz", "latin", "folk", "pop"],
    ),
    "country": dict(
        grooves="stdlib:SlowCountry 76-104, stdlib:CountrySwing 112-156, stdlib:WesternSwing "
        "120-164, stdlib:BlueGrass 96-132, stdlib:HillCountry 92-132, "
        "stdlib:CountryWaltz 92-138, yamaha:JazzCountryMainA 112-156, yamaha:WesternMainA "
        "104-150, zoom:CNTR01 96-132, zoom:CNTR03 96-136, "
        "stdlib:CountryBlues 96-136, stdlib:EasySwing 104-140, stdlib:FolkRock 96-124, "
        "casio:PopShuffle1 100-132",
        chords=["country", "country", "country", "shared"],
        scales=["major", "pentatonic", "pentatonic"],
        minor=0.08,
        swing=0.3,
        density=(0.3, 0.6),
        lead=[110, 25, 27, 105, 22, 40, 26],
        kit=[0, 40, 8],
        keys=[0, 1, 3],
        guitar=[25, 25, 27, 105],
        strings=[48, 110, 49],
        bass=[32, 33, 33],
        riffs=["boomchick", "strum", "strum"],
        basses=["twobeat", "twobeat", "root8"],
        riff_patch=[25, 25, 27, 105],
        mix=dict(drum=-20, chord=11, riff=14),
        swaps=[{}, {38: 37}, {}],
        neighbours=["folk", "rock", "blues", "pop"],
    ),
    "electronic": dict(
        grooves="casio:Techno 124-142, casio:Trance1 130-142, casio:Trance2 130-142, casio:House "
        "118-130, casio:Dance1 120-134, casio:Dance2 120-134, "
        "casio:Rave 138-156, casio:DancePop3 116-130, casio:Ambient1 84-110, casio:Ambient2 "
        "84-110, stdlib:Trance 128-142, alexis:TeamTechno 124-140, "
        "casio:LatinHouse 120-130, zoom:HOUS01 118-130, zoom:TECH01 124-142, zoom:TECH05 124-142, "
        "zoom:DnB01 156-174, zoom:DnB03 156-174, zoom:AMB01 84-110, zoom:DANC02 118-132",
        chords=["loop", "loop", "loop", "shared"],
        scales=["minor", "minor_pentatonic", "dorian"],
        minor=0.8,
        swing=0,
        density=(0.35, 0.8),
        lead=[81, 80, 90, 87, 62, 84, 4, 88],
        kit=[24, 25, 8],
        keys=[0, 4, 5, 90],
        organ=[16, 17, 90],
        guitar=[28, 81, 90],
        strings=[50, 51, 48, 89],
        brass=[62, 63],
        synth=[81, 90, 88, 89, 95],
        bass=[38, 39, 38, 87],
        riffs=["arp16", "stab", "offbeat", "pad", "trance"],
        basses=["offbass", "root16", "sub", "octaves"],
        riff_patch=[81, 90, 80, 50, 62, 89],
        mix=dict(drum=14, bass=11, lead=-6, riff=6),
        swaps=[{}, {38: 40}, {38: 39}],
        register=5,
        neighbours=["pop", "hiphop", "funk"],
    ),
    "folk": dict(
        grooves="stdlib:Folk 84-126, stdlib:FolkRock 92-124, stdlib:FolkBallad 66-92, "
        "stdlib:BlueFolk 84-118, stdlib:GuitarBallad 66-92, stdlib:Arpeggio4 70-104, "
        "stdlib:FrenchWaltz 120-164, stdlib:Zydeco 108-144, stdlib:HillCountry 88-124, "
        "stdlib:StringBallad 66-92, stdlib:Waltz 96-140, stdlib:ArpeggioWaltz 96-140, "
        "stdlib:FolkyJazzGuitar 96-130, stdlib:CountryWaltz 92-130, stdlib:Ballad 70-96",
        chords=["folk", "folk", "country", "shared"],
        scales=["major", "pentatonic", "dorian", "minor"],
        minor=0.35,
        swing=0.1,
        density=(0.25, 0.6),
        lead=[25, 73, 21, 110, 74, 24, 22, 15],
        kit=[40, 40, 0],
        keys=[0, 0, 46, 15],
        guitar=[24, 25, 25],
        strings=[48, 42, 110],
        bass=[32, 32, 33],
        riffs=["strum", "arp8", "boomchick"],
        basses=["twobeat", "root2"],
        riff_patch=[25, 24, 105],
        nodrums=0.4,
        mix=dict(drum=-48, bass=-17, chord=14, riff=11),
        swaps=[{42: 70}, {}],
        neighbours=["country", "pop", "bossa", "rock"],
    ),
    "funk": dict(
        grooves="casio:Funk1 96-116, casio:Funk2 96-116, kara:Kfunk1A 98-120, stdlib:BVFunk "
        "96-116, stdlib:Strut 92-116, stdlib:LFusion 96-120, casio:Fusion 98-120, "
        "stdlib:JazzRock 100-126, casio:DiscoSoul 106-124, zoom:FUNK01 92-116, zoom:FUNK04 "
        "92-116, zoom:FUNK07 92-116, zoom:FUNK10 92-116, zoom:16FUS02 92-112, "
        "zoom:FUS03 98-122, casio:16Beat2 92-112, casio:16Shuffle2 88-106",
        chords=["funk", "funk", "funk", "loop"],
        scales=["minor_pentatonic", "blues", "dorian", "mixolydian"],
        minor=0.6,
        swing=0,
        density=(0.4, 0.8),
        lead=[61, 66, 17, 65, 62, 7, 27],
        kit=[8, 0, 16],
        keys=[4, 5, 7, 7],
        organ=[16, 17, 18],
        guitar=[27, 28, 28],
        strings=[48, 50],
        brass=[61, 62, 61],
        synth=[62, 81, 90],
        bass=[36, 37, 33, 38],
        riffs=["funk16", "funk16", "clav", "stab"],
        basses=["funk1", "funk2", "funk3"],
        riff_patch=[28, 27, 7, 4, 61, 16],
        mix=dict(drum=8, bass=17, lead=-11),
        swaps=[{}, {38: 40}, {}],
        neighbours=["soul", "hiphop", "jazz", "rock", "electronic"],
    ),
    "hiphop": dict(
        grooves="casio:Hip-Hop 84-102, alexis:HipHop 84-102, casio:TripHop 78-98, zoom:HIP01 "
        "80-102, zoom:HIP03 80-102, zoom:HIP05 80-102, zoom:HIP08 80-102, "
        "zoom:HIP11 80-102, zoom:HIP14 80-102, zoom:HIP17 80-102, zoom:HIP20 80-102, zoom:HIP23 "
        "80-102, zoom:TRIP01 76-96, zoom:TRIP03 76-96, casio:ModernR&B 80-100",
        chords=["loop", "loop", "funk", "shared"],
        scales=["minor_pentatonic", "minor", "dorian"],
        minor=0.75,
        swing=0.2,
        density=(0.15, 0.6),
        lead=[53, 4, 11, 80, 73, 46, 14, 27],
        kit=[25, 24, 0],
        keys=[4, 5, 0, 11],
        organ=[16, 17],
        guitar=[27, 28, 24],
        strings=[48, 50, 45],
        brass=[61, 62],
        synth=[89, 81, 88],
        bass=[38, 39, 33, 35],
        riffs=["sample", "sample", "pad", "stab", "arp8"],
        basses=["sub", "sub2", "funk1"],
        riff_patch=[4, 0, 48, 11, 45, 89, 46, 61],
        mix=dict(drum=20, bass=20, chord=-17, lead=-25, other=-11),
        swaps=[{}, {38: 39}, {38: 40}],
        register=-5,
        neighbours=["soul", "funk", "electronic", "reggae"],
    ),
    "jazz": dict(
        grooves="stdlib:JazzCombo 112-190, stdlib:MellowJazz 84-124, stdlib:ModernJazz 112-170, "
        "stdlib:Evansish 96-150, stdlib:NiteJazz 84-120, stdlib:Bebop 160-230, "
        "stdlib:JazzGuitar 104-160, stdlib:SlowJazz 64-92, yamaha:JazzTrioMainA 112-170, "
        "yamaha:JazzGrTrioMainA 112-170, casio:JazzCombo 120-170, casio:ModernJazz 120-170, "
        "stdlib:JazzWaltz 112-170, zoom:JAZZ01 112-180, zoom:JAZZ04 112-180, stdlib:GypsyJazz "
        "130-190, yamaha:JazzWaltzMainA 112-160",
        chords=["jazz", "jazz", "jazz", "bossa", "blues"],
        scales=["major", "dorian", "mixolydian", "blues"],
        minor=0.35,
        swing=1,
        density=(0.4, 0.85),
        lead=[66, 59, 0, 26, 65, 11, 56, 71],
        kit=[32, 40, 32, 0],
        keys=[0, 0, 11, 4],
        guitar=[26, 26, 24],
        strings=[48, 49],
        brass=[61, 59],
        bass=[32, 32, 32, 35],
        riffs=["charleston", "charleston", "pad"],
        basses=["walk", "walk"],
        riff_patch=[0, 26, 11, 4],
        nodrums=0.08,
        mix=dict(drum=-22, bass=-3, lead=3),
        swaps=[{42: 51}, {}, {42: 51, 38: 37}],
        neighbours=["swing", "bossa", "blues", "funk"],
    ),
    "latin": dict(
        grooves="stdlib:Salsa 84-108, stdlib:Mambo 92-120, stdlib:ChaCha 108-128, stdlib:Merengue "
        "112-140, stdlib:Son 88-116, stdlib:Rhumba 96-128, stdlib:Bolero 80-108, "
        "yamaha:Salsa1MainA 88-108, yamaha:Salsa2MainA 88-108, yamaha:MamboMainA 92-120, "
        "casio:LatinFusion 100-124, stdlib:Calypso 100-130, stdlib:Tango 104-128, "
        "stdlib:CubanGuitar 96-124, zoom:LATN03 92-120, zoom:LATN08 92-120, stdlib:Afro-Cuban "
        "100-130",
        chords=["latin", "latin", "latin", "bossa", "shared"],
        scales=["minor", "major", "harmonic_minor", "dorian"],
        minor=0.6,
        swing=0,
        density=(0.35, 0.7),
        lead=[56, 61, 73, 57, 12, 21, 40],
        kit=[0, 0, 8],
        keys=[0, 0, 1, 12],
        guitar=[24, 24, 25],
        strings=[48, 49],
        brass=[61, 61, 56],
        bass=[32, 33, 35],
        riffs=["montuno", "montuno", "strum"],
        basses=["tumbao", "tumbao"],
        riff_patch=[0, 1, 24, 12],
        mix=dict(drum=-3, chord=3, riff=11),
        swaps=[{}, {42: 70}, {38: 37}],
        neighbours=["bossa", "jazz", "pop", "reggae"],
    ),
    "metal": dict(
        grooves="casio:HeavyMetal 116-152, pflib:metal1A 112-160, pflib:metal2A 112-168, "
        "zoom:MTL01 100-150, zoom:MTL02 100-150, zoom:MTL03 100-150, zoom:MTL04 100-150, "
        "zoom:THRS01 150-186, zoom:THRS02 150-186, zoom:HRK01 100-140, zoom:HRK03 100-140, "
        "zoom:HRK06 100-140, zoom:PUNK01 150-184, zoom:PUNK02 150-184, casio:DigitalRock 112-140",
        chords=["metal", "metal", "metal", "loop"],
        scales=["minor", "phrygian", "harmonic_minor", "minor_pentatonic"],
        minor=0.95,
        swing=0,
        density=(0.3, 0.95),
        lead=[30, 30, 29, 84, 81],
        kit=[16, 16, 8],
        keys=[30, 29, 48],
        organ=[16, 18, 30],
        guitar=[29, 30, 30],
        strings=[30, 48, 52],
        synth=[30, 84, 81],
        bass=[34, 33, 34],
        riffs=["chug8", "gallop", "chug16", "power", "punk8"],
        basses=["root8", "root16", "gallopbass"],
        riff_patch=[30, 30, 29],
        mix=dict(drum=6, chord=11, riff=20, lead=-8),
        swaps=[{42: 51, 44: 51}, {42: 46}, {38: 40}],
        register=4,
        neighbours=["rock", "rock", "electronic"],
    ),
    "pop": dict(
        grooves="casio:Pop 100-124, casio:8BeatPop1 96-126, casio:8BeatPop2 96-126, "
        "casio:8BeatPop3 96-126, casio:80sPop 104-128, casio:ElectricPop 108-130, "
        "casio:DancePop1 112-128, "
        "casio:DancePop2 112-128, casio:WorldPop 96-118, casio:SoulPop 96-122, casio:PopBallad "
        "66-90, stdlib:PopBallad 68-92, stdlib:8Beat 92-126, stdlib:BoneyM 108-128, "
        "casio:16Beat1 88-112, casio:PopShuffle2 104-132, zoom:POP02 96-124, zoom:POP07 96-124, "
        "casio:8BeatDance 112-130, pflib:16beat1A 90-112",
        chords=["pop", "pop", "shared", "shared", "loop"],
        scales=["major", "pentatonic", "minor"],
        minor=0.3,
        swing=0.05,
        density=(0.25, 0.6),
        lead=[81, 53, 80, 90, 0, 66, 27, 73, 11],
        kit=[8, 24, 0, 25],
        keys=[0, 4, 5, 2],
        organ=[16, 17, 90],
        guitar=[25, 27, 28],
        strings=[48, 50, 49, 89],
        brass=[61, 62],
        synth=[81, 89, 90, 88],
        bass=[33, 34, 38, 39, 35],
        riffs=["pad", "arp8", "strum", "offbeat", "piano8"],
        basses=["root8", "octaves", "root2", "sub"],
        riff_patch=[0, 4, 27, 25, 90, 50],
        mix=dict(drum=-3, other=11, lead=3),
        swaps=[{}, {38: 40}, {}],
        register=3,
        neighbours=["rock", "electronic", "soul", "folk"],
    ),
    "reggae": dict(
        grooves="zoom:REGG01 68-88, zoom:REGG02 68-88, zoom:REGG03 68-88, zoom:REGG04 68-88, "
        "zoom:SKA01 112-156, zoom:SKA02 112-156, zoom:SKA03 112-156, zoom:SKA04 112-156, "
        "zoom:LATN05 84-108, stdlib:Calypso 96-120",
        chords=["reggae", "reggae", "shared", "loop"],
        scales=["major", "minor_pentatonic", "pentatonic", "minor"],
        minor=0.45,
        swing=0.1,
        density=(0.2, 0.55),
        lead=[16, 57, 22, 66, 27, 114, 53],
        kit=[0, 8, 0, 16],
        keys=[0, 4, 0],
        organ=[16, 17, 18],
        guitar=[27, 28, 25],
        brass=[61, 57],
        bass=[33, 33, 35, 39],
        riffs=["skank", "skank", "skank16", "bubble"],
        basses=["reggae1", "reggae2", "reggae3"],
        riff_patch=[27, 28, 16, 0, 17],
        mix=dict(drum=3, bass=25, chord=-6, riff=3, lead=-14),
        swaps=[{38: 37}, {}, {38: 37, 46: 42}],
        neighbours=["soul", "latin", "hiphop", "rock"],
    ),
    "rock": dict(
        grooves="stdlib:BasicRock 104-144, stdlib:60sRock 112-152, stdlib:50sRock 120-168, "
        "stdlib:Rock128 68-96, stdlib:SoftRock 88-120, stdlib:RockBallad 66-90, "
        "casio:Rock1 108-144, "
        "casio:Rock2 108-144, casio:PopRock1 104-136, casio:PopRock2 104-136, casio:ShuffleRock "
        "112-144, pflib:rock1A 108-144, pflib:8beat1A 100-132, yamaha:W-RockMainA 104-140, "
        "zoom:ROCK03 100-140, zoom:ROCK10 100-140, zoom:ROCK17 100-140, zoom:ROCK24 100-140, "
        "zoom:PUNK01 140-176, casio:60sRock 112-152, stdlib:BubbleRock 112-146",
        chords=["rock", "rock", "rock", "shared", "blues"],
        scales=["minor_pentatonic", "blues", "mixolydian", "pentatonic"],
        minor=0.35,
        swing=0.08,
        density=(0.3, 0.75),
        lead=[29, 30, 27, 18, 66, 0, 84, 29],
        kit=[16, 0, 8],
        keys=[0, 1, 4],
        organ=[16, 18, 18],
        guitar=[27, 29, 29, 30, 25],
        strings=[48, 18],
        synth=[81, 29],
        bass=[33, 34, 34],
        riffs=["power", "punk8", "chug8", "strum"],
        basses=["root8", "root8", "octaves"],
        riff_patch=[29, 30, 27, 29, 25],
        mix=dict(drum=8, chord=6, riff=14),
        swaps=[{}, {42: 46}, {38: 40}, {42: 51}],
        neighbours=["metal", "pop", "blues", "country", "folk"],
    ),
    "soul": dict(
        grooves="stdlib:R&B 92-118, stdlib:R&B-Ballad 66-88, stdlib:DSoul 92-116, casio:Soul "
        "96-124, casio:60sSoul 104-132, casio:R&B 88-112, casio:MellowRB 70-92, "
        "casio:ModernR&B 80-104, "
        "casio:DiscoSoul 104-122, kara:8beatmotownA 104-136, zoom:RnB02 76-104, zoom:RnB05 "
        "76-104, zoom:RnB08 76-104, casio:SoulPop 96-120, casio:16BeatBallad1 66-88, "
        "casio:68Ballad 60-60",
        chords=["soul", "soul", "soul", "shared", "jazz"],
        scales=["pentatonic", "minor_pentatonic", "blues", "major"],
        minor=0.35,
        swing=0.15,
        density=(0.25, 0.65),
        lead=[65, 53, 66, 52, 4, 16, 27],
        kit=[0, 8, 0, 25],
        keys=[4, 5, 0, 4],
        organ=[16, 17, 18],
        guitar=[27, 26, 28],
        strings=[48, 49, 50],
        brass=[61, 61, 56],
        synth=[89, 90],
        bass=[33, 33, 35, 36],
        riffs=["rhodes", "rhodes", "stab", "pad", "offbeat"],
        basses=["motown", "motown", "funk1", "root2"],
        riff_patch=[4, 5, 16, 0, 27, 61],
        mix=dict(drum=-8, bass=8, other=11, lead=-3),
        swaps=[{}, {38: 37}, {42: 70}],
        neighbours=["funk", "pop", "hiphop", "blues", "jazz"],
    ),
    "swing": dict(
        grooves="stdlib:BigBand 124-184, stdlib:Swing 116-176, stdlib:EasySwing 104-144, "
        "stdlib:FastSwing 170-220, casio:MiddleBigBand 116-164, casio:FastBigBand "
        "164-210, casio:SlowBigBand 72-104, "
        "yamaha:JazzBasieA 116-168, yamaha:JazzSwingMainA 116-168, stdlib:QuickStep 170-206, "
        "stdlib:Foxtrot 104-136, casio:Swing 120-164, stdlib:Charleston 150-200, stdlib:Dixie "
        "140-190, "
        "stdlib:Jive 140-176, stdlib:WesternSwing 124-164, casio:SlowSwing 76-104",
        chords=["jazz", "jazz", "swing", "swing", "blues"],
        scales=["major", "major", "blues", "mixolydian"],
        minor=0.2,
        swing=1,
        density=(0.35, 0.7),
        lead=[61, 71, 56, 57, 65, 59, 11],
        kit=[32, 0, 32, 40],
        keys=[0, 0, 1],
        guitar=[26, 26, 24],
        strings=[48, 49, 61],
        brass=[61, 61, 56, 57],
        reed=[65, 66, 71],
        bass=[32, 32],
        riffs=["charleston", "stab"],
        basses=["walk"],
        riff_patch=[61, 0, 26],
        mix=dict(drum=-11, chord=17, other=11, riff=11),
        swaps=[{42: 51}, {}, {}],
        neighbours=["jazz", "jazz", "blues", "country"],
    ),
}

# Chord progressions on C, one word a bar ("/" parts a bar in two). Major first, minor after.
CHORDS = {
    "blues": (
        [
            "C7 C7 C7 C7 F7 F7 C7 C7 G7 F7 C7 G7",
            "C7 F7 C7 C7 F7 F7 C7 A7 D7 G7 C7/A7 D7/G7",
            "C7 C7 F7 C7 G7 F7 C7 C7",
            "C7 F7 C7 G7",
        ],
        ["Cm7 Cm7 Cm7 Cm7 Fm7 Fm7 Cm7 Cm7 Ab7 G7 Cm7 G7", "Cm7 Fm7 Cm7 G7"],
    ),
    "jazz": (
        [
            "Dm7 G7 CM7 A7",
            "CM7/Am7 Dm7/G7 Em7/A7 Dm7/G7",
            "CM7 Cm7/F7 BbM7 Bbm7/Eb7 AbM7 Dm7b5/G7 CM7 Dm7/G7",
            "CM7 C#dim7 Dm7 G7",
            "CM7 FM7 Em7/A7 Dm7/G7",
        ],
        [
            "Cm7 F7 BbM7 EbM7 Am7b5 D7 Gm7 Gm7",
            "Cm7 Am7b5 Dm7b5 G7",
            "Cm7 Cm7 Ebm7 Ebm7 Cm7 Cm7 Dm7b5 G7",
        ],
    ),
    "bossa": (
        ["CM7 CM7 D7 D7 Dm7 G7 CM7 Db7", "CM7 Ebdim7 Dm7 G7", "CM7 Bbm7/Eb7 AbM7 Dm7/G7"],
        ["Cm7 Cm7 Dm7b5 G7", "Cm7 Fm7 Bb7 EbM7 AbM7 Dm7b5 G7 Cm7"],
    ),
    "swing": (
        ["C6 A7 D7 G7", "C6 C7 F6 Fm6 C6/A7 D7/G7 C6 G7", "F6 F#dim7 C6/A7 D7/G7"],
        ["Cm6 Fm6 G7 Cm6", "Cm6 Ab7 G7 Cm6"],
    ),
    "country": (
        ["C F C G7", "C C F C C C G7 G7", "C C7 F F C G7 C C", "C G7 G7 C", "F C G7 C"],
        ["Cm Fm Cm G7"],
    ),
    "folk": (
        ["C G F C", "C F G C", "C Em F G", "C Bb F C", "C Am Em G"],
        ["Cm Bb Cm Cm", "Cm Eb Bb Cm", "Cm Bb Ab Bb"],
    ),
    "rock": (
        ["C Bb F C", "C F Bb F", "C C F G", "C Eb F C", "C G F F"],
        ["Cm Bb Ab Bb", "Cm Eb Bb F", "Cm Ab Bb Cm"],
    ),
    "metal": (
        ["C Eb F Gb"],
        ["Cm Cm Ab Bb", "Cm Db Cm Bb", "Cm Gb F Eb", "Cm Cm Eb Db", "Cm Ab Fm G"],
    ),
    "pop": (
        ["C G Am F", "F G Am C", "C Em Am F", "Am F C G", "C F Am G"],
        ["Cm Ab Eb Bb", "Cm Fm Bb Eb", "Ab Bb Cm Cm"],
    ),
    "soul": (
        ["CM7 Am7 Dm7 G7", "C Am7 F G", "C7 F7 C7 F7", "CM7 Em7 FM7 G7sus4", "C C7 F Fm"],
        ["Cm7 Fm7 Cm7 Bb7", "Cm7 AbM7 Bb7 Cm7", "Fm7 Bb7 EbM7 Cm7"],
    ),
    "funk": (
        ["C9 C9 C9 F9", "C7 C7 C7 C7", "C9 Bb9 C9 F9"],
        ["Cm7 Cm7 F9 F9", "Cm7 Cm7 Cm7 Cm7", "Cm7 Bb9 Cm7 F9", "Cm7 Ebm7 Cm7 Gm7"],
    ),
    "loop": (
        ["C C F F", "F G Am Am", "C C Bb F"],
        ["Cm Cm Ab Bb", "Cm Cm Cm Cm", "Cm Eb Ab Bb", "Cm Gm Ab Fm", "Cm7 Cm7 Fm7 Gm7"],
    ),
    "latin": (
        ["C F G7 F", "C C G7 G7", "C Am Dm G7"],
        ["Cm Fm G7 Cm", "Cm Bb Ab G7", "Cm Cm G7 G7", "Fm Cm G7 Cm"],
    ),
    "reggae": (
        ["C C F G", "C F C F", "C Dm C Dm", "C G F G"],
        ["Cm Cm Bb Bb", "Cm Fm Cm Fm", "Cm Bb Ab Bb"],
    ),
    "shared": (
        ["C G Am F", "C Am F G", "C F C G", "C F G C"],
        ["Cm Ab Eb Bb", "Cm Bb Ab G", "Cm Fm Gm Cm"],
    ),
}
SCALES = dict(
    major=(0, 2, 4, 5, 7, 9, 11),
    minor=(0, 2, 3, 5, 7, 8, 10),
    dorian=(0, 2, 3, 5, 7, 9, 10),
    mixolydian=(0, 2, 4, 5, 7, 9, 10),
    phrygian=(0, 1, 3, 5, 7, 8, 10),
    harmonic_minor=(0, 2, 3, 5, 7, 8, 11),
    pentatonic=(0, 2, 4, 7, 9),
    minor_pentatonic=(0, 3, 5, 7, 10),
    blues=(0, 3, 5, 6, 7, 10),
)
MAJOR_TO_MINOR = dict(major="minor", pentatonic="minor_pentatonic", mixolydian="dorian")
MINOR_TO_MAJOR = dict(
    minor="major",
    minor_pentatonic="pentatonic",
    dorian="mixolydian",
    phrygian="mixolydian",
    harmonic_minor="major",
)
QUALITY = {
    "": (0, 4, 7),
    "m": (0, 3, 7),
    "7": (0, 4, 7, 10),
    "m7": (0, 3, 7, 10),
    "M7": (0, 4, 7, 11),
    "6": (0, 4, 7, 9),
    "m6": (0, 3, 7, 9),
    "9": (0, 4, 7, 10, 14),
    "dim7": (0, 3, 6, 9),
    "m7b5": (0, 3, 6, 10),
    "7sus4": (0, 5, 7, 10),
}
NAMES = ["C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B"]
PITCH = {**{n: i for i, n in enumerate(NAMES)}, "C#": 1, "D#": 3, "F#": 6, "G#": 8, "A#": 10}

# Rhythms of a bar in sixteenths: x a hit, - goes on, . is silent. In BASSES a digit is the chord's
# root (1), third, fifth, seventh or octave (8).
RIFFS = {  # name: (pattern bars, voicing)
    "strum": (["x-x-xxx-x-x-xxx-", "x---x-xx.xx-x-xx"], "close"),
    "stab": (["x-..x-....x-....", "...x-..x-..x-..."], "close"),
    "shuffle": (["x-..x-..x-..x-.."], "close"),
    "bossa": (["x--x--x---x--x--", "x---x--x--x-x---"], "close"),
    "pad": (["x---------------"], "wide"),
    "boomchick": (["....x-......x-..", "....x-x.....x-x."], "close"),
    "arp16": (["xxxxxxxxxxxxxxxx"], "arp"),
    "arp8": (["x-x-x-x-x-x-x-x-"], "arp"),
    "trance": (["x..x..x.x..x..x.", "x.x..x.xx.x..x.x"], "close"),
    "offbeat": (["..x-..x-..x-..x-"], "close"),
    "funk16": (["x..x..x..xx.x...", "..x..x.xx..x..x.", "x.xx..x..x.xx..."], "high"),
    "clav": (["x.x..xx.x..x.xx.", "x..xx.x.xx.x..x."], "high"),
    "sample": (["x-----x---....x-", "x---..x-x---....", "x-x-..x---x-...."], "close"),
    "charleston": (["x-....x-........", "....x-....x-....", "......x-......x-"], "close"),
    "montuno": (["x-xx.xx.x.xx.xx.", "x.xx.xx-.xx.xx.x"], "octave"),
    "chug8": (["xxx.xxx.x.x.xxx.", "x.x.x.x.x.x.x.x."], "power"),
    "gallop": (["x.xxx.xxx.xxx.xx"], "power"),
    "chug16": (["xxxxxxxxxxxxxxxx", "xx.xx.xxxx.xx.xx"], "power"),
    "power": (["x-------x---x---", "x---------x-x---"], "power"),
    "punk8": (["x-x-x-x-x-x-x-x-"], "power"),
    "skank": (["....x.......x...", "..x...x...x...x."], "high"),
    "skank16": (["....xx......xx..", "..x...xx..x...x."], "high"),
    "bubble": (["..x.x.x...x.x.x."], "close"),
    "rhodes": (["x-----..x---..x-", "x---..x-------x-"], "close"),
    "piano8": (["x-x-x-x-x-x-x-x-"], "close"),
}
BASSES = {
    "root8": ["1-1-1-1-1-1-1-1-"],
    "root16": ["1111111111111111"],
    "root2": ["1-------5-------", "1-----1-1---5---"],
    "walk": ["1---3---5---7---", "1---5---8---5---", "1---3---5---3---"],
    "boogie": ["1-1-3-3-5-5-7-5-"],
    "bossa": ["1-----5-5-----1-", "1-----5-8-----5-"],
    "twobeat": ["1---....5---....", "1---....5---..7-"],
    "offbass": ["..1-..1-..1-..1-"],
    "sub": ["1-------....1---", "1-----1---......"],
    "sub2": ["1--.1---..1-....", "1---...1--5-...."],
    "octaves": ["1-8-1-8-1-8-1-8-"],
    "funk1": ["1..1..8.1.7.8...", "1.1...8..1.5.7.."],
    "funk2": ["1-..1.18..5.7.1.", "1..8..1..75.1..."],
    "funk3": ["11.8.1.7.5.1.8.1"],
    "tumbao": ["1-....5---..8---", "......5---..8---"],
    "gallopbass": ["1.111.111.111.11"],
    "reggae1": ["1---1-3-5---....", "....1-1-3-5-1---"],
    "reggae2": ["..1-1---..5-3-1-"],
    "reggae3": ["1-1-..5-1-..8-5-"],
    "motown": ["1--11-3-5--55-7-", "1-..1-8-5-3-1-7-"],
}
RING = {
    49: 1.4,
    57: 1.4,
    52: 1.2,
    55: 0.8,
    46: 0.45,
    51: 0.6,
    53: 0.6,
    59: 0.6,
    41: 0.4,
    43: 0.4,
    45: 0.4,
    47: 0.4,
    48: 0.4,
    50: 0.4,
}  # seconds that drums sound, if not .25

# ----------------------------------------------------------------------------------- invented names
ADJECTIVES = """
    Amber Paper Hollow Velvet Northern Crooked Silver Idle Copper Salted Electric Quiet Borrowed
    Midnight Distant Wooden Restless Painted Broken Golden Second Slow Bitter Lucky Burning Winter
    Tangled Little Faded Open Secret Stolen Blue Rusty Gentle Thirsty Hidden Marble Early Heavy
    Honest Crimson Wandering Plastic Neon Lonesome Polished Tidal Frozen Spare
""".split()
NOUNS = """
    Harbour Lantern River Orchard Signal Window Highway Kitchen Compass Feather Engine Garden Mirror
    Thunder Ladder Sparrow Satellite Pocket Bridge Candle Meadow Radio Anchor Ocean Station Shadow
    Letter Whistle Canyon Ribbon Sugar Machine Summer Cathedral Monday Avenue Carousel Ember Horizon
    Island Paradox Bicycle Parade Telegram Staircase Cinema Lighthouse Postcard Pepper Comet
""".split()
VERBS = """
    Leave Carry Follow Remember Forget Hold Paint Chase Borrow Call Trade Whisper Keep Turn Catch
    Shake
""".split()
FIRST = """
    Ada Bruno Celia Dario Edda Felix Greta Hugo Ines Jonah Kaia Leo Mabel Nils Opal Pavel Rosa Silas
    Thea Ugo Vera Wim Xenia Yusuf Zora
""".split()
LAST = """
    Marlow Okafor Brandt Castell Delgado Ekström Fontaine Galloway Haruki Ivers Jansen Kowal
    Lindqvist Moreau Novak Orsini Petrov Quill Ramos Sato Tamm Umber Vance Weller Yarrow
""".split()
BANDS = {
    "blues": "Bottleneckers Levee Mudlarks Crossroads Juke",
    "bossa": "Trio Corcovados Quarteto Marés Varanda",
    "country": "Wranglers Saddle Fenceposts Drifters Prairie",
    "electronic": "Circuit Protocol Oscillator Vector Voltage",
    "folk": "Hedgerow Weavers Fiddlers Millers Thicket",
    "funk": "Machine Stampede Groovers Pressure Backbeat",
    "hiphop": "Collective Cypher Crates Syndicate Verses",
    "jazz": "Quartet Quintet Sextet Ensemble Messengers",
    "latin": "Orquesta Sonora Conjunto Charanga Timbaleros",
    "metal": "Wraith Anvil Sepulchre Leviathan Ironclad",
    "pop": "Hearts Postcards Starlets Balloons Daydreams",
    "reggae": "Roots Rockers Upsetters Dubbers Islanders",
    "rock": "Strangers Engines Tigers Wreckers Holidays",
    "soul": "Revue Sisters Messiahs Temples Satin",
    "swing": "Orchestra Ballroom Serenaders Stompers Rhythmaires",
}


def rng(*key):
    """A generator that depends on the corpus seed and `key` only (Python's Mersenne Twister, seeded
    by SHA-512 of the text).
    """
    return random.Random("|".join(map(str, (CORPUS_SEED, *key))))


def artist_name(genre, artist):
    r, words = rng("artist", genre, artist), BANDS[genre].split()
    rng("band names", genre).shuffle(words)
    noun, adjective = words[artist % len(words)], r.choice(ADJECTIVES)
    more = "" if artist < len(words) else f" {artist // len(words) + 1}"
    return (
        r.choice(
            [
                f"The {adjective} {noun}",
                f"{r.choice(FIRST)} {r.choice(LAST)} {noun}",
                f"{adjective} {r.choice(NOUNS)} {noun}",
                f"{r.choice(FIRST)} & the {noun}",
            ]
        )
        + more
    )


def title(*key):
    r = rng("title", *key)
    a, b, n, m, v = (
        r.choice(ADJECTIVES),
        r.choice(ADJECTIVES),
        r.choice(NOUNS),
        r.choice(NOUNS),
        r.choice(VERBS),
    )
    return r.choice(
        [
            f"{a} {n}",
            f"{n} and {m}",
            f"{v} the {n}",
            f"{n} in {r.choice(LAST)}",
            f"{a}, {b}",
            f"The {n} Song",
            f"No {n}",
            f"{v} Me {'an' if n[0] in 'AEIO' else 'a'} {n}",
            f"{a} {n} {m}",
            f"{r.choice(FIRST)}'s {n}",
            f"{n} No. {r.randint(2, 40)}",
        ]
    )


# ---------------------------------------------------------------------------------------------- mma
def library():
    "The folder of mma's groove libraries."
    for folder in (os.environ.get("MMA_LIB", ""), "/usr/share/mma/lib", "/usr/local/share/mma/lib"):
        if folder and Path(folder, "stdlib").is_dir():
            return Path(folder)
    sys.exit(
        "mma's libraries were not found: install mma (Debian, Ubuntu: apt install mma), or set "
        "MMA_LIB to the folder that holds 'stdlib'."
    )


@lru_cache(None)
def grooves():
    "{(library, groove): (beats a bar, siblings in the same file)}, read from mma's library files."
    found = {}
    for file in sorted(library().glob("*/*.mma")):
        text = file.read_text(errors="replace")
        names = list(dict.fromkeys(re.findall(r"^\s*DefGroove\s+(\S+)", text, re.M | re.I)))
        time = re.search(r"^\s*Time\s+(\d+)", text, re.M | re.I)
        for name in names:
            found[file.parent.name, name] = (int(time.group(1)) if time else 4, names)
    return found


def variations(groove):
    "Siblings of a groove as {'main', 'intro', 'fill'}: lists of names."
    lib, name = groove.split(":")
    if (lib, name) not in grooves():
        sys.exit(f"mma's library has no groove {groove}: this recipe was written for mma 21.09.")
    siblings = [] if lib == "zoom" else grooves()[lib, name][1]

    def pick(word):
        return [f"{lib}:{s}" for s in siblings if word in s.lower()]

    main = [
        f"{lib}:{s}"
        for s in siblings
        if not re.search("intro|end|fill|hit|break|metronome|drum", s.lower())
        and not re.search(r"F[A-Z]$|E$", s)
    ]
    return dict(
        main=[groove] + [m for m in main if m != groove],
        intro=[i for i in pick("intro") if "8" not in i[-2:]],
        fill=pick("fill"),
    )


def accompaniment(bars, tempo, seed, workdir):
    "Compile bars, (groove, chords) each, with mma; return its MIDI bytes. Loud when mma fails."
    lines, last = [f"RndSeed {seed}", f"Tempo {tempo}"], None
    for n, (groove, chords) in enumerate(bars, 1):
        if groove != last:
            lines.append(f"Groove {groove}")
        lines, last = lines + [f"{n} {chords}"], groove
    source, target = Path(workdir, f"{seed}.mma"), Path(workdir, f"{seed}.mid")
    source.write_text("\n".join(lines) + "\n")
    done = subprocess.run(
        ["mma", "-w", "-f", str(target), str(source)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONHASHSEED": "0"},
    )
    if done.returncode or not target.exists():
        said = " ".join((done.stdout + done.stderr).split())
        raise RuntimeError(f"mma failed on {source.name}: {said}\n{source.read_text()}")
    data = target.read_bytes()
    source.unlink(), target.unlink()
    return data


# -------------------------------------------------------------------------------------------- bands
FAMILIES = [
    ("keys", 0, 15),
    ("organ", 16, 23),
    ("guitar", 24, 31),
    ("bass", 32, 39),
    ("strings", 40, 55),
    ("brass", 56, 63),
    ("reed", 64, 79),
    ("synth", 80, 103),
]


def listed(genre):
    "A genre's grooves as (name, slowest, fastest)."
    return [
        (n, *map(int, t.split("-")))
        for n, t in (g.split() for g in GENRES[genre]["grooves"].split(","))
    ]


@lru_cache(None)
def band(genre, artist):
    "An artist: what all songs of this band have in common."
    g, r = GENRES[genre], rng("band", genre, artist)
    own = listed(genre)
    rng("grooves", genre).shuffle(
        own
    )  # bands of a genre share few grooves, and every groove is somebody's
    mine = [own[(artist * 3 + i) % len(own)] for i in range(3)] + r.sample(own, 1)
    if r.random() < BORROWED_GROOVE:
        mine.append(r.choice(listed(r.choice(g["neighbours"]))))
    other = GENRES[r.choice(g["neighbours"])]

    def patch(family):  # now and then a player comes from a neighbouring genre
        pool = other if r.random() < BORROWED_SOUND and family in other else g
        sounds = pool.get(family) or (g["riff_patch"] if r.random() < 0.7 else [None])
        return r.choices(sounds, [0.5**i + 0.05 for i in range(len(sounds))])[0]

    return dict(
        grooves=mine,
        patches={f: patch(f) for f, *_ in FAMILIES},
        kit=patch("kit"),
        leads=[patch("lead"), patch("lead")],
        riffs=r.sample(g["riffs"], min(2, len(g["riffs"]))),
        basses=r.sample(g["basses"], min(2, len(g["basses"]))),
        riff_patch=patch("riff_patch"),
        swap=r.choices(g["swaps"], [0.7, 0.2, 0.1, 0.1][: len(g["swaps"])])[0],
        pace=r.uniform(0.15, 0.85),
        level={
            k: r.randint(lo, hi) + g["mix"].get(k, 0)
            for k, lo, hi in [
                ("drum", 78, 100),
                ("bass", 80, 102),
                ("chord", 70, 92),
                ("other", 62, 86),
                ("lead", 72, 98),
                ("riff", 68, 90),
            ]
        },
        drop=r.uniform(0, 0.3),
        density=r.uniform(*g["density"]),
        register=r.choice([-4, 0, 0, 3]) + g.get("register", 0),
        harmony=r.random() < 0.2,
        extra=r.random() < 0.7,
        scales=r.sample(g["scales"], min(2, len(g["scales"]))),
        legato=r.uniform(0.6, 1.0),
        reverb=r.randint(10, 80),
    )


# ------------------------------------------------------------------------------------------- chords
def chord(word):
    "('Ebm7') -> (root pitch class, intervals)."
    root, quality = re.match(r"([A-G][b#]?)(.*)", word).groups()
    return PITCH[root], QUALITY[quality]


def transposed(word, key):
    root, quality = re.match(r"([A-G][b#]?)(.*)", word).groups()
    return NAMES[(PITCH[root] + key) % 12] + quality


def bar_chords(bar, beats):
    "'Dm7/G7' -> [(first beat, beats, 'Dm7'), ...]."
    words = bar.split("/")
    half = (beats + 1) // 2
    return (
        [(0, beats, words[0])]
        if len(words) == 1
        else [(0, half, words[0]), (half, beats - half, words[1])]
    )


def near(pitch_class, centre):
    "The pitch of that class that is nearest to centre."
    return centre + (pitch_class - centre + 6) % 12 - 6


# ----------------------------------------------------------------------------------------- melodies
CELLS = [
    ((0,), 3, 1),
    ((0, 0.5), 3, 4),
    ((0.5,), 2, 1),
    ((), 4, 0),
    ((0, 0.25, 0.5, 0.75), 0.2, 4),
    ((0, 0.75), 1.5, 2),
    ((0, 0.5, 0.75), 0.7, 3),
    ((0, 0.25, 0.5), 0.5, 2),
    ((0.5, 0.75), 0.6, 1),
]
SWUNG = [
    ((0,), 3, 1),
    ((0, 2 / 3), 3, 4),
    ((2 / 3,), 2, 1),
    ((), 4, 0),
    ((0, 1 / 3, 2 / 3), 0.5, 4),
    ((1 / 3, 2 / 3), 0.6, 1),
]


def motif(r, beats, density, swung):
    "One bar: onsets in beats and steps along the scale."
    cells = SWUNG if swung else CELLS
    weights = [(1 - density) * calm + density * busy + 0.01 for _, calm, busy in cells]
    onsets = [b + o for b in range(beats) for o in r.choices(cells, weights)[0][0]] or [
        0,
        beats / 2,
    ]
    return [(o, r.choice([-2, -1, -1, 0, 1, 1, 2, r.choice([-4, -3, 3, 4])])) for o in onsets]


class Tune(NamedTuple):
    "What all players of a song share: bars of chord words, beats a bar, scale and key."

    bars: list
    beats: int
    scale: str
    key: int


def melody(r, tune, density, swung, centre, legato):
    """Notes (beat, length, pitch, velocity) over a tune.

    Motifs a a' a b, chord tones on strong beats, rests between phrases.
    """
    bars, beats, scale, key = tune
    ladder = [p for p in range(centre - 10, centre + 13) if (p - key) % 12 in SCALES[scale]]
    a, b, c = (motif(r, beats, d, swung) for d in (density, density, density * 0.5))
    varied = a[:-1] + [(a[-1][0], r.choice([-2, 2, 3]))]
    plan, notes, at = (
        r.choice(
            [[a, varied, a, c], [a, b, a, c], [a, a, b, c], [a, c, varied, c], [a, b, varied, b]]
        ),
        [],
        len(ladder) // 2,
    )
    for n, bar in enumerate(bars):
        if n % 4 == 0:
            at = len(ladder) // 2 + r.choice([-2, -1, 0, 1, 2])
        events = plan[n % 4]
        for i, (onset, step) in enumerate(events):
            at += step
            if not 0 <= at < len(ladder):
                at = max(1, min(len(ladder) - 2, at - 2 * step))
            pitch = ladder[at]
            root, intervals = chord(
                next(w for s, length, w in bar_chords(bar, beats) if s <= onset < s + length)
            )
            if onset == int(onset) and int(onset) % 2 == 0:  # strong beat: nearest chord tone
                pitch = min(
                    (near((root + k) % 12, pitch) for k in intervals[:4]),
                    key=lambda p: (abs(p - pitch), p),
                )
            until = events[i + 1][0] if i + 1 < len(events) else beats
            length = min(until - onset, 2.5) * (
                legato if n % 4 != 3 or i + 1 < len(events) else 0.6
            )
            notes.append(
                (
                    n * beats + onset + r.uniform(-0.012, 0.012),
                    length,
                    pitch,
                    r.randint(80, 100) + (8 if onset == int(onset) else 0),
                )
            )
    return notes


def riff(r, bars, beats, name, low):
    "Chords in one of the rhythms of RIFFS."
    patterns, voicing = RIFFS[name]
    patterns, notes = r.sample(patterns, len(patterns)), []
    for n, bar in enumerate(bars):
        p = patterns[n % 2 % len(patterns)][: beats * 4]
        for i, mark in enumerate(p):
            if mark != "x":
                continue
            length = (len(re.match(r"-*", p[i + 1 :]).group()) + 1) / 4
            root, intervals = chord(
                next(w for s, span, w in bar_chords(bar, beats) if s <= i / 4 < s + span)
            )
            base = near(
                root, 43 if voicing == "power" else 60 + low + (7 if voicing == "high" else 0)
            )
            pitches = {
                "power": [base, base + 7, base + 12],
                "arp": [base + (intervals * 2)[i // (2 if "-" in p else 1) % 4] + 12 * (i % 8 > 5)],
                "octave": [base + intervals[i % 3], base + intervals[i % 3] + 12],
                "wide": [base - 12] + [base + k for k in intervals[1:]],
            }.get(voicing, [base + k - (12 if k > 9 else 0) for k in intervals[:4]])
            notes += [
                (
                    n * beats + i / 4 + 0.01 * k * (name == "strum"),
                    length * 0.95 if length > 0.3 else 0.2,
                    pitch,
                    r.randint(70, 92) + 10 * (i % 8 == 0),
                )
                for k, pitch in enumerate(pitches)
            ]
    return notes


def bassline(r, bars, beats, name):
    "A bass in one of the rhythms of BASSES."
    patterns, notes = BASSES[name], []
    for n, bar in enumerate(bars):
        p = patterns[n % len(patterns)][: beats * 4]
        for i, mark in enumerate(p):
            if not mark.isdigit():
                continue
            length = (len(re.match(r"-*", p[i + 1 :]).group()) + 1) / 4
            root, intervals = chord(
                next(w for s, span, w in bar_chords(bar, beats) if s <= i / 4 < s + span)
            )
            step = {
                "1": 0,
                "3": intervals[1],
                "5": intervals[2],
                "7": intervals[3] if len(intervals) > 3 else 10,
                "8": 12,
            }[mark]
            notes.append(
                (n * beats + i / 4, length * 0.92, near(root, 35) + step, r.randint(84, 104))
            )
    return notes


# ------------------------------------------------------------------------------------------- a song
def form(r, count):
    "Names of sections bar by bar: I intro, V verse, C chorus, S solo."
    plan = r.choice(
        [
            "I2 V8 C8 V8 C8",
            "V8 C8 V8 C8",
            "I2 V8 C8 S8",
            "I2 V4 V4 C8 S8",
            "V8 V8 C8",
            "C8 V8 C8",
            "I4 C4 V8 C8",
            "S8 C8 V8",
            "V4 C4 V4 C4 S8",
        ]
    ).split()
    bars = []
    while len(bars) < count:
        bars += [(s[0], i, int(s[1:])) for s in plan for i in range(int(s[1:]))]
    return bars[:count]


def compose(genre, artist, number, workdir, produced=False):
    "One song: (index row, MIDI bytes)."
    import mido

    song_id = f"{genre}-{artist:02d}-{number:03d}"
    g, b, r = GENRES[genre], band(genre, artist), rng("song", genre, artist, number)
    crossover = r.choice(g["neighbours"]) if r.random() < CROSSOVER else ""
    groove, slow, fast = r.choice(listed(crossover) if crossover else b["grooves"])
    lib, name = groove.split(":")
    beats = grooves()[lib, name][0]
    tempo = round(slow + (fast - slow) * min(1, max(0, b["pace"] + r.uniform(-0.3, 0.3)))) * (
        3 if beats == 6 else 1
    )
    key, seed = r.randrange(12), r.randrange(1, 2**31)
    minor = int(r.random() < g["minor"])
    style = r.choice(g["chords"])
    verse, chorus = (r.choice(CHORDS[c][minor]).split() for c in (style, r.choice(g["chords"])))
    scale = r.choice(b["scales"])
    bluesy = style in ("blues", "funk", "rock")  # minor melodies over major chords
    scale = (MAJOR_TO_MINOR if minor else {} if bluesy else MINOR_TO_MAJOR).get(scale, scale)
    v = variations(groove)
    mains = [v["main"][0]] + r.sample(v["main"][1:], min(3, len(v["main"]) - 1))
    play = dict(
        I=r.choice(v["intro"]) if v["intro"] and r.random() < 0.4 else mains[0],
        V=mains[0],
        C=mains[1 % len(mains)],
        S=mains[2 % len(mains)],
    )
    sections = form(r, int(SECONDS * tempo / 60 / beats) + 2)
    words = [
        [
            transposed(w, key)
            for w in (chorus if s == "C" else verse)[i % len(chorus if s == "C" else verse)].split(
                "/"
            )
        ]
        for s, i, _ in sections
    ]
    bars = ["/".join(w) for w in words]
    groove_of = [
        r.choice(v["fill"]) if v["fill"] and i == n - 1 and n > 2 and s != "I" else play[s]
        for s, i, n in sections
    ]
    chords_of = [
        " ".join(word + " /" * (length - 1) for _, length, word in bar_chords(bar, beats))
        for bar in bars
    ]
    source = mido.MidiFile(
        file=io.BytesIO(accompaniment(list(zip(groove_of, chords_of)), tempo, seed, workdir))
    )
    tracks = dressed(r, b, g, source)
    tune = Tune(bars, beats, scale, key)
    tracks += played(r, b, g, sections, tune, tracks, minor)
    sound = json.dumps(production(genre, artist, number)) if produced else ""
    data = written(tracks, tempo, source.ticks_per_beat, sound)
    lead = b["leads"][0]
    made = dict(production=sound) if produced else {}
    return dict(
        song_id=song_id,
        genre=genre,
        artist=artist_name(genre, artist),
        album=title("album", genre, artist, number // 6),
        title=title(genre, artist, number),
        file=f"{song_id}.mid",
        sha256=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
        seed=seed,
        groove=groove,
        tempo=tempo,
        key=NAMES[key],
        mode="minor" if minor else "major",
        beats=beats,
        lead=lead,
        crossover=crossover,
        **made,
    ), data


def role_of(track):
    "What a track of mma's plays: drum, bass, chord or other."
    kind = track.name.split("-")[0].lower()
    if kind in ("bass", "walk"):
        return "bass"
    return kind if kind in ("drum", "chord") else "other"


def heard_in(track):
    "The notes (tick, length, pitch, velocity) of a track of mma's, and its program."
    now, sounding, notes, program = 0, {}, [], None
    for m in track:
        now += m.time
        if m.type == "program_change" and program is None:
            program = m.program
        elif m.type in ("note_on", "note_off"):  # a string struck anew stops sounding first
            if m.note in sounding:
                start, velocity = sounding.pop(m.note)
                notes.append((start, max(1, now - start), m.note, velocity))
            if m.type == "note_on" and m.velocity:
                sounding[m.note] = (now, m.velocity)
    return notes, program


def dressed(r, b, g, source):
    """mma's tracks with the band's sounds and mix.

    A list of dicts(role, program, volume, notes = (tick, length, pitch, velocity)).
    """
    tracks = []
    no_drums = r.random() < g.get("nodrums", 0.03)
    for track in source.tracks:
        notes, program = heard_in(track)
        if not notes:
            continue
        role = role_of(track)
        if role == "drum":
            if no_drums:
                continue
            program = b["kit"]
            notes = [(t, length, b["swap"].get(p, p), w) for t, length, p, w in notes]
        else:
            family = (
                "bass"
                if role == "bass"
                else next((f for f, lo, hi in FAMILIES if lo <= (program or 0) <= hi), None)
            )
            program = (
                b["patches"].get(family) if b["patches"].get(family) is not None else program or 0
            )
        keep = role in ("drum", "bass") or rng("drop", b["pace"], track.name).random() >= b["drop"]
        tracks.append(
            dict(
                role=role,
                program=program,
                notes=notes,
                name=track.name,
                keep=keep,
                volume=b["level"][role] + r.randint(-6, 6),
            )
        )
    chordal = [t for t in tracks if t["role"] in ("chord", "other")]
    if chordal:
        max(chordal, key=lambda t: len(t["notes"]))["keep"] = True
    return [t for t in tracks if t["keep"]]


def unheard(r, b, tune, tracks):
    "A riff for the bars that are left to the drums, or to nobody."
    size = PPQ * tune.beats
    heard = {
        n
        for t in tracks
        if t["role"] != "drum"
        for start, length, *_ in t["notes"]
        for n in range(start // size, (start + length - 1) // size + 1)
    }
    notes = riff(r, tune.bars, tune.beats, r.choice(b["riffs"]), 0)
    return [n for n in notes if int(n[0] // tune.beats) not in heard]


def sung_notes(r, b, g, tune, minor, shown):
    "The melodies of verse, chorus and solo, where `shown` has them; some in thirds."
    swung, centre = r.random() < g["swing"], 69 + b["register"]
    density = min(0.95, max(0.05, b["density"] + r.uniform(-0.12, 0.12)))
    themes = {
        s: melody(r, tune, d, swung, centre + up, b["legato"])
        for s, d, up in [
            ("V", density, 0),
            ("C", density * 0.9, 4),
            ("S", min(0.95, density + 0.25), 2),
        ]
    }
    sung = [n for s, notes in themes.items() for n in shown(notes, s)]
    if b["harmony"] and r.random() < 0.7:
        third = 3 if minor else 4
        sung += [(t, n, p - third, w - 14) for t, n, p, w in shown(themes["C"], "C")]
    return sung


def played(r, b, g, sections, tune, tracks, minor):
    """The band's own tracks.

    Bass and chords where the groove has none, a riff now and then, the melody.
    """
    bars, beats, _, _ = tune

    def ticks(notes):
        return [
            (max(0, round(t * PPQ)), max(8, round(length * PPQ)), p, max(1, min(127, w)))
            for t, length, p, w in notes
        ]

    def part(role, program, notes, level):
        volume = level + r.randint(-6, 6)
        return dict(role=role, program=program, notes=ticks(notes), name=role, volume=volume)

    def shown(notes, names):
        return [
            n
            for n in notes
            if 0 <= int(n[0] // beats) < len(bars) and sections[int(n[0] // beats)][0] in names
        ]

    own, roles = [], {t["role"] for t in tracks}
    if "bass" not in roles and r.random() < 0.95:
        own.append(
            part(
                "bass",
                b["patches"]["bass"] or 33,
                bassline(r, bars, beats, r.choice(b["basses"])),
                b["level"]["bass"],
            )
        )
    if not roles & {"chord", "other"}:
        own.append(
            part(
                "riff",
                b["riff_patch"],
                riff(r, bars, beats, r.choice(b["riffs"]), 0),
                b["level"]["riff"],
            )
        )
        if r.random() < 0.6:
            own.append(
                part(
                    "chord",
                    r.choice(g["riff_patch"]),
                    shown(
                        riff(r, bars, beats, r.choice(b["riffs"] + ["pad"]), r.choice([-5, 0, 7])),
                        "CS",
                    ),
                    b["level"]["chord"] - 10,
                )
            )
    elif b["extra"]:
        own.append(
            part(
                "riff",
                b["riff_patch"],
                shown(riff(r, bars, beats, r.choice(b["riffs"]), 0), r.choice(["C", "CS", "VCS"])),
                b["level"]["riff"] - 12,
            )
        )
    sung = sung_notes(r, b, g, tune, minor, shown)
    second = [n for n in sung if sections[max(0, int(n[0] // beats))][0] == "S"]
    own.append(
        part("lead", b["leads"][0], [n for n in sung if n not in second], b["level"]["lead"])
    )
    if second:
        own.append(part("solo", b["leads"][1], second, b["level"]["lead"]))
    filled = unheard(r, b, tune, tracks + own)
    if filled:
        own.append(part("riff", b["riff_patch"], filled, b["level"]["riff"]))
    return [t | dict(reverb=b["reverb"]) for t in own if t["notes"]]


def written(tracks, tempo, ppq, sound=""):
    "MIDI bytes of the tracks, cut at SECONDS; `sound`: the production, as JSON."
    import mido

    end = round(SECONDS * tempo / 60 * ppq)
    out = mido.MidiFile(type=1, ticks_per_beat=ppq)
    head = [mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(tempo))]
    if sound:
        head.append(mido.MetaMessage("text", text=f"song_metric production {sound}"))
    out.tracks.append(mido.MidiTrack([*head, mido.MetaMessage("end_of_track", time=end)]))
    pitched = sorted(
        (t for t in tracks if t["role"] != "drum"),
        key=lambda t: -len(t["notes"]) - 10**6 * (t["role"] in ("bass", "lead", "solo", "riff")),
    )[:15]
    channels = iter([c for c in range(16) if c != 9])
    for t in [t for t in tracks if t["role"] == "drum"] + pitched:
        channel = 9 if t["role"] == "drum" else next(channels)
        events = []
        for start, length, pitch, velocity in t["notes"]:
            if t["role"] == "drum":
                length = round(RING.get(pitch, 0.25) * tempo / 60 * ppq)
            if start < end - 8 and 0 <= pitch <= 127:
                events += [(start, 1, pitch, velocity), (min(start + length, end), 0, pitch, 0)]
        track, now = (
            mido.MidiTrack(
                [
                    mido.MetaMessage("track_name", name=t["name"]),
                    mido.Message("program_change", channel=channel, program=t["program"]),
                    mido.Message(
                        "control_change",
                        channel=channel,
                        control=7,
                        value=max(20, min(127, t["volume"])),
                    ),
                    mido.Message(
                        "control_change", channel=channel, control=91, value=t.get("reverb", 30)
                    ),
                ]
            ),
            0,
        )
        for tick, _, pitch, velocity in sorted(events):
            track.append(
                mido.Message(
                    "note_on", channel=channel, note=pitch, velocity=velocity, time=tick - now
                )
            )
            now = tick
        out.tracks.append(track + [mido.MetaMessage("end_of_track", time=end - now)])
    data = io.BytesIO()
    out.save(file=data)
    return data.getvalue()


# --------------------------------------------------------------------------------------- production
def production(genre, artist, number):
    """How a song was recorded and mastered, as `song_metric.synthesis.Production` has it.

    The genre only tells sessions apart: all are drawn alike.
    """
    r = rng("production", genre, artist, number // SESSION)
    return dict(
        font=r.choices(list(FONTS), list(FONTS.values()))[0],
        equaliser=[round(r.gauss(0, 4), 1) for _ in range(5)],
        compression=round(r.uniform(1, 4), 2),
        reverb=round(0.4 * r.random() ** 2, 3),
        decay=round(r.uniform(0.2, 1.6), 2),
        hiss=round(r.uniform(-90, -50), 1),
    )


# ------------------------------------------------------------------------------------------- corpus
def corpus(songs_per_genre=60, artists=5, genres=15):
    "The (genre, artist, number) of every song of a corpus, in order of song_id."
    names = sorted(GENRES)[:genres]
    return [
        (g, a, n)
        for g in names
        for a in range(artists)
        for n in range((songs_per_genre - a + artists - 1) // artists)
    ]


def set_seed(seed):
    "Compose another corpus; called once in each process, before anything is drawn."
    global CORPUS_SEED
    CORPUS_SEED = seed


def kept_folder(out, seed, produced):
    "Where songs wait until all are composed: another one for another recipe, seed or way."
    recipe = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:8]
    return out / f".composed-{recipe}-{seed}-{'produced' if produced else 'plain'}"


def batch(songs, folder, produced=False):
    "Songs as rows and MIDI files: those that an interrupted call left in `folder`, or new ones."
    (genre, artist, number), last = songs[0], songs[-1]
    path = folder / f"{genre}-{artist}-{number}-{last[1]}-{last[2]}.json"
    if path.exists():
        kept = json.loads(path.read_text(encoding="utf-8"))
        return [(row, bytes.fromhex(data)) for row, data in kept]
    with tempfile.TemporaryDirectory() as workdir:
        composed = [compose(*song, workdir, produced) for song in songs]
    aside = path.with_suffix(".part")
    aside.write_text(json.dumps([(row, data.hex()) for row, data in composed]), encoding="utf-8")
    os.replace(aside, path)
    return composed


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--songs-per-genre", type=int, default=60)
    p.add_argument("--artists", type=int, default=5, help="artists a genre (default 5)")
    p.add_argument("--genres", type=int, default=15, help="the first n genres (default 15)")
    p.add_argument("--seed", type=int, default=CORPUS_SEED, help=f"default {CORPUS_SEED}")
    p.add_argument(
        "--production",
        action="store_true",
        help="draw for each session how it sounds: SoundFont, equaliser, reverberation …",
    )
    p.add_argument(
        "--out",
        default=str(Path(__file__).parent),
        help="folder for songs.csv and midi.tar.xz (default: beside this recipe)",
    )
    p.add_argument("--workers", type=int, default=0, help="processes (default: one a core)")
    a = p.parse_args(argv)
    if min(a.songs_per_genre, a.artists, a.genres) < 1 or a.genres > len(GENRES):
        p.error(f"songs, artists and genres are counted from 1, and there are {len(GENRES)} genres")
    if not shutil.which("mma"):
        sys.exit(
            "mma was not found: install it (Debian, Ubuntu: apt install mma; elsewhere: "
            "https://www.mellowood.ca/mma)."
        )
    from tqdm import tqdm

    songs, out = corpus(a.songs_per_genre, a.artists, a.genres), Path(a.out)
    folder = kept_folder(out, a.seed, a.production)
    folder.mkdir(parents=True, exist_ok=True)
    rows, part = [], out / "midi.tar.xz.part"
    with (
        ProcessPoolExecutor(a.workers or None, initializer=set_seed, initargs=[a.seed]) as pool,
        tarfile.open(part, "w:xz", preset=6) as tar,
        tqdm(
            total=len(songs), desc=f"composing {len(songs)} songs", unit="song", mininterval=1
        ) as bar,
    ):
        parts = [songs[i : i + 5] for i in range(0, len(songs), 5)]
        for done in pool.map(partial(batch, folder=folder, produced=a.production), parts):
            for row, data in done:
                info = tarfile.TarInfo(row["file"])
                info.size, info.mode = len(data), 0o644
                tar.addfile(info, io.BytesIO(data))
                rows.append(row)
            bar.update(len(done))
    with open(out / "songs.csv.part", "w", newline="", encoding="utf-8") as f:
        columns = COLUMNS + ["production"] * a.production
        w = csv.DictWriter(f, columns, lineterminator="\n")
        w.writeheader(), w.writerows(rows)
    os.replace(part, out / "midi.tar.xz"), os.replace(out / "songs.csv.part", out / "songs.csv")
    shutil.rmtree(folder)
    archive = out / "midi.tar.xz"
    size = f"{archive.stat().st_size / 1e6:.1f} MB"
    print(f"{len(rows)} songs: {out / 'songs.csv'}, {archive} ({size})")


if __name__ == "__main__":
    main()
