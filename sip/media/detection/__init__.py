"""Who or what has answered a call: a person, a machine, a fax, or nobody. Audio in, verdicts out.

Nothing here waits or tells the time: what counts is the time of the audio that was taken.
"""
