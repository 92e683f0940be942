"""An event loop whose clock is virtual: time passes only when nothing is left to do at this moment.

Nothing waits for real: a timer fires as soon as it is the next thing to happen, and what would run on a thread runs in
the loop, after a delay of the loop's own time. So an hour takes seconds, and a run can be repeated. It knows neither
the bridge nor AOM, but it knows `Life`: a part of the program that can be ended as by `kill -9`.
"""

import asyncio
import contextvars
import selectors
from functools import partial

LIFE = contextvars.ContextVar("LIFE", default=None)
"""Which life the running code belongs to; tasks and timers inherit it."""


class KilledError(Exception):
    """The life to which this belongs has ended."""


class Life:
    """Everything that was started inside `run`: its tasks and its calls on threads."""

    def __init__(self):
        self.is_over = False
        self.tasks = {}
        self.calls = {}

    def run(self, coroutine):
        """Start a task of this life; what it starts belongs to it, too."""
        context = contextvars.copy_context()
        context.run(LIFE.set, self)
        return asyncio.get_running_loop().create_task(coroutine, context=context)

    async def end(self):
        """End every task; what they still try to do on a thread fails."""
        self.is_over = True
        for call in list(self.calls):
            if not call.done():
                call.set_exception(KilledError())
        while self.tasks:
            tasks = list(self.tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


class _JumpingSelector(selectors.SelectSelector):
    """Does not wait: the time that a wait would take has passed."""

    now = 0.0

    def select(self, timeout=None):
        if timeout is None:
            raise RuntimeError("nothing is left that could ever happen")
        self.now += max(0.0, timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """The loop.

    Args:
        latency: gives how long a call on a thread takes, in seconds; each half of it before and after its effect.
    """

    def __init__(self, latency=lambda: 0.0):
        self._clock = _JumpingSelector()
        super().__init__(self._clock)
        self._latency = latency
        self._free_at = {}
        self.set_task_factory(_task)

    def time(self):
        return self._clock.now

    def run_in_executor(self, executor, func, *args):
        """Run the call in the loop; calls for one executor run one after the other, as on its only thread."""
        life, done, half = LIFE.get(), self.create_future(), self._latency() / 2
        begin = max(self.time(), self._free_at.get(id(executor), 0.0))
        self._free_at[id(executor)] = begin + 2 * half
        if life is not None:
            life.calls[done] = None
            done.add_done_callback(life.calls.pop)
        self.call_at(begin + half, self._call, done, partial(func, *args), half)
        return done

    def _call(self, done, call, half):
        if done.done():
            return
        try:
            deliver = partial(_deliver, done, done.set_result, call())
        except Exception as error:  # noqa: BLE001 - as on a thread, it is the caller's
            deliver = partial(_deliver, done, done.set_exception, error)
        self.call_later(half, deliver)


def _deliver(done, settle, what):
    if not done.done():
        settle(what)


def _task(loop, coroutine, **options):
    task = asyncio.Task(coroutine, loop=loop, **options)
    context = options.get("context")
    life = LIFE.get() if context is None else context.get(LIFE)
    if life is not None:
        life.tasks[task] = None
        task.add_done_callback(life.tasks.pop)
    return task
