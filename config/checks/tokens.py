"""What tokens of the API must be to tell who asks: each of one name, and each name of one token."""

from collections.abc import Iterator

from config.problems import Problem
from config.reading.raw import Data, listing, mapping


def token_problems(data: Data) -> Iterator[Problem]:
    """Names and tokens that are there twice, `http.admin_token` among them."""
    admin = mapping(data, "http").get("admin_token")
    names, tokens = ({"admin"}, {str(admin)}) if admin else (set[str](), set[str]())
    for index, entry in enumerate(listing(data, "http", "tokens")):
        path = ("http", "tokens", index)
        name, token = mapping(entry).get("name"), mapping(entry).get("token")
        if name is not None and str(name) in names:
            whose = " (that of http.admin_token)" if name == "admin" and admin else ""
            yield Problem((*path, "name"), f"{name} is another token's name{whose}")
        if token is not None and str(token) in tokens:
            yield Problem((*path, "token"), "is the same as another one: log and audit tell by it")
        names.add(str(name))
        tokens.add(str(token))
