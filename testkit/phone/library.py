"""pyVoIP's names, from the one place that imports it.

Its modules import each other in a circle that closes only if `pyVoIP.VoIP` comes first.
"""

import pyVoIP.VoIP
from pyVoIP import RTP, SIP

CallState = pyVoIP.VoIP.CallState
VoIPCall = pyVoIP.VoIP.VoIPCall
VoIPPhone = pyVoIP.VoIP.VoIPPhone

__all__ = ["RTP", "SIP", "CallState", "VoIPCall", "VoIPPhone"]
