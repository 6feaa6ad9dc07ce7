"""JSON as RFC 8259 has it."""

import orjson


def is_json(text: str | bytes) -> bool:
    """Whether it is JSON. pydantic's parser takes more: NaN, and numbers that no float holds, which
    become infinite; nobody could be told of either again."""
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True
