"""What holds for all tests."""

import os

# Tests run in several processes, and so do the searches that they launch: one thread each. Set before torch is loaded.
os.environ["OMP_NUM_THREADS"] = "1"
