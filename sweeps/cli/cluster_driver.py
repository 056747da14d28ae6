"""The driver of a sweep as a job on a cluster: `python -m sweeps.cli.cluster_driver NAME driver|keep-alive`."""

from __future__ import annotations

import sys

from sweeps.cluster import addresses
from sweeps.cluster.jobs import HERE
from sweeps.cluster.supervisor import keep_alive


def main() -> int:
    """Run the driver here, or keep one alive."""
    name, purpose = sys.argv[1:]
    addresses.apply()
    if purpose == "keep-alive":
        return keep_alive([sys.executable, "-m", "sweeps.cli.cluster_driver", name, "driver"])
    from sweeps.cli import main as sweeps

    return sweeps(["resume", name, "--plain", "--address", HERE])


if __name__ == "__main__":
    sys.exit(main())
