"""`python -m retell_sip_gateway` is the same as `retell-sip-gateway`."""

from gateway.cli.main import main

if __name__ == "__main__":
    main()
