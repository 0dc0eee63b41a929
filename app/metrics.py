"""The figures that a platform scrapes, under the names of the contract."""

from prometheus_client import Counter, Gauge, Histogram

QUICK = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
HUMAN = (0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)

calls_live = Gauge("offhook_calls_live", "Calls in progress")
calls_total = Counter("offhook_calls_total", "Calls that are over", ["mode", "outcome", "door"])
greeting_seconds = Histogram("offhook_greeting_seconds", "Stream start to first audio sent", ["path"], buckets=HUMAN)
turn_seconds = Histogram("offhook_turn_seconds", "Caller stopped to first audio sent", buckets=HUMAN)
bargein_seconds = Histogram("offhook_bargein_seconds", "speech_started to clear sent", buckets=QUICK)
relay_seconds = Histogram(
    "offhook_relay_seconds", "One message through the relay (sampled)", ["direction"], buckets=QUICK
)
transfers_total = Counter(
    "offhook_transfers_total", "Attempts to put a caller through, by what was first known to come of them", ["result"]
)
tool_seconds = Histogram(
    "offhook_tool_seconds", "Tool calls", ["tool", "result"], buckets=(*HUMAN, 20.0, 30.0, 60.0, 120.0)
)
tool_slow_total = Counter("offhook_tool_slow_total", "Tool calls that took longer than their filler waits", ["tool"])
model_reconnects_total = Counter("offhook_model_reconnects_total", "Model sessions opened again during a call")
journal_spooled = Gauge("offhook_journal_spooled", "Rows that wait to be written to the database")
loop_lag_seconds = Gauge("offhook_loop_lag_seconds", "How late the event loop runs")
cost_usd_total = Counter("offhook_cost_usd_total", "Model cost", ["mode"])
cached_tokens_total = Counter("offhook_cached_tokens_total", "Input tokens that the model had in its cache", ["mode"])
input_tokens_total = Counter("offhook_input_tokens_total", "Input tokens of the model, cached ones included", ["mode"])
spare_links = Gauge("offhook_spare_links", "Open links to the model that wait for a call")
