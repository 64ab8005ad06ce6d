"""What every test relies on."""

import os
import signal

# Tests run side by side, and networks as small as theirs are slower on several threads. Read when torch is loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell without job control starts background processes deaf to Ctrl-C, and their children too; some tests send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
