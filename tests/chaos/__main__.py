"""`make chaos`: short sweeps whose parts are killed at random moments, and what must be true of them afterwards.

    python -m tests.chaos --kills 50 --sweeps 10 --seed 0

The seed decides which parts are killed and after how many seconds. Exit code 1 when anything is not as it must be.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter

from tests.chaos.arena import VICTIMS, arena
from tests.chaos.rounds import Round, in_peace, run_round


def main(arguments: list[str]) -> int:
    """Run the rounds, with a line for each; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=50, help="parts to kill in all")
    parser.add_argument("--sweeps", type=int, default=10, help="the least number of sweeps")
    parser.add_argument("--trials", type=int, default=10, help="of each sweep")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=VICTIMS, help="kill nothing else")
    asked = parser.parse_args(arguments)
    rng = random.Random(asked.seed)
    victims = [asked.only] if asked.only else list(VICTIMS)
    rounds: list[Round] = []
    began = time.monotonic()
    with arena() as ground:
        while len(rounds) < asked.sweeps or sum(map(len, (r.killed for r in rounds))) < asked.kills:
            left = asked.kills - sum(len(r.killed) for r in rounds)
            share = max(1, -(-left // max(1, asked.sweeps - len(rounds)))) if left > 0 else 0
            plan = [(rng.choice(victims), rng.uniform(0.5, 7.0)) for _ in range(share)]
            name, seed = f"chaos-{asked.seed}-{len(rounds)}", rng.randrange(10**6)
            truth = in_peace(ground, f"{name}-peace", seed=seed, trials=asked.trials)
            rounds.append(run_round(ground, name, plan, rng, seed=seed, truth=truth))
            print(rounds[-1], flush=True)
    killed = Counter(victim for each in rounds for victim in each.killed)
    wrong = sum(len(each.wrong) for each in rounds)
    print(f"{len(rounds)} sweeps, {killed.total()} kills in {time.monotonic() - began:.0f} s: {wrong} things wrong")
    print(", ".join(f"{count} × {victim}" for victim, count in killed.most_common()))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
