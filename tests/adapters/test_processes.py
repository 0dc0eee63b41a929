"""Processes as the system tells of them."""

import os
import socket
import subprocess
import sys

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
