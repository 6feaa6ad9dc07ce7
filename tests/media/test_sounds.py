"""Files that are played again and again: kept, read anew when changed, and bounded."""

import os
from pathlib import Path

import pytest

from sip.media.plane import MediaError
from sip.media.relay import sounds as module
from sip.media.relay.sounds import Sounds
from tests.media.test_wav import PCM, written


def saved(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_a_file_is_read_once(tmp_path: Path) -> None:
    sounds, path = Sounds(), saved(tmp_path / "a.wav", written())
    assert sounds.file(path) is sounds.file(path)
    assert sounds.file(path).data == PCM


def test_a_file_that_was_changed_is_read_anew(tmp_path: Path) -> None:
    sounds, path = Sounds(), saved(tmp_path / "a.wav", written())
    before = sounds.file(path)
    other = saved(tmp_path / "b.wav", written(rate_hz=16000))
    os.replace(other, path)
    assert sounds.file(path) is not before
    assert sounds.file(path).rate_hz == 16000
    path.unlink()
    with pytest.raises(MediaError, match=r"a\.wav: No such file"):
        sounds.file(path)


@pytest.mark.parametrize("path", ["/", "/nonexistent", "/dev/zero", "a\0b"])
def test_what_is_no_file_is_refused_by_name(path: str) -> None:
    with pytest.raises(MediaError) as refused:
        Sounds().file(Path(path))
    assert refused.value.slug == "bad-audio"
    assert path in refused.value.text


def test_a_bad_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"song\.wav: no WAV file"):
        Sounds().file(saved(tmp_path / "song.wav", b"ID3"))


def test_what_was_not_played_for_longest_goes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_KEPT", 2 * len(PCM))
    sounds = Sounds()
    paths = [saved(tmp_path / f"{n}.wav", written()) for n in range(3)]
    first, second = sounds.file(paths[0]), sounds.file(paths[1])
    assert sounds.file(paths[0]) is first
    sounds.file(paths[2])
    assert sounds.file(paths[0]) is first
    assert sounds.file(paths[1]) is not second
