"""The queue: order, joins, loop, skips, pause, volume, and what was heard of what."""

from __future__ import annotations

import numpy as np
import pytest

from avatar_server.errors import AvatarError
from avatar_server.sources.base import Played, SourceError
from avatar_server.sources.join import FADE_IN, FADE_OUT
from avatar_server.sources.playlist import MAX_QUEUED, Playlist, QueueFull

TICK, DELAY = 960, 7680


class Steady:
    """`length` samples of one value; `replayable` as a file is."""

    kind = "file"

    def __init__(self, length: int, value: float = 0.5, *, replayable: bool = False) -> None:
        self.problem: AvatarError | None = None
        self.length, self.value, self.replayable = length, value, replayable
        self.position = self.closed = self.begun = 0
        self.heard_of: list[tuple[int, int]] = []
        self.interrupted: int | None = None

    def begin(self) -> None:
        self.begun += 1

    def read(self, n: int) -> np.ndarray:
        out = np.zeros(n, np.float32)
        count = min(n, self.length - self.position)
        out[:count] = self.value
        self.position += count
        return out

    @property
    def finished(self) -> bool:
        return self.position >= self.length

    def heard(self, position: int, pts: int) -> None:
        self.heard_of.append((position, pts))

    def interrupt(self, position: int, pts: int) -> Played:
        self.interrupted = position
        return Played(self.kind, position / 48_000)

    def again(self) -> Steady | None:
        return Steady(self.length, self.value, replayable=True) if self.replayable else None

    async def close(self) -> None:
        self.closed += 1


class Player:
    """Reads as a session does."""

    def __init__(self, playlist: Playlist) -> None:
        self.playlist, self.pts = playlist, 0

    def tick(self, count: int = 1) -> np.ndarray:
        pieces = []
        for _ in range(count):
            pieces.append(self.playlist.read(TICK, self.pts))
            self.pts += TICK
            self.playlist.heard(self.pts - DELAY, DELAY)
        return np.concatenate(pieces)


def playing(*sources: Steady) -> Player:
    playlist = Playlist()
    for source in sources:
        playlist.enqueue(source)
    return Player(playlist)


async def test_it_plays_in_order_without_a_gap_and_closes_what_ended() -> None:
    sources = Steady(1500, 0.5), Steady(1000, 0.25)
    player = playing(*sources)
    sound = player.tick(4)
    assert np.array_equal(np.unique(sound[FADE_IN:1500]), [0.5])
    assert np.array_equal(np.unique(sound[1500:2500]), [0.25])
    assert not sound[2500 + FADE_OUT :].any()
    await player.playlist.close()
    assert [source.closed for source in sources] == [1, 1]
    assert player.playlist.kind == "idle"


async def test_the_edges_do_not_click() -> None:
    player = playing(Steady(1500, 0.5))
    sound = player.tick(4)
    assert np.abs(np.diff(sound, prepend=0)).max() < 0.5 / 90


async def test_the_queue_is_bounded_and_cut_at_once() -> None:
    sources = [Steady(10**6) for _ in range(MAX_QUEUED + 1)]
    player = playing(*sources[:-1])
    with pytest.raises(QueueFull):
        player.playlist.enqueue(sources[-1])
    player.tick()
    player.playlist.cut(player.pts, 0)
    assert player.playlist.queue_length == 0
    assert not player.tick(2).any()
    await player.playlist.close()
    assert all(source.closed == 1 for source in sources)
    assert [source.interrupted for source in sources[:3]] == [TICK, 0, 0]


async def test_only_what_plays_and_the_next_make_sound_ahead() -> None:
    sources = [Steady(TICK) for _ in range(4)]
    player = playing(*sources)
    assert [bool(source.begun) for source in sources] == [True, True, False, False]
    player.tick(1)
    assert bool(sources[2].begun)


