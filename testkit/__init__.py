"""Programs to try a gateway with: a stand-in for Retell and a test phone."""
