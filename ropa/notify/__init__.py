"""Telling people what they must hear, by mail and by webhook: a matter once, and once that it is over.

Invariant: what leaves here carries counts, codes and names of the configuration; a channel that fails is tried again at
the next look, shows in ``ropa status``, and stops nothing.
"""

from ropa.notify.channel import Channel, ChannelError, Message
from ropa.notify.telling import Opening, Teller, heard

__all__ = ["Channel", "ChannelError", "Message", "Opening", "Teller", "heard"]
