"""What a container begins from: executables of this machine, or the root file system of an image that was built.

The second lies in a folder as `rootfs`, with the image's configuration (as OCI's image-spec has it) beside it as
`image.json`. What a container writes goes into a layer of its own, which is in memory and ends with it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# In a mount namespace: what is `root` on this machine becomes /opt/ml; then comes the command of the container
HERE = 'mkdir -p /opt/ml && mount --bind "$0" /opt/ml && mount --bind "$1" /etc/hosts && shift && exec "$@"'
# the same, with the devices that Docker gives, and nothing of this machine's files
APART = """
set -e
its=$PATH PATH=/usr/sbin:/usr/bin:/sbin:/bin
chroot=$(command -v chroot)
mount -t tmpfs layer "$2"
mkdir "$2/upper" "$2/work" "$2/root"
mount -t overlay image -o "lowerdir=$3,upperdir=$2/upper,workdir=$2/work" "$2/root"
cd "$2/root"
mkdir -p opt/ml etc proc sys dev
touch etc/hosts
mount --bind "$0" opt/ml
mount --bind "$1" etc/hosts
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t tmpfs devices dev
mkdir dev/shm
mount -t tmpfs shm dev/shm
ln -s /proc/self/fd dev/fd
for device in null zero full random urandom tty; do
    touch "dev/$device"
    mount --bind "/dev/$device" "dev/$device"
done
shift 3
PATH=$its
exec "$chroot" . "$@"
"""


def is_built(image: Path) -> bool:
    """Whether it is the root file system of an image, and not a folder of executables."""
    return (image / "rootfs").is_dir()


def beginning(image: Path, root: Path, names: Sequence[str] = ()) -> list[str]:
    """What makes `root` to /opt/ml of a container, and then becomes the command that follows.

    For namespaces of mounts and processes of its own. `names` are those of this machine, beside its own.
    """
    addresses = root.with_name("hosts")
    addresses.write_text(Path("/etc/hosts").read_text() + "".join(f"127.0.0.1 {name}\n" for name in names))
    if not is_built(image):
        return ["sh", "-c", HERE, str(root), str(addresses)]
    layer = root.with_name("layer")
    layer.mkdir()
    return ["sh", "-c", APART, str(root), str(addresses), str(layer), str((image / "rootfs").resolve())]


def variables(image: Path, root: Path) -> dict[str, str]:
    """The environment of a container, before anybody adds to it."""
    if is_built(image):
        config = json.loads((image / "image.json").read_text(encoding="utf-8"))["config"]
        return {"PATH": PATH, "HOME": "/root", **dict(item.split("=", 1) for item in config.get("Env") or [])}
    home = root.with_name("home")
    home.mkdir()
    return {"PATH": f"{image}:{PATH}", "HOME": str(home), "TMPDIR": str(home), "LANG": "C.UTF-8"}
