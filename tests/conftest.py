"""What every test relies on."""

import signal

# A shell without job control starts background processes deaf to Ctrl-C, and their children too; some tests send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
