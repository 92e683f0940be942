"""The pages for people: server-rendered, in English and Chinese, without scripts.

In: requests that the guard has allowed, the ledger's records, what this replica has seen. Out: HTML by `bridge.html`.
Each state of a page is its address. A page decides nothing about an alarm: it shows, and passes on what a form asks.
"""
