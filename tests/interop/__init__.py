"""The gateway among other people's programs: SIPp as carrier and as Retell, baresip as a phone."""
