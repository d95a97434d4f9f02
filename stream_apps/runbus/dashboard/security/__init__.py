"""Decides who may look, and what a browser may do with the page.

`headers.py` is what every answer carries, `hosts.py` which names the page answers to, `tokens.py` who knows the token,
`access.py` joins them in front of the routes.
"""
