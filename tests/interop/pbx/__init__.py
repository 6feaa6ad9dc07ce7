"""PBXs, proxies and telephones of other makers, through the gateway."""
