"""Tries mapping rules that a person edits, in a process of its own with limits of time and memory.

    request ──▶ bridge.app.trials ──stdin──▶ process: trial ──stdout──▶ result

`bridge.app.trials` is the bridge's side: it starts a process for each trial, a few at a time, and kills one that takes
too long. `process` is the other side: it sets its own limits before it reads anything. So no template, however it is
written, holds up a webhook. The process gets what a mapping section depends on, and no secret. This module imports
nothing, and the others nothing above the mapping, since the process imports them at each start.
"""
