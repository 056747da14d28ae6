"""Several hosts on one machine: network namespaces joined by a bridge, each with file trees of its own.

A process on a host sees an address and a loopback of its own, and in the places of `/tmp`, `/var/tmp` and `/dev/shm`
folders that no other host sees; its home is in one of them. Programs and packages come from the machine they share,
as from an image.
"""

from __future__ import annotations

import fcntl
import shlex
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

NETWORK = "10.213.77"
BRIDGE = "sweeps-net"
PREFIX = "sweeps-test-"  # of the namespaces' names
LINK = "eth0"  # a host's own end of its link to the bridge
SHARED = Path(__file__).resolve().parents[2]  # the repository, which may lie in a folder that is private there
HOME = "/tmp/home"
PRIVATE = ("/dev/shm", "/var/tmp", "/tmp")


def can_make_hosts() -> bool:
    """Whether this user may make network namespaces."""
    try:
        made = subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True, check=False)
    except FileNotFoundError:
        return False
    return made.returncode == 0 and subprocess.run(["ip", "-V"], capture_output=True, check=False).returncode == 0


@dataclass(frozen=True)
class Host:
    """One of them.

    name     of its namespace
    address  that the others know it by
    files    folder that holds its own file trees
    """

    name: str
    address: str
    files: Path
    _started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(
        self, command: Sequence[str], *, log: Path, environment: Mapping[str, str], hidden: Sequence[Path] = ()
    ) -> subprocess.Popen[bytes]:
        """Start a process there, in a session of its own.

        Args:
            command: of the process; it begins in its home.
            log: file that its output is added to.
            environment: all of it, but for its home.
            hidden: folders that are empty there.
        """
        steps = [f"hostname {self.name}", f"exec 8<{shlex.quote(str(self._own('empty')))} 9<{shlex.quote(str(SHARED))}"]
        # The last one may hold the host's own folders, and the repository: from then on they are known by number.
        steps += [_bind(str(self._own(place)), place) for place in PRIVATE]
        steps += [f"mkdir -p {SHARED}", _bind("/proc/self/fd/9", str(SHARED))]
        steps += [_bind("/proc/self/fd/8", str(folder)) for folder in hidden]
        steps += ["exec 8<&- 9<&-"]
        within = " && ".join([*steps, f"mkdir -p {HOME} && cd {HOME} && exec {shlex.join(command)}"])
        enter = ["ip", "netns", "exec", self.name, "unshare", "--mount", "--uts", "--propagation", "private"]
        with log.open("ab") as output:
            process = subprocess.Popen(
                [*enter, "sh", "-c", within],
                env={**environment, "HOME": HOME},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._started.append(process)
        return process

    def processes(self) -> list[psutil.Process]:
        """Everything that runs there."""
        told = subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True, check=False)
        found = []
        for pid in told.stdout.split():
            with suppress(psutil.NoSuchProcess):
                found.append(psutil.Process(int(pid)))
        return found

    def die(self) -> None:
        """Kill everything there at once, as if its power had gone."""
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(self.processes(), timeout=10)
        for process in self._started:
            process.wait(10)

    def _own(self, place: str) -> Path:
        folder = self.files / place.strip("/").replace("/", "-")
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o1777)
        return folder


class Network:
    """A bridge and the hosts on it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.hosts: list[Host] = []

    @property
    def here(self) -> str:
        """This machine's own address on the bridge."""
        return f"{NETWORK}.1"

    def host(self, name: str) -> Host:
        """Add a host."""
        number = len(self.hosts) + 2
        host = Host(f"{PREFIX}{name}", f"{NETWORK}.{number}", self._folder / name)
        outer = f"sw{number}o"
        _ip("netns", "add", host.name)
        self.hosts.append(host)
        _ip("link", "add", outer, "type", "veth", "peer", "name", LINK, "netns", host.name)
        _ip("link", "set", outer, "master", BRIDGE, "up")
        _ip("-n", host.name, "addr", "add", f"{host.address}/24", "dev", LINK)
        _ip("-n", host.name, "link", "set", LINK, "up")
        _ip("-n", host.name, "link", "set", "lo", "up")
        return host

    def end(self) -> None:
        """Kill what still runs, and take the network down."""
        for host in self.hosts:
            _remove(host)


@contextmanager
def network(folder: Path) -> Iterator[Network]:
    """A network for a test, one at a time on a machine; nothing of it is left afterwards."""
    with ExitStack() as stack:
        alone = stack.enter_context(Path(tempfile.gettempdir(), f"{BRIDGE}.lock").open("w"))
        fcntl.flock(alone, fcntl.LOCK_EX)
        _clear_away()
        # With an address of its own: else it takes the lowest of its hosts', which changes when a host is added.
        _ip("link", "add", BRIDGE, "address", "02:00:00:00:00:01", "type", "bridge")
        stack.callback(_ip, "link", "delete", BRIDGE)
        _ip("addr", "add", f"{NETWORK}.1/24", "dev", BRIDGE)
        _ip("link", "set", BRIDGE, "up")
        made = Network(folder)
        stack.callback(made.end)
        yield made


def namespaces() -> list[str]:
    """Names of all hosts that there are on this machine, whoever made them."""
    listed = subprocess.run(["ip", "netns", "list"], check=True, capture_output=True, text=True).stdout
    return [line.split()[0] for line in listed.splitlines() if line.startswith(PREFIX)]


def _remove(host: Host) -> None:
    host.die()
    # Its link first, which takes the bridge's end with it at once: the kernel takes a deleted namespace apart in its
    # own time, and until then that end's name would be taken. A host that was never joined has none.
    with suppress(subprocess.CalledProcessError):
        _ip("-n", host.name, "link", "delete", LINK)
    _ip("netns", "delete", host.name)


def _clear_away() -> None:
    """Remove what tests left that were killed before they could: nobody else's, while the lock is held."""
    for name in namespaces():
        _remove(Host(name, address="", files=Path()))
    if Path("/sys/class/net", BRIDGE).exists():
        _ip("link", "delete", BRIDGE)


def _bind(folder: str, place: str) -> str:
    return shlex.join(["mount", "--no-canonicalize", "--bind", folder, place])


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
