"""The parts that a gateway starts, one a file; `gateway.main` composes them."""
