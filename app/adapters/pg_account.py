"""Under which account Postgres runs. It refuses root, so for root it gets another one, with nothing changed on the machine.

    we are            Postgres runs as
    a plain user      that user
    root              root in a user namespace of its own, where it sees itself as uid 1000; files stay root's on disk
    root, and user    `nobody`, who gets the database folder and, to walk through private parent folders, one capability
    namespaces are    (CAP_DAC_OVERRIDE: no more than root's own Postgres in a namespace can read, and the alternative is
    forbidden         to open those folders to everybody)
    root, but the     that user, in the same way: a root-owned file in it would lock the user out
    folder is a user's

The functions `enter` run in the child, between fork and exec.
"""

import ctypes
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from app.errors import SetupError

LINUX = sys.platform == "linux"
CLONE_NEWUSER = 0x10000000  # linux/sched.h
PR_SET_PDEATHSIG, PR_SET_KEEPCAPS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 1, 8, 47, 2  # linux/prctl.h
CAPABILITY_VERSION_3, CAP_DAC_OVERRIDE = 0x20080522, 1  # linux/capability.h

libc = ctypes.CDLL(None, use_errno=True)


class Account(NamedTuple):
    """`uid`, `gid`: owner of the database files on disk. `enter` makes the child that account; raises OSError."""

    name: str
    uid: int
    gid: int
    enter: Callable[[], None]

    def own(self, folder: Path) -> None:
        """Give a folder and all in it to this account; nothing is touched when it has it already."""
        if folder.stat().st_uid == self.uid:
            return
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def in_child(self) -> Callable[[], None]:
        """What the child of this very process has to do before exec: change account, and die when we die.

        The death signal comes last, because a change of account clears it. It follows the thread that forks.
        """
        parent = os.getpid()

        def prepare() -> None:
            self.enter()
            die_with(parent)

        return prepare


def die_with(parent: int) -> None:
    """Have this process stop, as if by Ctrl-C, when its parent does (Linux)."""
    if not LINUX:
        return
    _check(libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGINT), 0, 0, 0), "death signal")
    if os.getppid() != parent:  # it died before the signal was set
        os._exit(1)


def choose_account(binaries: Path, folder: Path, database: Path) -> Account:
    """The first account that can run Postgres and enter `folder`. `database` lies in it and may not exist yet.

    Raises SetupError with what was tried.
    """
    refused = []
    for account in _accounts(database):
        try:
            _try(account, binaries, folder)
        except (OSError, subprocess.SubprocessError) as error:
            refused.append(f"as {account.name}: {error}")
        else:
            return account
    raise SetupError(
        f"Postgres in {binaries} could not be run for the folder {folder} ({'; '.join(refused)}). "
        "Run Offhook as a plain user who owns its folder, or set DATABASE_URL."
    )


def _accounts(database: Path) -> Iterator[Account]:
    if os.geteuid() != 0:
        yield Account("this user", os.geteuid(), os.getegid(), lambda: None)
        return
    if database.exists() and (owner := database.stat()).st_uid != 0:
        yield dropped(f"uid {owner.st_uid}", owner.st_uid, owner.st_gid)
        return
    if LINUX:
        yield Account("root in a user namespace", 0, os.getegid(), enter_namespace)
    nobody = pwd.getpwnam("nobody")
    yield dropped("nobody", nobody.pw_uid, nobody.pw_gid)


def _try(account: Account, binaries: Path, folder: Path) -> None:
    def prepare() -> None:
        account.enter()
        os.scandir(folder).close()  # may it walk there? raises, and so fails the trial

    subprocess.run(  # noqa: S603 - our own binaries
        [binaries / "postgres", "--version"],
        preexec_fn=prepare,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )


def enter_namespace() -> None:
    """Become uid 1000 of a new user namespace that stands for root outside: no new account, no chmod."""
    gid = os.getegid()
    _check(libc.unshare(CLONE_NEWUSER), "user namespace")
    for name, text in (("setgroups", "deny"), ("uid_map", "1000 0 1"), ("gid_map", f"1000 {gid} 1")):
        fd = os.open(f"/proc/self/{name}", os.O_WRONLY)
        os.write(fd, text.encode())
        os.close(fd)


def dropped(name: str, uid: int, gid: int) -> Account:
    """An account that root turns into, keeping only the right to walk through private folders (Linux)."""

    def enter() -> None:
        if LINUX:
            _check(libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), "keep capabilities")
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
        if LINUX:
            header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
            one = 1 << CAP_DAC_OVERRIDE
            sets = (ctypes.c_uint32 * 6)(one, one, one, 0, 0, 0)  # effective, permitted, inheritable; then bits 32-63
            _check(libc.capset(header, sets), "capabilities")
            _check(libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0), "ambient capability")

    return Account(name, uid, gid, enter)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
