"""Registers a call with Retell (method 2), which makes the URI that its agent is dialled at."""

import structlog

from config.settings import Settings
from gateway.calls.call_events import Registered, RegistrationFailed
from gateway.calls.endings import Fault, registration_refusal
from gateway.calls.live_call import LiveCall
from gateway.calls.routing import Dialling, retell_uri
from gateway.retell.failures import RetellError
from gateway.retell.wishes import ToRegister
from gateway.retell.workspaces import RetellWorkspaces

log = structlog.get_logger("gateway.call")


async def register(
    retell: RetellWorkspaces, settings: Settings, call: LiveCall
) -> Registered | RegistrationFailed:
    """What Retell said of the call."""
    chosen = call.machine.plan
    assert isinstance(chosen, Dialling), "only such a plan registers"
    wanted = chosen.registration
    assert wanted is not None, "and it says what"
    try:
        retell_call_id = await retell.of(wanted.workspace).register(
            ToRegister(
                call_id=call.call_id,
                direction=wanted.direction,
                agent=wanted.agent,
                agent_version=wanted.version,
                from_number=wanted.from_number,
                to_number=wanted.to_number,
                variables=wanted.variables,
                metadata=wanted.metadata,
            )
        )
    except RetellError as error:
        refusal = registration_refusal(error.failure)
        level = log.warning if refusal.fault is Fault.RETELL else log.error
        level(
            "call.not-registered",
            fault=refusal.fault.value,
            call_id=call.call_id,
            failure=error.failure,
            http_status=error.status or None,
            detail=str(error),
            agent=wanted.agent,
        )
        return RegistrationFailed(
            at=call.clock.now(),
            failure=error.failure,
            detail=error.detail,
        )
    uri = retell_uri(settings, retell_call_id)
    return Registered(at=call.clock.now(), retell_call_id=retell_call_id, uri=uri)
