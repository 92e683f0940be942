"""Group commit: who shares a transaction with whom, and what is under way beside it."""

import asyncio

import pytest

from bridge.errors import LedgerUnavailableError
from bridge.ledger.alarm import PutReceipt
from bridge.ledger.incoming import IncomingNotification
from bridge.ledger.writer.group_commit import GroupCommit


def unread(max_alerts=1):
    """Give a notification that counts as one alert until it is opened, and may hold ``max_alerts``."""
    return IncomingNotification("s", b"{}", max_alerts)


class Transactions:
    """Commits what it is given when it is told to; keeps how many notifications each transaction had."""

    def __init__(self, *, remaining=1_000_000, can_overlap=True, can_begin=True):
        self.can_begin = can_begin
        self.sizes = []
        self.under_way = []
        self.group = GroupCommit(self.commit, lambda: remaining, lambda: self.can_begin, can_overlap=can_overlap)

    async def commit(self, notifications):
        done = asyncio.get_running_loop().create_future()
        self.sizes.append(len(notifications))
        self.under_way.append(done)
        await done
        return [PutReceipt([], b"")] * len(notifications)

    async def put(self, count, max_alerts=1):
        """Put so many notifications at once, and let the event loop begin what can begin."""
        for _ in range(count):
            task = asyncio.create_task(self.group.put(unread(max_alerts), lambda: True))
            task.add_done_callback(asyncio.Task.result)
        await self.rounds()

    async def end(self):
        """End the first transaction that is under way."""
        self.under_way.pop(0).set_result(None)
        await self.rounds()

    @staticmethod
    async def rounds():
        for _ in range(5):
            await asyncio.sleep(0)


async def test_a_storm_fills_two_transactions_alike():
    """Neither takes all that waits: the one would have to wait for the other's senders to come again."""
    storm = Transactions()
    await storm.put(32)
    assert storm.sizes == [16, 16]
    await storm.end()
    await storm.put(26)
    assert storm.sizes == [16, 16, 21]


async def test_few_notifications_share_one_transaction():
    """What waits is put together, and nothing begins beside it for a handful."""
    few = Transactions()
    await few.put(11)
    await few.put(11)
    assert few.sizes == [11]
    await few.end()
    assert few.sizes == [11, 11]


async def test_where_nothing_can_be_beside_it_a_transaction_takes_all():
    """Without a process of its own for them, transactions follow each other, each with all that waits."""
    alone = Transactions(can_overlap=False)
    await alone.put(32)
    await alone.put(40)
    assert alone.sizes == [32]
    await alone.end()
    assert alone.sizes == [32, 40]


@pytest.mark.parametrize(("remaining", "sizes"), [(40, [16, 16]), (24, [16, 8]), (16, [16])])
async def test_nothing_is_beside_a_transaction_that_may_fill_the_ledger(remaining, sizes):
    """The second one takes no more than the first one leaves room for, if each alert of it is a new alarm."""
    storm = Transactions(remaining=remaining)
    await storm.put(32)
    assert storm.sizes == sizes


async def test_an_unread_notification_counts_for_as_many_alerts_as_it_may_hold():
    """Room is kept for the worst case, since the number of alerts is unknown before it is opened."""
    storm = Transactions(remaining=100)
    await storm.put(32, max_alerts=5)
    assert storm.sizes == [16, 4]


async def test_who_gave_up_while_it_waited_is_in_no_transaction(monkeypatch):
    """A put that was refused for its age before its transaction began is left out, and takes no room there."""
    monkeypatch.setattr("bridge.ledger.writer.group_commit.MAX_PUT_SECONDS", 0.05)
    storm = Transactions(can_overlap=False)
    await storm.put(1)
    waiting = asyncio.create_task(storm.group.put(unread(), lambda: True))
    with pytest.raises(LedgerUnavailableError, match="did not commit within"):
        await waiting
    assert storm.group._rows == 0
    monkeypatch.undo()
    await storm.put(2)
    storm.under_way[0].cancel()
    await storm.rounds()
    assert storm.sizes == [1, 2]


async def test_nothing_begins_while_nothing_can_be_written():
    """While there is no process that writes, notifications wait, and go together when it is there."""
    storm = Transactions(can_begin=False)
    await storm.put(20)
    assert storm.sizes == []
    storm.can_begin = True
    storm.group.begin()
    await storm.rounds()
    assert storm.sizes == [12]


async def test_a_notification_that_is_larger_than_a_group_leaves_time_for_those_behind_it():
    """It is too old sooner, so that who has to wait for its end is not refused for it."""
    storm = Transactions()
    small, large = unread(), unread()
    large.alerts = [None] * 10_001
    puts = [asyncio.create_task(storm.group.put(one, lambda: True)) for one in (small, large)]
    await storm.rounds()
    assert small.expires_at - large.expires_at > 1.5
    for put in puts:
        put.cancel()
    await asyncio.gather(*puts, return_exceptions=True)
