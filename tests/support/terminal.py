"""A terminal in memory."""

import io
import re


class Terminal(io.StringIO):
    """What a terminal would be sent."""

    def isatty(self) -> bool:
        """It is one."""
        return True

    def shown(self) -> str:
        """Without the cursor's moves."""
        return re.sub(r"\x1b\[[0-9?]*[A-Za-z]", "", self.getvalue())
