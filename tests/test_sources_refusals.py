"What a service says in refusing reaches the user, and one that wants to be left alone is."

import json
import time

import pytest
from servers import Server

from song_metric.downloads import DownloadError, Web, download, fetch_json
from song_metric.files import RunError
from song_metric.sources import deezer, spotify

QUICK = dict(attempts=5, pause=0.002, longest=0.02)
PREMIUM = "Active premium subscription required for the owner of the app."
SEARCH, GENRES = "/v1/search", "/genre"


@pytest.fixture
def application(monkeypatch):
    "An application's id and secret."
    monkeypatch.setenv("SPOTIFY_CLIENT_ID", "an-id")
    monkeypatch.setenv("SPOTIFY_CLIENT_SECRET", "a-secret")


def ask_spotify(folder, server, genres="rock", songs=4):
    "Fetch from the server; what could not be had."
    options = dict(base=server.base, accounts=server.base, web=Web(**QUICK))
    return spotify.fetch(str(folder), genres=genres, songs_per_genre=songs, **options)


def ask_deezer(folder, server, genres="rock", songs=4):
    "Fetch from the server; what could not be had."
    options = dict(base=server.base, web=Web(**QUICK))
    return deezer.fetch(str(folder), genres=genres, songs_per_genre=songs, **options)


def says(status, message, **headers):
    "A function that answers so, whatever is asked."
    return lambda query: (dict(error=dict(status=status, message=message)), status, headers)


def test_a_refusal_is_told_in_the_services_words(tmp_path, application):
    with Server(answers={SEARCH: says(403, PREMIUM)}) as server:
        with pytest.raises(RunError, match="403 Forbidden: Active premium subscription required"):
            ask_spotify(tmp_path, server, "rock,jazz")
    assert server.log.count(SEARCH) == 1, "the second genre would be refused as well"


@pytest.mark.parametrize(
    "answer, words",
    [
        (dict(error=dict(status=403, message=PREMIUM)), "Active premium"),
        (dict(error=dict(message="Something")), "Something"),
        (dict(error="invalid_client", error_description="Invalid client"), "Invalid client"),
    ],
)
def test_failures_with_status_200(tmp_path, application, answer, words):
    with Server(answers={SEARCH: lambda query: (answer, 200, {})}) as server:
        try:
            told = str(ask_spotify(tmp_path, server))
        except RunError as error:
            told = str(error)
    assert words in told


@pytest.mark.parametrize("wait, words", [("86400", "24 h 0 min"), ("4000", "1 h 6 min")])
def test_a_wait_of_hours_ends_the_asking(tmp_path, application, wait, words):
    start = time.monotonic()
    with Server(answers={SEARCH: says(429, "API rate limit exceeded", Retry_After=wait)}) as server:
        missing = ask_spotify(tmp_path, server, "rock,jazz,pop")
    reason = missing[0]["reason"]
    assert f"429 Too Many Requests: API rate limit exceeded; it asks to wait {words}" in reason
    assert [row["path"] for row in missing[-2:]] == ["jazz", "pop"]
    assert "nothing more was asked for" in missing[-1]["reason"]
    assert server.log.count(SEARCH) == 1 and time.monotonic() - start < 5


def test_a_wait_of_hours_for_sound_ends_the_asking(tmp_path):
    with Server(answers={}) as server:

        class All(dict):
            def get(self, path, default=None):
                if path.startswith("/preview"):
                    return says(429, "Enough", Retry_After="7200")
                return default

        server.answers = All()
        missing = ask_deezer(tmp_path, server, "rock,jazz", 40)
    assert "Enough; it asks to wait 2 h 0 min" in missing[0]["reason"]
    assert sum(path.startswith("/preview") for path in server.log) <= 4, "one of each thread"
    assert missing[-1]["path"] == "Jazz"


def tracks(numbers, base, more=True):
    "A page of Spotify's, where None stands for a track that is not to be had."

    def item(number):
        url = f"{base}/preview/{number}.mp3"
        return number and dict(id=f"s{number}", name="N", artists=None, album=None, preview_url=url)

    return dict(
        tracks=dict(items=[item(number) for number in numbers], next="more" if more else None)
    )


@pytest.mark.parametrize("first", [[None] * 50, [], None])
def test_a_page_of_nulls_is_not_the_last(tmp_path, application, first):
    with Server() as server:

        def page(query):
            if int(query["offset"]):
                return tracks([1, 2, None, 3, 4], server.base, more=False), 200, {}
            return dict(tracks=dict(items=first, next="more")), 200, {}

        server.answers[SEARCH] = page
        assert ask_spotify(tmp_path, server) == []
    assert len(list(tmp_path.rglob("*.mp3"))) == 4 and server.log.count(SEARCH) == 2


