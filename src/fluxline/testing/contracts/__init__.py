"""What every source, sink and format owes, as checks that anybody can run on their own.

    SourceContract(open_source=lambda: MySource(...)).check()
    SinkContract(open_sink=MySink, make_context=..., make_batch=..., read_rows=..., guarantee="exactly_once").check()
    FormatContract(format=FORMAT, schema=..., batch=..., options=...).check()

The checks are plain assertions: they need no test framework, and the message of a failed one says what is owed.
"""

from fluxline.testing.contracts.formats import FormatContract
from fluxline.testing.contracts.sinks import SinkContract
from fluxline.testing.contracts.sources import SourceContract

__all__ = ["FormatContract", "SinkContract", "SourceContract"]
