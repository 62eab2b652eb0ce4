"""What the documentation tells people to type works, as it stands."""

import re
import socket
from pathlib import Path

import numpy as np
import pytest

from tests.cli.command import call, fences, shell
from volition.cli import COMMANDS
from volition.core.clock import SECOND, VirtualClock
from volition.engine.load import beside

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
NODE_PAGE = ROOT / "docs" / "your-own-node.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
GROUPS = [
    ("calibrate", "erp"),
    ("evaluate", "erp"),
    ("evaluate", "gaze"),
    ("evaluate", "lm"),
    ("keys", "new"),
    ("keys", "list"),
]
GROUPS += [("model", name) for name in ("add", "list", "show", "remove", "quantise")]
GROUPS += [("memory", name) for name in ("add", "list", "search", "remove", "forget")]
GROUPS += [("profile", name) for name in ("show", "export", "import", "reset", "forget")]
LEAVES = [(name,) for name in COMMANDS if name not in {group for group, _ in GROUPS}] + GROUPS


@pytest.mark.parametrize("command", LEAVES, ids=" ".join)
def test_help_has_an_example_and_json(command):
    result = call(*command, "--help")
    assert result.exit_code == 0
    assert re.search(rf"Examples?: volition {' '.join(command)}", " ".join(result.stdout.split()))
    assert "--json" in result.stdout


@pytest.mark.slow
def test_the_graph_of_the_readme_runs_is_recorded_and_replayed(tmp_path):
    (graph,) = fences(README, "yaml")
    (commands,) = fences(README, "sh")
    (tmp_path / "clean.yaml").write_text(graph)
    assert len(graph.splitlines()) <= 12
    for line in commands.splitlines():
        shell(line, tmp_path)
    assert (tmp_path / "clean.xdf").stat().st_size > 10_000


@pytest.mark.slow
def test_a_sensor_in_ten_minutes(tmp_path):
    outputs = {line: shell(line, tmp_path) for block in fences(NODE_PAGE, "sh") for line in block.strip().splitlines()}
    again = [line for line in outputs if line.startswith("volition replay")]
    assert len(outputs) == 6
    assert [_sha256(outputs[line]) for line in again] == [_sha256(shell(line, tmp_path)) for line in again]


def _sha256(text: str) -> str:
    found = re.search(r"[0-9a-f]{64}", text)
    assert found is not None
    return found.group()


def test_the_device_of_the_page_reads_samples_and_shows_holes(tmp_path):
    call("nodes", "--new", "udp_sensor", "--folder", str(tmp_path))
    device, opening = fences(NODE_PAGE, "python")
    module = tmp_path / "udp_sensor.py"
    text = module.read_text()
    text = text.replace("import threading", "import socket\nimport threading")
    text = text.replace("class UdpSensor(", f"{device}\n\nclass UdpSensor(")
    text = text.replace("        self._device = FakeDevice(self.rate, self.clock)\n", opening)
    text = text.replace("FakeDevice | None", "UdpDevice | None")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    module.write_text(text.replace("port: int = 5005", f"port: int = {port}"))
    with beside(tmp_path):
        from udp_sensor import UdpSensor
    sensor = UdpSensor(rate=100.0)
    sensor.clock = VirtualClock(7 * SECOND)
    sensor.open()
    assert sensor.poll(0.0) == []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number in (5, 6, 9):
            sender.sendto(f"{number} {number / 2}".encode(), ("127.0.0.1", port))
    frames = [frame for _ in range(3) for _, frame in sensor.poll(1.0)]
    sensor.terminate()
    times = np.concatenate([frame.times for frame in frames])
    assert times.tolist() == [7 * SECOND + k * SECOND // 100 for k in (0, 1, 4)]
    assert [frame.values.tolist() for frame in frames] == [[[2.5]], [[3.0]], [[4.5]]]
    assert [frame.segment for frame in frames] == [0, 0, 1]
    assert [label for _, label, _ in sensor.take_reports()] == ["gap"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        to = (page.parent / path).resolve() if path else page
        assert to.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", to.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
            assert anchor in slugs, target


def test_the_commands_of_the_readme_exist():
    for block in fences(README, "sh") + fences(README, "text"):
        for line in block.strip().splitlines():
            assert line.split()[0] == "volition"
            assert line.split()[1] in COMMANDS


def test_the_targets_of_make_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = {name for page in PAGES for name in re.findall(r"`make ([a-z]+)`", page.read_text(encoding="utf-8"))}
    assert {"demo", "test"} <= named
    assert [name for name in named if f"\n{name}:" not in makefile] == []
