"""Why the gateway cannot start."""

import errno


class StartupError(Exception):
    """The gateway cannot start; the text is one line: the key, what is wrong, what to do."""


def cannot_listen(address: object, error: OSError) -> str:
    """Why a socket cannot be had at `address`, and what to do."""
    match error.errno:
        case errno.EADDRINUSE:
            return f"{address} is taken by another program; stop it or choose another port"
        case errno.EADDRNOTAVAIL:
            return f"{address} is no address of this machine"
        case errno.EACCES:
            return f"{address} may not be used by this user; ports below 1024 need privileges"
    return f"cannot listen on {address}: {error.strerror or error}"
