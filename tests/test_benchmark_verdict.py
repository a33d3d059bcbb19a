"""The gate's verdict on given numbers: what it lets pass, and what it names."""

import importlib.util
import json
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parent.parent / "ci" / "benchmark_verdict.py"


@pytest.fixture
def verdict():
    if not SOURCE.exists():
        pytest.skip("needs the checkout: ci/ is not installed")
    spec = importlib.util.spec_from_file_location("benchmark_verdict", SOURCE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def judge(verdict, tmp_path):
    """Writes turns of (name -> seconds, KL), and returns the exit code for them."""

    def run(base, head):
        for side, turns in (("base", base), ("head", head)):
            for number, results in enumerate(turns):
                (tmp_path / f"{side}-{number}.json").write_text(json.dumps(written(results)))
        return verdict.main(tmp_path)

    return run


def written(results):
    """What pytest-benchmark writes, as far as the verdict reads it."""
    return {
        "benchmarks": [
            {
                "name": f"test_{name}",
                "stats": {"min": seconds},
                "extra_info": {} if kl is None else {"kl": kl},
            }
            for name, (seconds, kl) in results.items()
        ]
    }


def test_equal_revisions_pass(judge, capsys):
    turn = {"step": (0.1, None), "fit": (2.0, 1.5)}
    assert judge([turn], [turn]) == 0
    assert "keeps up" in capsys.readouterr().out


@pytest.mark.parametrize(("seconds", "code"), [(0.05, 0), (0.114, 0), (0.116, 1)])
def test_fifteen_per_cent(judge, capsys, seconds, code):
    assert (
        judge(
            [{"step": (0.1, None), "walk": (1, None)}],
            [{"step": (seconds, None), "walk": (1, None)}],
        )
        == code
    )
    failed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("FAILED")]
    assert failed == (["FAILED step: 16 % slower"] if code else [])


@pytest.mark.parametrize(("kl", "code"), [(1.0, 0), (2.019, 0), (2.021, 1), (float("nan"), 1)])
def test_one_per_cent_of_kl(judge, capsys, kl, code):
    assert judge([{"fit": (1, 2.0)}], [{"fit": (1, kl)}]) == code
    assert ("FAILED fit: KL divergence" in capsys.readouterr().out) == bool(code)


def test_the_fastest_turn_counts(judge):
    slow_once = [{"step": (0.3, None)}, {"step": (0.1, None)}]
    assert judge(slow_once, slow_once[::-1]) == 0
    assert judge(slow_once, [{"step": (0.13, None)}, {"step": (0.12, None)}]) == 1


def test_what_did_not_run(judge, capsys):
    both, one = {"step": (1, None), "new": (1, None)}, {"step": (1, None)}
    assert judge([one], [both]) == 0
    assert "new" in capsys.readouterr().out
    assert judge([both], [one]) == 1
    assert "new: did not run in HEAD" in capsys.readouterr().out


def test_no_results_at_all(judge):
    assert judge([{"step": (1, None)}], []) == 1
    assert judge([], []) == 1
