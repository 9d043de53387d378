"""Files that hold tokens: nobody but their owner, and who serves for it, may read them."""

import os
import stat

from offramp.errors import InputError

LEAST = 32  # characters of a token: 128 bits, where they are hexadecimal digits
MOST = 4096  # what travels beside a message and is longer than 8 KB grpc refuses by chance
NEW = "openssl rand -hex 32"


def read_private(path: str) -> str:
    """Read a text file that others may not; InputError where they may, or it cannot be read."""
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read()
        if not stat.S_ISREG(mode):
            raise InputError(f"token file {path}: not a file.")
    except OSError as error:
        raise InputError(
            f"token file {path}: cannot be read ({error.strerror}). Check the path and who may read it."
        ) from None
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        raise InputError(
            f"token file {path}: others on this machine may read or change it (mode {stat.S_IMODE(mode):04o}). "
            f"Let its owner alone: chmod 600 {path}"
        )
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise InputError(f"token file {path}: not a text file.") from None


def read_secret(path: str) -> str:
    """Read the one token that a caller shows."""
    words = read_private(path).split()
    if len(words) != 1:
        raise InputError(f"token file {path}: expected one token and nothing else, got {len(words)} words.")
    return check_token(words[0], f"token file {path}")


def check_token(token: str, where: str) -> str:
    """Give a token back that is neither too short nor too long; the message of an InputError has none of it."""
    if not LEAST <= len(token) <= MOST or not (token.isascii() and token.isprintable()):
        raise InputError(
            f"{where}: a token is {LEAST} to {MOST} visible ASCII characters, and this one is of {len(token)}. "
            f"Make one: {NEW}"
        )
    return token
