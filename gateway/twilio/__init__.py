"""Twilio Programmable Voice: its requests, its documents and its REST API."""
