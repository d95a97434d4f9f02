"""Asks ClickHouse what the page wants to know of the past: runs, curves, episodes, steps, what was said.

`api.py` is the contract. A question is a file of `queries/` with bound parameters (statements.py); `clickhouse.py` asks
it within a budget (budget.py) and stops when nobody waits for it; `native.py` and `values.py` read the answer,
`answers.py` gives it in the form that was asked for. `stitch.py` says where the past ends and the live part begins.
"""
