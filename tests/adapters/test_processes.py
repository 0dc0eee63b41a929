"""Processes as the system tells of them."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from app.adapters import processes


def test_a_process_is_told_from_a_later_one_with_its_number() -> None:
    moment = processes.began(os.getpid())
    assert moment
    assert processes.same(os.getpid(), moment)
    assert not processes.same(os.getpid(), moment + "1")
    assert not processes.same(os.getpid(), "")


def test_one_that_has_ended_is_none_even_before_its_parent_has_asked() -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", "print('up', flush=True); input()"], stdin=pipe, stdout=pipe) as child:
        assert child.stdin
        assert child.stdout
        assert child.stdout.readline() == b"up\n"
        found = processes.look(child.pid)
        assert found is not None
        assert (found.parent, found.uid) == (os.getpid(), os.getuid())
        assert found.words[0] == sys.executable
        assert found.command.startswith(sys.executable)
        child.stdin.write(b"end\n")
        child.stdin.close()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert processes.began(child.pid) == ""
        assert processes.look(child.pid) is None


def test_who_listens_on_a_port_is_found_and_who_only_talks_on_it_is_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as caller:
            assert processes.listeners(port) == [os.getpid()]
            assert processes.listeners(caller.getsockname()[1]) == []
    assert processes.listeners(port) == []


def test_a_command_is_shown_as_far_as_no_secret_can_stand_in_it() -> None:
    def shown(*words: str) -> str:
        return processes.Process(1, 0, 0, "now", list(words), None).command

    assert shown("python", "-m", "app.cli", "serve", "--key=s3cret", "more") == "python -m app.cli serve"
    assert shown("run", "TOKEN=s3cret") == "run"
    assert shown("psql", "postgresql://ann:s3cret@host/db") == "psql"
    assert shown("--password", "s3cret") == "its command is not known"
    assert len(shown("x" * 500)) == 120


LEAVES = """
import ctypes, sys, threading
def holds():
    while state() != "Z":  # until the first thread has gone
        pass
    print("alone", flush=True)
    sys.stdin.readline()
def state():
    with open("/proc/self/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0]
threading.Thread(target=holds).start()
ctypes.CDLL(None).pthread_exit(None)
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only /proc tells of threads")
def test_one_whose_first_thread_has_gone_is_alive_as_long_as_another_may_hold_its_port() -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", LEAVES], stdin=pipe, stdout=pipe) as child:
        assert child.stdin
        assert child.stdout
        try:
            assert child.stdout.readline() == b"alone\n"
            assert processes.began(child.pid)
        finally:
            child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert processes.began(child.pid) == ""
