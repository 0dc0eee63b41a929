"""The figures that a platform scrapes, under the names of the contract."""

from prometheus_client import Counter, Gauge, Histogram

QUICK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
INSTANT = (0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0)
HUMAN = (0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)

calls_live = Gauge("offhook_calls_live", "Calls in progress")
calls_limit = Gauge("offhook_calls_limit", "MAX_CALLS: so many calls at once are answered")
calls_total = Counter("offhook_calls_total", "Calls that are over", ["mode", "outcome", "door"])
webhook_seconds = Histogram(
    "offhook_webhook_seconds", "A signed request of the carrier's, until its answer is made", ["door"], buckets=QUICK
)
refused_total = Counter(
    "offhook_refused_total",
    "What came to the carrier's doors without proof: a webhook, or a stream's upgrade",
    ["what"],
)
greeting_seconds = Histogram("offhook_greeting_seconds", "Stream start to first audio sent", ["path"], buckets=HUMAN)
turn_seconds = Histogram("offhook_turn_seconds", "Caller stopped to first audio sent", buckets=HUMAN)
bargein_seconds = Histogram("offhook_bargein_seconds", "speech_started to clear sent", buckets=INSTANT)
relay_seconds = Histogram(
    "offhook_relay_seconds", "One message through the relay (sampled)", ["direction"], buckets=INSTANT
)
transfers_total = Counter(
    "offhook_transfers_total", "Attempts to put a caller through, by what was first known to come of them", ["result"]
)
tool_seconds = Histogram(
    "offhook_tool_seconds", "Tool calls", ["tool", "result"], buckets=(*HUMAN, 20.0, 30.0, 60.0, 120.0)
)
tool_slow_total = Counter("offhook_tool_slow_total", "Tool calls that took longer than their filler waits", ["tool"])
model_reconnects_total = Counter(
    "offhook_model_reconnects_total",
    "Model sessions that took over from another in mid-call, by the rung of the ladder and what began it",
    ["rung", "cause"],
)
model_gap_seconds = Histogram(
    "offhook_model_gap_seconds", "Mid-call time without a model, fault to ready", ["rung"], buckets=HUMAN
)
voice_lost_total = Counter(
    "offhook_voice_lost_total", "Calls whose voice of another house was lost, and went on in the model's own", ["why"]
)
model_server_broken = Gauge(
    "offhook_model_server_broken", "1 while new calls go past this model server because it failed", ["server"]
)
calls_taken_up_total = Counter(
    "offhook_calls_taken_up_total", "Calls of another process that went on here, by what was known of them", ["from"]
)
calls_handed_over_total = Counter(
    "offhook_calls_handed_over_total", "Calls closed because the process ended, by where they went on", ["to"]
)
calls_cut_total = Counter("offhook_calls_cut_total", "Calls closed because the process ended, and seen nowhere since")
rungs_total = Counter("offhook_rungs_total", "Times that a call came to a rung of the ladder", ["rung"])
journal_spooled = Gauge("offhook_journal_spooled", "Rows that wait to be written to the database")
postgres_away = Gauge("offhook_postgres_away", "1 while rows wait because Postgres did not take the last ones")
journal_lost_total = Counter(
    "offhook_journal_lost_total", "Rows given up: there was no room for them on disk or in memory"
)
journal_refused_total = Counter("offhook_journal_refused_total", "Rows that the database refused, kept in a file")
tasks = Gauge("offhook_tasks", "Tasks of the event loop")
loop_lag_seconds = Gauge("offhook_loop_lag_seconds", "How late the event loop ran, at most, within the last seconds")
loop_overloaded = Gauge("offhook_loop_overloaded", "1 while new calls are turned away because the loop runs late")
capped_total = Counter(
    "offhook_capped_total", "Calls that a cap turned away (new) or wound down (live)", ["cap", "call"]
)
cost_usd_total = Counter("offhook_cost_usd_total", "Model cost", ["mode"])
cached_tokens_total = Counter("offhook_cached_tokens_total", "Input tokens that the model had in its cache", ["mode"])
input_tokens_total = Counter("offhook_input_tokens_total", "Input tokens of the model, cached ones included", ["mode"])
deliveries_total = Counter(
    "offhook_deliveries_total", "Attempts to bring word to an endpoint, by what became of them", ["endpoint", "result"]
)
outbound_attempts_total = Counter(
    "offhook_outbound_attempts_total", "Attempts to place a call that are over, by what became of them", ["result"]
)
trace_spans_total = Counter(
    "offhook_trace_spans_total", "Spans that the collector took (sent), or that were given up (dropped)", ["result"]
)
spare_links = Gauge("offhook_spare_links", "Open links to the model that wait for a call")

# A counter that begins with its first event shows no rise at that event: those that an alert waits for begin at nought.
for _rung in ("menu", "person", "voicemail"):
    rungs_total.labels(_rung)
for _what in ("webhook", "stream"):
    refused_total.labels(_what)
for _path in ("prepared", "spare", "cold", "fallback"):
    greeting_seconds.labels(_path)
for _result in ("sent", "dropped"):
    trace_spans_total.labels(_result)
