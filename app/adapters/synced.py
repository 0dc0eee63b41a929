"""Files that survive a power cut: written down to the disk, and the folder that names them, too."""

import os
from pathlib import Path


def write(path: Path, text: bytes, *, mode: int = 0o600) -> None:
    """Write a file, its folders too, down to the disk. Raises OSError; a part of it may be there then."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on disk. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
