"""What the interop tests are made of: addresses, programs, message logs, a lossy wire."""
