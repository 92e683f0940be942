"""All alarms of a ledger, for tests that look at what is in it."""

import sqlalchemy as sa

from bridge.ledger.operations import queries
from bridge.ledger.storage.schema import alarms


def listing(connection):
    """Return every alarm as people see it, the newest first."""
    seqs = list(connection.execute(sa.select(alarms.c.seq).order_by(alarms.c.seq.desc())).scalars())
    views = {view.alarm.seq: view for view in queries.of_seqs(connection, seqs)}
    return [views[seq] for seq in seqs]
