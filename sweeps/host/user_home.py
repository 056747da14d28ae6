"""A home folder and a user name where there are none: a container's user id often has no entry in /etc/passwd.

Ray, MLflow, Keras, KaggleHub, Hugging Face and Matplotlib all keep something in the home, and some end without one.
"""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

from sweeps.errors import HomeError
from sweeps.host.temporary import places

_NAMED_BY = ("LOGNAME", "USER", "LNAME", "USERNAME")  # where Python's getpass looks


def ensure_home() -> None:
    """Give this process and its children a home that can be written, and a user name.

    Instead of a home that is missing, or cannot be written, it is a folder of ours beside the temporary ones, the same
    for each process of this user. SWEEPS_CACHE says where else fetched models and compiled programs are to be kept.

    Raises:
        HomeError: no such folder can be made.
    """
    home = Path(os.path.expanduser("~"))  # noqa: PTH111  (Path's own raises where there is none)
    if not (home.is_absolute() and home.is_dir() and os.access(home, os.R_OK | os.W_OK | os.X_OK)):
        os.environ["HOME"] = str(_own_folder())
    if not any(os.environ.get(name) for name in _NAMED_BY):
        try:
            pwd.getpwuid(os.getuid())
        except KeyError:
            os.environ["USER"] = f"uid-{os.getuid()}"


def _own_folder() -> Path:
    tried: dict[Path, str] = {}
    for place in places():
        folder = place / f"sweeps-home-{os.getuid()}"
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            found = folder.lstat()
        except OSError as error:
            tried[folder] = str(error.strerror)
            continue
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022:
            return folder
        tried[folder] = "it belongs to somebody else, or others may write it"
    raise HomeError(
        "HOME must be a folder that this user can write, or a temporary folder must be, but neither is: "
        + "; ".join(f"{str(folder)!r}: {why}" for folder, why in tried.items())
        + ". Set HOME or TMPDIR."
    )
