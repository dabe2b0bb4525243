"""ropa: a register of processing activities (GDPR Art. 30) that enforces its own retention periods and proves it."""

__version__ = "0.1.0"
