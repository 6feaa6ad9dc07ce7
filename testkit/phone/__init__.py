"""A test phone: places one call, plays, records, and says what was heard.

It stands on pyVoIP and on nothing of ours, so that its word about a call does not rest on the
stack it tests. pyVoIP is GPL-3 and an extra of its own (`pip install retell-sip-gateway[phone]`);
this package is imported only by the `call` command and by `run --demo`.
"""
