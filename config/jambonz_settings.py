"""The jambonz that our application serves, as far as we ask it for calls."""

from config.texts import HttpUrl, Name, Secret
from config.values import Model


class JambonzSettings(Model):
    """jambonz's REST API: its base URL with the version, a token of the account, the account, and
    the application there whose hooks lead to this gateway."""

    api_url: HttpUrl
    token: Secret
    account_sid: Name
    application_sid: Name
