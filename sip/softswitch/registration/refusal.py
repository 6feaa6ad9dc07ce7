"""Why a registrar says no, in a sentence for the operator: whose fault it is and what to do."""

from sip.core.digest_client import Proofs
from sip.core.message import Response
from sip.softswitch.registration.account import Account


def why_refused(response: Response, account: Account, where: str, proofs: Proofs | None) -> str:
    """`where` is the registrar as it was reached; `proofs` what it was shown."""
    trunk, said, status = account.trunk, shown(response), response.status
    if status in (401, 407):
        return _why_challenged_again(status, trunk, where, proofs)
    if status == 403:
        return (
            f"{where} forbids it ({said}): the user name or password of trunk {trunk} is wrong, "
            "or the account is blocked or may not register from here; the peer knows which"
        )
    if status in (404, 410, 604):
        return (
            f"{where} does not know {account.aor} ({said}): correct trunk {trunk}'s "
            "credentials.username or registration.aor"
        )
    if 300 <= status < 400:
        return f"{where} redirects in a circle or to nowhere ({said}): the peer must put that right"
    return f"{where} refuses: {said}"


def _why_challenged_again(status: int, trunk: str, where: str, proofs: Proofs | None) -> str:
    if proofs is None:
        return f"{where} wants a digest: give trunk {trunk} its credentials"
    if proofs.answered(status):
        return (
            f"{where} does not accept the user name or password of trunk {trunk}: correct its "
            "credentials, or have the peer correct the account"
        )
    return (
        f"{where} challenges in a way that cannot be answered: another realm than trunk {trunk}'s "
        "credentials.realm, or an algorithm other than MD5 and SHA-256"
    )


def shown(response: Response) -> str:
    """The status line without its version."""
    return f"{response.status} {response.reason}".strip()