async def test_it_tells_what_was_heard_and_when() -> None:
    first, second = Steady(2 * TICK), Steady(TICK // 2)
    player = playing(first, second)
    player.tick(2 + DELAY // TICK)
    assert first.heard_of == [(TICK, TICK + DELAY), (2 * TICK, 2 * TICK + DELAY)]
    player.tick()
    assert second.heard_of == [(TICK // 2, 2 * TICK + TICK // 2 + DELAY)]


async def test_an_interruption_tells_what_was_really_heard() -> None:
    first, second = Steady(20 * TICK), Steady(TICK)
    player = playing(first, second)
    player.tick(10)
    played = player.playlist.cut(player.pts - DELAY, DELAY)
    assert played is not None
    assert played.seconds == pytest.approx(2 * 0.02)
    assert first.interrupted == 2 * TICK
    assert second.interrupted == 0


async def test_what_was_read_to_its_end_can_still_be_interrupted() -> None:
    source = Steady(3 * TICK)
    player = playing(source)
    player.tick(5)
    assert player.playlist.queue_length == 0
    played = player.playlist.cut(player.pts - 3 * TICK - 100, 3 * TICK + 100)
    assert played is not None
    assert source.interrupted == 2 * TICK - 100


async def test_skipping_goes_on_with_the_next_and_keeps_the_queue() -> None:
    first, second = Steady(50 * TICK, 0.5), Steady(50 * TICK, 0.25)
    player = playing(first, second)
    player.tick(3)
    assert player.playlist.skip(player.pts, 0) is not None
    assert np.unique(player.tick()[FADE_IN:]) == [0.25]
    assert second.interrupted is None
    player.playlist.skip(player.pts, 0)
    assert player.playlist.skip(player.pts, 0) is None
    assert not player.tick().any()


async def test_previous_goes_back_to_files_only() -> None:
    player = playing(Steady(TICK, 0.1), Steady(TICK, 0.2, replayable=True), Steady(9 * TICK, 0.3))
    player.tick(3)
    player.playlist.skip(player.pts, 0, back=True)
    assert np.unique(player.tick()[FADE_IN:]) == [np.float32(0.2)]


async def test_loop_plays_files_again_and_an_empty_one_only_once() -> None:
    playlist = Playlist()
    playlist.loop = True
    for source in (
        Steady(TICK, 0.1, replayable=True), Steady(0, replayable=True), Steady(TICK, 0.2),
        Steady(TICK, 0.3, replayable=True),
    ):  # fmt: skip
        playlist.enqueue(source)
    sound = Player(playlist).tick(9).reshape(9, TICK)[:, FADE_IN:].mean(axis=1)
    assert sound == pytest.approx([0.1, 0.2, 0.3, 0.1, 0.3, 0.1, 0.3, 0.1, 0.3], abs=1e-6)
    await playlist.close()


async def test_a_lone_looped_file_is_made_ahead_and_closed_when_not_needed() -> None:
    made: list[Steady] = []

    class Kept(Steady):
        def again(self) -> Steady | None:
            made.append(Kept(self.length, self.value, replayable=True))
            return made[-1]

    player = playing(Kept(3 * TICK, replayable=True))
    player.playlist.loop = True
    player.tick(2)
    assert made[0].begun
    player.playlist.loop = False
    player.tick(3)
    await player.playlist.close()
    assert made[0].closed == 1
    assert all(not source.begun for source in made[1:])


async def test_previous_in_a_loop_of_two() -> None:
    player = playing(*(Steady(5 * TICK, value, replayable=True) for value in (0.1, 0.2)))
    player.playlist.loop = True
    player.tick(6)
    player.playlist.skip(player.pts, 0, back=True)
    assert np.unique(player.tick()[FADE_IN:]) == [np.float32(0.1)]


async def test_a_pause_holds_the_place_and_gives_up_the_floor() -> None:
    source = Steady(10 * TICK)
    player = playing(source)
    player.tick(2)
    player.playlist.paused = True
    fading = player.tick()
    assert fading[-1] == 0
    assert np.abs(np.diff(fading)).max() < 0.002
    assert not player.playlist.sounding
    position = source.position
    assert not player.tick(5).any()
    assert source.position == position
    player.playlist.paused = False
    assert np.unique(player.tick(2)[TICK:]) == [0.5]


async def test_the_volume_changes_without_a_step() -> None:
    player = playing(Steady(10 * TICK))
    player.tick(2)
    player.playlist.volume = 0.5
    sound = player.tick(2)
    assert np.abs(np.diff(sound)).max() < 0.001
    assert sound[-1] == pytest.approx(0.25)


async def test_why_a_source_ended_early_is_told() -> None:
    problems: list[AvatarError] = []
    playlist = Playlist(problems.append)
    source = Steady(0)
    source.problem = SourceError("the voice stopped working")
    playlist.enqueue(source)
    Player(playlist).tick()
    assert problems == [source.problem]
