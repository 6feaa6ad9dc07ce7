"""A labelled set of answered calls: what one hears who has called, and who or what it is.

Everything is made by programs on this machine, by a seed: spoken by several synthesisers in six
languages, or put together from prompts that people have recorded, on lines as they are. A third of
it is kept out of tuning: other words and other voices.
"""