def test_nothing_but_nulls_ends(tmp_path, application):
    with Server() as server:
        server.answers[SEARCH] = lambda query: (dict(tracks=dict(items=None, next="more")), 200, {})
        assert "0 of 4" in ask_spotify(tmp_path, server)[-1]["reason"]
    assert server.log.count(SEARCH) == 20, "a search ends at its thousandth track"


@pytest.mark.parametrize("most, requests", [(10, 2), (5, 3), (1, 4)])
def test_shorter_pages_where_they_are_asked_for(tmp_path, application, most, requests):
    with Server() as server:

        def page(query):
            if int(query["limit"]) > most:
                return says(400, "Invalid limit")(query)
            return tracks([1, 2, 3, 4], server.base), 200, {}

        server.answers[SEARCH] = page
        assert ask_spotify(tmp_path, server) == []
    assert server.log.count(SEARCH) == requests


def test_another_bad_request_is_told(tmp_path, application):
    with Server(answers={SEARCH: says(400, "No such market")}) as server:
        assert "No such market" in ask_spotify(tmp_path, server)[0]["reason"]
    assert server.log.count(SEARCH) == 2


@pytest.mark.parametrize("odd", [dict(id=3), dict(id=4, name=None), None, "Rock", dict(name="X")])
def test_a_genre_without_a_name(tmp_path, odd):
    listed = dict(data=[dict(id=0, name="All"), odd, dict(id=152, name="Rock")])
    with Server(answers={GENRES: lambda query: (listed, 200, {})}) as server:
        assert not [row for row in ask_deezer(tmp_path, server) if not row.get("replaced")]
    assert len(list(tmp_path.rglob("*.mp3"))) == 4


@pytest.mark.parametrize("data", [None, [], {}, "none"])
def test_no_genres_at_all(tmp_path, data):
    with Server(answers={GENRES: lambda query: (dict(data=data), 200, {})}) as server:
        with pytest.raises(RunError, match="Deezer lists no genres"):
            ask_deezer(tmp_path, server, "")


def test_a_list_that_leads_back_to_itself(tmp_path):
    path = "/genre/152/artists"
    with Server() as server:
        again = dict(data=[dict(id=152_001, name="A")], next=f"{server.base}{path}")
        server.answers[path] = lambda query: (again, 200, {})
        assert len(list(deezer.list_entries(Web(**QUICK), f"{server.base}{path}"))) == 1


def test_odd_tracks_of_deezer():
    row = deezer.track_row(dict(id=1, preview=None, artist="A", album=[], title=None), "Rock")
    assert (row["url"], row["artist"], row["album"], row["title"]) == ("", "", "", "")


def test_links_that_expire_with_a_page_and_status_200(tmp_path):
    with Server() as server:
        old = dict(data=[dict(id=152_000_01, title="T", preview=f"{server.base}/old")])
        server.answers["/artist/152000/top"] = lambda query: (old, 200, {})
        server.answers["/old"] = lambda query: (b"<html>expired</html>", 200, {})
        server.answers["/track/15200001"] = lambda query: (
            dict(id=1, preview=f"{server.base}/preview/1.mp3"),
            200,
            {},
        )
        ask_deezer(tmp_path, server, songs=1)
    assert (tmp_path / "rock" / "15200001.mp3").exists()


def test_words_of_a_refused_download_without_secrets(tmp_path):
    said = dict(message="Expired: https://cdn.example/a.mp3?hmac=secret")
    with Server(answers={"/a.mp3": lambda query: (said, 403, {})}) as server:
        with pytest.raises(DownloadError) as caught:
            download(Web(**QUICK), f"{server.base}/a.mp3", tmp_path / "a.mp3")
    assert "403 Forbidden: Expired: https://cdn.example/a.mp3" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("body", [b"[" * 100_000, b"\xff\xfe", b"{"])
def test_answers_that_are_no_json(body):
    with Server(answers={"/x": lambda query: (body, 200, {})}) as server:
        with pytest.raises(DownloadError, match="no JSON"):
            fetch_json(Web(**QUICK), f"{server.base}/x")
    with Server(answers={"/x": lambda query: (json.dumps(None).encode(), 404, {})}) as server:
        with pytest.raises(DownloadError, match="404"):
            fetch_json(Web(**QUICK), f"{server.base}/x")
