"""Figures and alerts: every metric is on the page as it is, every alert loads, fires, and has a runbook."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client import Counter
from prometheus_client.metrics import MetricWrapperBase

from app import metrics

ROOT = Path(__file__).parent.parent.parent
ALERTS = ROOT / "deploy" / "alerts.yml"
PAGE = ROOT / "docs" / "observability.md"
LABELS = {
    "mode", "outcome", "door", "what", "path", "direction", "result", "tool", "rung", "cause", "server", "why", "from", "to", "cap",
    "call", "endpoint",
}  # fmt: skip
"""Each with few values, whoever calls: `call` is new or live, `from` and `to` are kinds of places."""
PROMTOOL = os.environ.get("PROMTOOL") or shutil.which("promtool")
needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="promtool is not here (Debian: prometheus; or name it in PROMTOOL)"
)


def registered() -> dict[str, tuple[str, ...]]:
    """All metrics of ours by the names that a scraper sees, with their labels."""
    ours = [it for it in vars(metrics).values() if isinstance(it, MetricWrapperBase)]
    return {it._name + ("_total" if isinstance(it, Counter) else ""): it._labelnames for it in ours}


def rules() -> dict[str, str]:
    """The text of each alert's rule by its name."""
    parts = re.split(r"^ +- alert: (\w+)$", ALERTS.read_text(), flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def runbooks() -> list[str]:
    return re.findall(r"^### (Offhook\w+)$", PAGE.read_text(), flags=re.MULTILINE)


def test_the_page_has_every_metric_with_its_labels_and_no_other() -> None:
    rows = re.findall(r"^\| `(offhook_\w+)` \|([\w, ]*)\| \S", PAGE.read_text(), flags=re.MULTILINE)
    told = {name: tuple(label.strip() for label in labels.split(",") if label.strip()) for name, labels in rows}
    assert told == registered()


def test_no_label_can_have_more_values_than_there_are_things_in_the_house() -> None:
    assert {label for labels in registered().values() for label in labels} == LABELS


def test_buckets_are_fine_where_the_figures_are() -> None:
    assert [bound for bound in metrics.relay_seconds._kwargs["buckets"] if bound < 0.0005], (
        "a message takes microseconds"
    )
    for histogram in (metrics.turn_seconds, metrics.greeting_seconds):
        between = [bound for bound in histogram._kwargs["buckets"] if 0.2 <= bound <= 3.0]
        assert len(between) >= 6, "people notice each half second"


def test_alerts_speak_of_metrics_and_labels_that_there_are() -> None:
    known = registered()
    for name, rule in rules().items():
        for metric, labels in re.findall(r"\b(offhook_\w+)(?:\{([^}]*)\})?", rule):
            base = re.sub(r"_(bucket|count|sum)$", "", metric)
            assert base in known, f"{name}: {metric}"
            used = set(re.findall(r"(\w+)(?:=|!)", labels))
            assert used <= set(known[base]), f"{name}: {metric} has no {used - set(known[base])}"


def test_each_alert_says_what_it_is_how_bad_and_where_to_look() -> None:
    assert len(rules()) >= 20
    for name, rule in rules().items():
        assert re.search(r"^ +summary: .{15,}", rule, flags=re.MULTILINE), name
        assert re.search(r"severity: (page|ticket)\b", rule), name
        assert f"runbook_url: docs/observability.md#{name.lower()}\n" in rule, name
    assert sorted(runbooks()) == sorted(rules()), "a runbook for each, and none for what is no alert"


@needs_promtool
def test_prometheus_takes_the_rules() -> None:
    assert PROMTOOL is not None
    done = subprocess.run(
        [PROMTOOL, "check", "rules", "--lint-fatal", str(ALERTS)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


RINGS = 'offhook_webhook_seconds_count{door="/twilio/incoming"}'
HISTORIES = f"""
rule_files: [{ALERTS}]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - {{series: 'offhook_calls_live{{instance="a"}}', values: '1x60'}}
      - {{series: '{RINGS}', values: '0+2x60'}}
      - {{series: 'offhook_greeting_seconds_count{{path="prepared"}}', values: '0+2x20 40x40'}}
      - {{series: 'offhook_turn_seconds_count', values: '0+5x20 100x40'}}
    alert_rule_test:
      - {{eval_time: 15m, alertname: OffhookCallsNotAnswered, exp_alerts: []}}
      - eval_time: 50m
        alertname: OffhookCallsNotAnswered
        exp_alerts:
          - exp_labels: {{severity: page}}
            exp_annotations:
              summary: Calls ring, and no caller hears a word
              description: 20 calls rang within ten minutes; on none of them was anything said.
              runbook_url: docs/observability.md#offhookcallsnotanswered
      - {{eval_time: 50m, alertname: OffhookNotScraped, exp_alerts: []}}
  - interval: 1m
    input_series:
      - {{series: 'offhook_postgres_away{{instance="a"}}', values: '0x10 1x10 0x10'}}
      - {{series: 'offhook_postgres_away{{instance="b"}}', values: '0x30'}}
    alert_rule_test:
      - {{eval_time: 8m, alertname: OffhookPostgresAway, exp_alerts: []}}
      - eval_time: 15m
        alertname: OffhookPostgresAway
        exp_alerts:
          - exp_labels: {{severity: page}}
            exp_annotations:
              summary: Postgres takes no rows
              description: Calls go on, and what they leave waits on disk.
              runbook_url: docs/observability.md#offhookpostgresaway
      - {{eval_time: 25m, alertname: OffhookPostgresAway, exp_alerts: []}}
      - eval_time: 25m
        alertname: OffhookNotScraped
        exp_alerts:
          - exp_labels: {{severity: page}}
            exp_annotations:
              summary: No instance of Offhook is scraped
              description: All instances are down, or METRICS_TOKEN is not the scraper's token.
              runbook_url: docs/observability.md#offhooknotscraped
  - interval: 1m
    input_series:
      - {{series: 'offhook_turn_seconds_bucket{{le="3.0",instance="a"}}', values: '0+9x40'}}
      - {{series: 'offhook_turn_seconds_bucket{{le="5.0",instance="a"}}', values: '0+10x40'}}
      - {{series: 'offhook_turn_seconds_bucket{{le="+Inf",instance="a"}}', values: '0+10x40'}}
      - {{series: 'offhook_turn_seconds_count{{instance="a"}}', values: '0+10x40'}}
    alert_rule_test:
      - eval_time: 40m
        alertname: OffhookTurnsSlow
        exp_alerts:
          - exp_labels: {{severity: ticket}}
            exp_annotations:
              summary: Callers wait for answers
              description: The slowest twentieth of answers comes 4s after the caller stopped.
              runbook_url: docs/observability.md#offhookturnsslow
  - interval: 1m
    input_series:
      - {{series: 'offhook_deliveries_total{{endpoint="crm",result="failed"}}', values: '0+1x60'}}
      - {{series: 'offhook_deliveries_total{{endpoint="good",result="failed"}}', values: '0+1x60'}}
      - {{series: 'offhook_deliveries_total{{endpoint="good",result="taken"}}', values: '0+1x60'}}
      - {{series: 'offhook_rungs_total{{rung="voicemail"}}', values: '0x30 1 2 3 3x30'}}
    alert_rule_test:
      - eval_time: 60m
        alertname: OffhookDeliveriesFail
        exp_alerts:
          - exp_labels: {{severity: ticket, endpoint: crm}}
            exp_annotations:
              summary: The endpoint "crm" takes no word of finished calls
              description: 30 attempts within half an hour, all in vain.
              runbook_url: docs/observability.md#offhookdeliveriesfail
      - {{eval_time: 29m, alertname: OffhookCallsMissed, exp_alerts: []}}
      - eval_time: 34m
        alertname: OffhookCallsMissed
        exp_alerts:
          - exp_labels: {{severity: page}}
            exp_annotations:
              summary: Callers reach neither the agent nor a person
              description: 3 callers were asked for a message within a quarter of an hour.
              runbook_url: docs/observability.md#offhookcallsmissed
"""


@needs_promtool
def test_alerts_fire_when_they_should_and_not_before(tmp_path: Path) -> None:
    assert PROMTOOL is not None
    histories = tmp_path / "histories.yml"
    histories.write_text(HISTORIES)
    done = subprocess.run([PROMTOOL, "test", "rules", str(histories)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
