"""Words errors as a ClickHouse server does: text, numeric code, HTTP status. Codes: ErrorCodes.cpp of ClickHouse."""

import re

_CODE = re.compile(r"Code: (\d+)\. ")

# What a server answers with (its exceptionCodeToHTTPStatus.cpp); every code that is not listed is 500, READONLY too.
_STATUS = {
    194: 401,  # REQUIRED_PASSWORD
    **dict.fromkeys((192, 193, 497, 512, 516), 403),  # users, passwords, ACCESS_DENIED
    # values, types and syntax that cannot be parsed
    **dict.fromkeys((6, 8, 15, 25, 26, 27, 36, 37, 38, 41, 44, 53, 62, 72, 117, 167, 168, 223, 321, 376, 427), 400),
    **dict.fromkeys((441, 675, 676), 400),
    **dict.fromkeys((46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 152, 336, 511), 404),  # UNKNOWN_*
    159: 408,  # TIMEOUT_EXCEEDED
    229: 413,  # QUERY_IS_TOO_LARGE
    48: 501,  # NOT_IMPLEMENTED
    **dict.fromkeys((76, 209, 439), 503),  # CANNOT_OPEN_FILE, SOCKET_TIMEOUT, CANNOT_SCHEDULE_TASK
}

BAD_ARGUMENTS = 36
NOT_IMPLEMENTED = 48
UNKNOWN_SETTING = 115
READONLY = 164
SYNTAX_ERROR = 62
CANNOT_DECOMPRESS = 271
SESSION_NOT_FOUND = 372
SESSION_IS_LOCKED = 373
INVALID_SESSION_TIMEOUT = 374
ACCESS_DENIED = 497
QUERY_IS_TOO_LARGE = 229
AUTHENTICATION_FAILED = 516


class EngineError(Exception):
    """A failed request: `text` is the body for the client, `code` ClickHouse's number for it."""

    def __init__(self, text: str) -> None:
        """Take the text of any exception; what stands before ClickHouse's own message is cut off."""
        match = _CODE.search(text)
        self.text = (
            text[match.start() :].strip() if match else f"Code: 1002. DB::Exception: {text.strip()} (UNKNOWN_EXCEPTION)"
        )
        self.code = int(match[1]) if match else 1002
        super().__init__(self.text)

    @property
    def status(self) -> int:
        """HTTP status that a ClickHouse server answers with."""
        return _STATUS.get(self.code, 500)


def engine_error(code: int, name: str, text: str) -> EngineError:
    """Make an error of the adapter itself in the engine's form."""
    return EngineError(f"Code: {code}. DB::Exception: {text} ({name})")
