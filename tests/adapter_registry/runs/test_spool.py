"""The spool on a disk that is full for a while: no point is lost, and none is taken twice."""

import json
import subprocess
import sys

import pytest

# In a process of its own, for the limit is one of all its files. Python ignores the signal that comes with it.
FILLED = """
import json, resource, sys
from adapter_registry.runs.spool import MetricPoint, Spool

room, tries, taken_meanwhile = map(int, sys.argv[1:])
points = [MetricPoint("a", "loss", float(step), step, 0) for step in range(60)]
spool, taken, refused = Spool(), [], 0
unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (room, unlimited[1]))
for start in range(0, len(points), 3):
    for attempt in range(tries + 1):
        try:
            spool.append(points[start : start + 3])
            break
        except OSError:
            refused += 1
            taken += spool.take(taken_meanwhile)
            if attempt == tries - 1:
                resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
while len(spool):
    taken += spool.take(7)
print(json.dumps([refused, [point.step for point in taken]]))
"""


@pytest.mark.parametrize("taken_meanwhile", [0, 2])
@pytest.mark.parametrize("room", range(300, 340, 3))
def test_points_that_a_full_disk_refused_three_times_are_added_once(room: int, taken_meanwhile: int) -> None:
    """Wherever in a line the disk was full, and whether or not others were taken while it was."""
    command = [sys.executable, "-c", FILLED, str(room), "3", str(taken_meanwhile)]
    refused, steps = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert refused == 3
    assert steps == list(range(60))
