"""A stand-in for Retell: REST API, webhooks and a SIP agent that sings and echoes.

A program of its own. What it does is what Retell documents; what Retell leaves open is a setting
(`testkit.sandbox.settings`). Paths under `/sandbox/` exist here only.
"""
