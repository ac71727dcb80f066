"""Memory of training 1,000 networks at once, in a fresh process."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

LIMIT_MIB = 1024.0

SCRIPT = """
import json, re
from pathlib import Path
import torch
from surrogate_opt.penalties import Strength
from surrogate_opt.training.trainer import Members, TrainingConfig, train

def peak_mib():
    # not getrusage, whose peak a child takes over from the process that started it
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024.0

torch.set_num_threads(2)
imported = peak_mib()
generator = torch.Generator().manual_seed(0)
x = 2.0 * torch.rand(1000, 10, generator=generator) - 1.0
rows = torch.stack([torch.randperm(1000, generator=generator) for _ in range(1000)])
members = Members(
    x=x,
    y=torch.sin(x.sum(1)),
    train_rows=rows[:, :800],
    stop_rows=rows[:, 800:],
    strengths=[Strength(dreg=1e-3, igp=1e-3)] * 1000,
    seeds=list(range(1000)),
)
result = train(members, TrainingConfig(hidden=(32, 32), epochs=2, batch_size=64, num_checks=2))
assert not result.failed.any()
print(json.dumps({"imported": imported, "trained": peak_mib()}))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_a_thousand_networks_train_in_under_a_gibibyte(benchmark, report):
    """The limit is on what training adds to torch and its imports; the total is reported beside it."""

    def run():
        return subprocess.run(
            [sys.executable, "-c", SCRIPT], check=True, capture_output=True, text=True
        ).stdout

    peaks = json.loads(benchmark.pedantic(run, rounds=1))
    added = peaks["trained"] - peaks["imported"]
    report(added_mib=added, total_mib=peaks["trained"], imports_mib=peaks["imported"])
    assert added < LIMIT_MIB
