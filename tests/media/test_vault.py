"""A recording's file: encrypted, and every change of it is seen."""

import os
from pathlib import Path

import pytest

from sip.media.recording.keys import KeyFileError, Keys, new_key
from sip.media.recording.vault import Header, VaultError, VaultReader, VaultWriter

KEY = bytes(range(32))
CHUNKS = (b"one" * 100, b"", b"three" * 50)


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys.read(key_file(tmp_path))


def key_file(folder: Path, text: str | None = None, mode: int = 0o600) -> Path:
    path = folder / "recording.keys"
    path.write_text(new_key("main", KEY) if text is None else text)
    path.chmod(mode)
    return path


def header(salt: str = "00" * 16) -> Header:
    return Header(
        recording="call",
        call_sid="call",
        started_at=1.5,
        key="main",
        salt=salt,
        rate_hz=8000,
        channels=2,
    )


def written(path: Path, keys: Keys, *, last: bool = True) -> Path:
    writer = VaultWriter(path, header(), keys)
    for index, chunk in enumerate(CHUNKS):
        writer.write(chunk, last=last and index == len(CHUNKS) - 1)
    writer.close()
    return path


def read(path: Path, keys: Keys) -> tuple[bytes, bool]:
    reader = VaultReader.open(path)
    try:
        return b"".join(reader.chunks(keys)), reader.complete
    finally:
        reader.close()


def test_what_was_written_is_read_and_stands_nowhere_in_the_clear(
    tmp_path: Path, keys: Keys
) -> None:
    path = written(tmp_path / "a.rec", keys)
    assert read(path, keys) == (b"".join(CHUNKS), True)
    content = path.read_bytes()
    assert b"oneone" not in content
    assert KEY not in content
    assert os.stat(path).st_mode & 0o777 == 0o600
    reader = VaultReader.open(path)
    assert reader.octets == sum(map(len, CHUNKS))
    assert reader.header == header()
    reader.close()


def test_a_file_that_was_cut_off_is_read_as_far_as_it_goes(tmp_path: Path, keys: Keys) -> None:
    path = written(tmp_path / "a.rec", keys, last=False)
    assert read(path, keys) == (b"".join(CHUNKS), False)
    content = path.read_bytes()
    path.write_bytes(content[:-7])
    assert read(path, keys) == (b"".join(CHUNKS[:2]), False)


def test_no_octet_of_it_can_be_changed(tmp_path: Path, keys: Keys) -> None:
    path = written(tmp_path / "a.rec", keys)
    content = path.read_bytes()
    for position in range(0, len(content), 13):
        path.write_bytes(
            content[:position] + bytes((content[position] ^ 1,)) + content[position + 1 :]
        )
        try:
            audio, complete = read(path, keys)
        except VaultError:
            continue
        # A length that was changed cuts the file off: what is read before it is as it was.
        assert not complete
        assert b"".join(CHUNKS).startswith(audio)


def test_chunks_cannot_change_places_or_files(tmp_path: Path, keys: Keys) -> None:
    path = written(tmp_path / "a.rec", keys)
    content = path.read_bytes()
    first, third = 4 + len(CHUNKS[0]) + 16, 4 + len(CHUNKS[2]) + 16
    start = len(content) - first - (4 + 16) - third
    path.write_bytes(content[:start] + content[-third:] + content[start + first :])
    with pytest.raises(VaultError, match="chunk 0 was altered"):
        read(path, keys)
    other = VaultWriter(tmp_path / "b.rec", header(salt="11" * 16), keys)
    other.write(b"other", last=True)
    other.close()
    path.write_bytes(content[:start] + (tmp_path / "b.rec").read_bytes()[-(4 + 5 + 16) :])
    with pytest.raises(VaultError, match="chunk 0 was altered"):
        read(path, keys)


def test_a_key_may_be_replaced_while_its_recordings_are_kept(tmp_path: Path, keys: Keys) -> None:
    path = written(tmp_path / "a.rec", keys)
    both = Keys.read(key_file(tmp_path, new_key("next", bytes(32)) + new_key("main", KEY)))
    assert both.newest == "next"
    assert read(path, both)[1]
    only = Keys.read(key_file(tmp_path, new_key("next", bytes(32))))
    with pytest.raises(VaultError, match="'main' is not in the file of keys"):
        read(path, only)


@pytest.mark.parametrize(
    "content", [b"", b"RIFF....WAVE", b"RSGREC1\n\0\0", b"RSGREC1\n\0\0\0\2{}"]
)
def test_what_is_no_recording_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.rec"
    path.write_bytes(content)
    with pytest.raises(VaultError):
        VaultReader.open(path)


@pytest.mark.parametrize(
    ("text", "mode", "why"),
    [
        ("", 0o600, "holds no key"),
        ("main", 0o600, ":1: not a name and 32 octets"),
        ("# a note\n\nmain AAAA", 0o600, ":3: not a name and 32 octets"),
        (None, 0o640, "others may read it"),
    ],
)
def test_a_file_of_keys_says_what_is_wrong(
    tmp_path: Path, text: str | None, mode: int, why: str
) -> None:
    with pytest.raises(KeyFileError, match=why):
        Keys.read(key_file(tmp_path, text, mode))
    with pytest.raises(KeyFileError, match="No such file"):
        Keys.read(tmp_path / "none")


def test_a_full_disk_leaves_whole_chunks(
    tmp_path: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.rec"
    writer = VaultWriter(path, header(), keys)
    writer.write(b"first")
    real, calls = os.write, []

    def full(fd: int, data: bytes) -> int:
        calls.append(data)
        if len(calls) > 1:
            raise OSError(28, "No space left on device")
        return real(fd, data[:5])

    monkeypatch.setattr("sip.media.recording.vault.os.write", full)
    with pytest.raises(OSError, match="No space"):
        writer.write(b"second", last=True)
    monkeypatch.undo()
    writer.close()
    assert read(path, keys) == (b"first", False)
