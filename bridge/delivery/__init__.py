"""The delivering half: due alarms of the ledger in, pushes to AOM out, and a decision about each alarm back.

Lanes
    Each target has two lanes, one for reports and one for clears (`lane`), and a look for duplicates (`duplicates`);
    `dispatcher` runs them and wakes them when the ledger says that something has become due. A lane claims up to
    `batch_size` alarms for a lease, sends them, and settles each one as soon as something is decided about it. It
    sends at once when it is idle, and while alarms keep coming it waits up to `batch_wait` for a fuller batch.

Sending
    `sender` encodes the alarms and pushes them. A push that AOM refuses for its content is halved until the refused
    event is alone. A clear needs the id under which AOM holds the alarm: `id_lookup` asks AOM's lists for it, and
    believes "not listed" only after everything that could make it untrue. Each alarm gets one `result`.

Deciding
    `settler` turns results into decisions (`bridge.ledger.decisions`), which the ledger carries out on the alarm's row.
    An alarm is rejected only if AOM refuses this alarm by itself. Everything else waits with a growing backoff and
    comes due again: after a crash at the end of its lease, as if it had never been claimed.

Health
    `target_health` knows for each target and action whether it accepts, fails, is paused (it refuses every alarm in
    the same way) or blind (its lists show nothing of ours), since when, why, and when it is tried next. While a target
    fails, one request at a time tries it; when an outage ends, waiting alarms are retried at once.

Changes
    `targets` starts a client and the lanes for each target, and on a reload restarts those whose settings differ.

It never sees a webhook; the ledger is all that it shares with the receiving half.
"""
