"""What virtual machines boot is made of a kernel's files and of the guest's, without root."""

import stat
from pathlib import Path

import pytest

from netloom.standalone.guest import machine

MODULES = {
    "drivers/virtio/virtio.ko": "",
    "drivers/virtio/virtio_ring.ko": "",
    "drivers/virtio/virtio_pci.ko": "virtio_ring,virtio",
    "drivers/net/virtio_net.ko": "virtio",
    "drivers/char/virtio_console.ko": "virtio,virtio_ring",
    "net/802/garp.ko": "",
    "net/8021q/8021q.ko": "garp",
}


def kernel(place: Path, version: str = "6.1.0-1-cloud-amd64", without: str = "") -> Path:
    """A kernel with modules that say what they need."""
    (place / "boot").mkdir(parents=True, exist_ok=True)
    (place / f"boot/vmlinuz-{version}").write_bytes(b"kernel " + version.encode())
    for name, needed in MODULES.items():
        path = place / f"lib/modules/{version}/kernel/{name}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if name != without:
            path.write_bytes(b"ELF\0license=GPL\0depends=" + needed.encode() + b"\0more")
    return place


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A small guest."""
    root = tmp_path / "guest"
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin/busybox").write_bytes(b"program")
    (root / "usr/bin/busybox").chmod(0o4755)
    (root / "bin").symlink_to("usr/bin")
    return root


def unpacked(archive: bytes) -> dict[str, tuple[int, tuple[int, int], bytes]]:
    """Mode, owner and data of each file of a cpio archive, by the description of the format."""
    found, at = {}, 0
    while True:
        assert archive[at : at + 6] == b"070701"
        fields = [int(archive[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        name = archive[at + 110 : at + 110 + fields[11] - 1].decode()
        start = (at + 110 + fields[11] + 3) & ~3
        if name == "TRAILER!!!":
            return found
        found[name] = (fields[1], (fields[2], fields[3]), archive[start : start + fields[6]])
        at = (start + fields[6] + 3) & ~3


def test_the_guests_files_and_the_modules_in_order(tmp_path: Path, root: Path) -> None:
    made = machine.build(tmp_path, root, [kernel(tmp_path / "cache")])
    assert (made / "kernel").read_bytes() == b"kernel 6.1.0-1-cloud-amd64"
    files = unpacked((made / "initramfs").read_bytes())
    assert files["usr/bin/busybox"] == (stat.S_IFREG | 0o4755, (0, 0), b"program")
    assert files["bin"][0] & stat.S_IFLNK == stat.S_IFLNK
    assert files["bin"][2] == b"usr/bin"
    order = files["lib/modules/order"][2].decode().split()
    assert order == ["virtio_ring", "virtio", "virtio_pci", "virtio_net", "virtio_console", "garp", "8021q"]
    assert all(f"lib/modules/{name}.ko" in files for name in order)
    assert machine.build(tmp_path, root, [tmp_path / "cache"]) == made


def test_a_kernel_for_clouds_with_all_modules_is_taken(tmp_path: Path, root: Path) -> None:
    places = [tmp_path / "none", kernel(tmp_path / "boot", "6.1.0-2-amd64"), tmp_path / "other"]
    assert machine.build(tmp_path, root, places).joinpath("kernel").read_bytes() == b"kernel 6.1.0-2-amd64"
    kernel(places[1])
    assert machine.build(tmp_path, root, places).joinpath("kernel").read_bytes() == b"kernel 6.1.0-1-cloud-amd64"
    kernel(places[1], "6.1.0-3-cloud-amd64", without="net/802/garp.ko")
    assert machine.build(tmp_path, root, places).joinpath("kernel").read_bytes() == b"kernel 6.1.0-1-cloud-amd64"


def test_what_to_install_is_told(tmp_path: Path, root: Path) -> None:
    with pytest.raises(FileNotFoundError, match="'make machines' fetches one"):
        machine.build(tmp_path, root, [tmp_path / "none"])
