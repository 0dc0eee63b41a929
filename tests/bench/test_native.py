"""The native load and floor: known values, whole runs, faults that must be noticed, and the product between them."""

import asyncio
import subprocess
from typing import Any

import pytest

from app.commands.own_server import started_server
from tests.bench.native import floor, load, perfect, program
from tests.calls.foreign import ACCOUNT, TOKEN

UNSIGNED = {"signed": 0, "calls": 5}
LIVELY = {"reply_ms": 400, "every_ms": 600, "delta_ms": 20, "delta_gap_ms": 2, "first_audio_ms": 20}
"""Much speech in little time."""
SHORT = UNSIGNED | LIVELY | {"warmup_s": 0.2, "window_s": 1.5}


def test_digests_signatures_stamps_and_percentiles_are_as_published() -> None:
    done = subprocess.run([program("load"), "--selftest"], capture_output=True, text=True, check=False)
    wrong = [line for line in done.stdout.splitlines() if not line.startswith("ok")]
    assert (done.returncode, wrong) == (0, ["0 failed"])
    assert done.stdout.count("signature:") == 8


async def test_five_calls_through_the_floor_lose_nothing() -> None:
    async with load() as it, floor(it.port) as stream:
        result = await it.run(stream=stream, **UNSIGNED, warmup_s=0.2, window_s=3, reply_ms=1000, every_ms=1500)
    assert (result["connected"], result["failed"], result["protocol_errors"]) == (5, 0, [])
    assert perfect(result["up"])
    assert perfect(result["down"])
    assert abs(result["up"]["sent"] - 5 * 50 * result["window_s"]) <= 10
    assert result["messages"]["up"] == result["up"]["sent"]
    assert result["messages"]["down"] * 20 >= result["down"]["sent"] > 5 * 50
    assert 0 < result["up"]["p50_us"] <= result["up"]["p99_us"] <= result["up"]["p999_us"] <= result["up"]["max_us"]
    assert result["first_of_reply"]["n"] >= 5
    assert result["model_sockets_peak"] == 5


async def short_run(*fault: str, **keys: object) -> dict[str, Any]:
    """A short run through the floor, with its fault if one is named."""
    async with load() as it, floor(it.port, *fault) as stream:
        return await it.run(stream=stream, **(SHORT | keys))


async def test_a_relay_that_spoils_frames_is_noticed() -> None:
    kinds = ("drop", "swap", "cross", "twice")  # one frame in fifty up, one delta in five down
    sound, *results = await asyncio.gather(short_run(), *(short_run("--fault", kind) for kind in kinds))
    assert perfect(sound["up"])
    assert perfect(sound["down"])
    expected = {
        "drop": {"lost"},
        "swap": {"reordered"},
        "cross": {"lost", "crosstalk"},
        "twice": {"duplicated"},
    }
    for kind, result in zip(kinds, results, strict=True):
        for way in (result["up"], result["down"]):
            faults = {name for name in ("lost", "reordered", "duplicated", "crosstalk") if way[name]}
            edge = {"lost"} if kind == "swap" else set()  # one that is held back when the calls end
            assert expected[kind] <= faults <= expected[kind] | edge, (kind, way)
            assert way["sent"] == way["received"] + way["lost"]


async def test_every_scenario_measures_what_it_is_for() -> None:
    runs = {
        "turn": short_run(scenario="turn"),
        "bargein": short_run(scenario="bargein", reply_ms=2500, every_ms=2600),
        "greeting": short_run(scenario="greeting", repeat=8, first_audio_ms=120),
        "idle": short_run(scenario="idle"),
        "ragged": short_run(delta_bytes=333),
        "tone": short_run(probe="tone", calls=3, window_s=2.5),
    }
    results = dict(zip(runs, await asyncio.gather(*(case for case in runs.values())), strict=True))
    assert [result["protocol_errors"] for result in results.values()] == [[]] * len(runs)
    assert results["turn"]["turn"]["n"] >= 5
    assert results["turn"]["turn"]["p50_us"] > 0
    assert results["bargein"]["bargein"]["n"] >= 3
    assert results["bargein"]["down"]["lost"] == 0
    greeting = results["greeting"]["greeting"]
    assert greeting["n"] == results["greeting"]["connected"] == 8
    assert greeting["p50_us"] >= 120_000 > greeting["ours_p50_us"] > 0
    assert greeting["dialled_before_start"] == 0
    assert perfect(results["idle"]["up"])
    assert results["idle"]["messages"]["down"] <= 5 * 20
    assert perfect(results["ragged"]["down"])
    assert perfect(results["tone"]["up"])
    assert perfect(results["tone"]["down"])
    assert results["tone"]["first_of_reply"]["n"] >= 3


async def test_five_calls_through_the_product_lose_and_mix_nothing() -> None:
    async with load() as it:
        model = f"ws://127.0.0.1:{it.port}/v1/realtime"
        async with started_server(
            quiet=True, REALTIME_URL=model, OPENAI_API_KEY="", TWILIO_AUTH_TOKEN=TOKEN, TWILIO_ACCOUNT_SID=ACCOUNT
        ) as (running, _):
            keys: dict[str, object] = {
                "webhook": f"{running.url}/twilio/incoming",
                "public": running.url,
                "token": TOKEN,
                "account": ACCOUNT,
                "calls": 5,
            }
            steady = await it.run(**keys, **LIVELY, warmup_s=1, window_s=2)
            greeting = await it.run(**keys, scenario="greeting", repeat=10, first_audio_ms=50)
            forged = await it.run(**(keys | {"token": "wrong"}))
    assert (steady["connected"], steady["failed"], steady["protocol_errors"]) == (5, 0, [])
    assert perfect(steady["up"])
    assert perfect(steady["down"])
    assert steady["webhook"]["n"] == 5
    assert (greeting["greeting"]["n"], greeting["protocol_errors"]) == (10, [])
    assert greeting["greeting"]["dialled_before_start"] == 10
    assert forged["event"] == "failed"
    assert "403" in forged["why"]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("run calls=none", "calls=none"),
        ("run scenario=party signed=0", "scenario=party"),
        ("run pace=9 signed=0", "pace=9"),
        ("run calls=5", "token="),
        ("run signed=0 webhook=nowhere", "nowhere"),
        ("run signed=0 calls=2 stream=ws://127.0.0.1:1/x", "refused"),
        ("run signed=0 calls=2 webhook=http://127.0.0.1:1/x", "refused"),
        ("walk", "walk"),
    ],
)
async def test_a_run_that_cannot_be_is_refused_with_its_reason(line: str, why: str) -> None:
    async with load() as it:
        said = await it.told(line)
        assert said["event"] == "failed"
        assert why in said["why"]
        assert (await it.told("stats"))["calls"] == 0
